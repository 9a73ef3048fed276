"""A command that trains nothing: its boxes are the ground truth, worse the earlier the iteration."""

from __future__ import annotations

from pathlib import Path

import pytest

from agropest.data.dataset import Dataset
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.sweep.trial import TrialSpec

SCRIPT = """
import json, os, pathlib, signal, sys, time

what = sys.argv[1] if len(sys.argv) > 1 else ""
env = {key[9:]: value for key, value in os.environ.items() if key.startswith("AGROPEST_")}
output = pathlib.Path(env["OUTPUT"])
with open(output / "told.jsonl", "a") as file:
    file.write(json.dumps(env) + "\\n")


def results(split, iteration):
    content = json.loads(pathlib.Path(env[f"{split.upper()}_ANNOTATIONS"]).read_text())
    entries = [
        {"image_id": box["image_id"], "category_id": box["category_id"], "bbox": box["bbox"], "score": 0.9}
        for box in content["annotations"]
        if box["id"] % 4 < iteration
    ]
    if what == "strange image":
        entries[0]["image_id"] = 12345
    if what == "strange class":
        entries[0]["category_id"] = 99
    if what == "corners":
        entries[0]["bbox"] = [9, 9, -3, 4]
    text = "[{" if what == "half" else json.dumps(entries)
    (output / ".part").write_text(text)
    (output / ".part").rename(output / f"{split}-{iteration:08d}.json")


def end(*_):
    (output / "ended").write_text("")
    sys.exit(0)


if env["TASK"] == "predict":
    results(env["SPLIT"], int(env["ITERATION"]))
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
(output / "progress.json").write_text('{"iteration": 1}')
if what == "alone":  # fails where another one runs at the same time
    lock = pathlib.Path("running.lock")
    os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
    time.sleep(1)
    lock.unlink()
for number, iteration in enumerate(map(int, env["EVALUATE_AT"].split(","))):
    if what == "exit 3" and number == 1:
        print("out of ideas", flush=True)
        sys.exit(3)
    if what == "exit 75" and not (output / "tried").exists():
        (output / "tried").write_text("")
        sys.exit(75)
    if what == "killed once" and not (output / "tried").exists():
        (output / "tried").write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "waits" and number == 1:
        time.sleep(600)
    results("valid", iteration)
if what == "exit 4":
    sys.exit(4)
"""


@pytest.fixture
def command_trial(tmp_path: Path, tiny_dataset: Dataset):  # type: ignore[no-untyped-def]
    """Returns a function from a word for the script to the trial that runs it."""
    (tmp_path / "script.py").write_text(SCRIPT)

    def make(what: str = "", *settings: str) -> TrialSpec:
        path = tmp_path / "a.yaml"
        path.write_text(
            f"variants: {{other: {{command: [python, script.py, {what!r}]}}}}\nseeds: [5]\n"
            "config: {SOLVER.MAX_ITER: 4, TEST.EVAL_PERIOD: 2}\n"
        )
        (trial,) = expand_trials(load_sweep(path, settings), tiny_dataset.fingerprint, tiny_dataset.class_names)
        return trial

    return make
