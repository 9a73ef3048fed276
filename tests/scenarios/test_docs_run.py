"""The commands of the README and docs/ are run, in a copy of the repository with a small data set.

Trainings of full size are planned instead (`--plan`), `sweeps/demo.yaml` is trained at toy size, `make` says what it
would do, and what needs another machine or another program is only read (test_docs_commands.py).
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from agropest.data.demo.draw import draw_demo_dataset
from tests.scenarios.test_docs_commands import ALL, ROOT, SHOWN_TO_FAIL, is_mention, words_of

TINY_DEMO = [
    "INPUT.MIN_SIZE_TRAIN=[64]",
    "INPUT.MIN_SIZE_TEST=64",
    "SOLVER.MAX_ITER=4",
    "SOLVER.WARMUP_ITERS=1",
    "SOLVER.IMS_PER_BATCH=2",
    "TEST.EVAL_PERIOD=2",
    "SOLVER.CHECKPOINT_PERIOD=2",
    "stop=none",
]
# The demo set of these tests: as it is there already, `draw-demo` leaves it alone.
SIZES = {"seed": 3, "train": 12, "valid": 6, "test": 4}
DRAWN = " ".join(f"--{name} {number}" for name, number in SIZES.items()) + " --size 64"
# What the docs leave to the reader to fill in, and what it is here.
FILLED_IN = {
    r"/\S*AgroPest-12|/path/to/your/set": "data/agropest-12",
    r"BCCD_Dataset/BCCD": "data/agropest-12",
    r"results/<sweep>": "results/demo",
    r"--results /mnt/\S+ ": "",
    r" --address auto": "",
    r"--data DIR": "--data data/agropest-12",
    r"GT\.json": "annotations.json",
    r"\bA\.json": "a.json",
    r"\bB\.json": "b.json",
    r"compare SWEEP SWEEP .*": "compare --help",  # one sweep is launched here
    r"results/mine detector": "results/demo another",
    r"detector --torchscript --onnx": "graphs --torchscript",  # ONNX is not among what is installed
    r"your/pictures/": "pictures/",
    r"draw-demo data/demo$": f"draw-demo data/demo {DRAWN}",
}


def runnable(text: str) -> str:
    """Returns a command of ours as it is run here; empty for what is not."""
    if text.startswith("make "):
        return f"{text} --dry-run --directory {ROOT}"
    if "SWEEP.yaml" in text or not text.startswith(("python", "nohup python")) or "pytest" in text:
        return ""
    for pattern, replacement in FILLED_IN.items():
        text = re.sub(pattern, replacement, text)
    text = text.replace("[", "").replace("]", "")  # a synopsis: with everything that may be given
    words = words_of(text)
    if "sweeps/demo.yaml" in words:
        words += [word for setting in TINY_DEMO for word in ("--set", setting)] + ["--name", "demo", "--no-dashboard"]
    elif " -m benchmarks." in text:
        words = [*words[:3], "--help"]  # a measurement takes its time
    elif words[1] == "launch.py" and "--plan" not in words:
        words.append("--plan")
    elif is_mention(words[1:]):
        words.append("--help")
    return shlex.join([sys.executable, *words[1:]])


def runs_demo(text: str) -> bool:
    return "launch.py sweeps/demo.yaml" in text and "--plan" not in text and not any(w in text for w in SHOWN_TO_FAIL)


# The demo first, and the model before it predicts: others read what these leave.
COMMANDS = sorted(
    {text for _, text in ALL if runnable(text)},
    key=lambda text: (not runs_demo(text), "predict detector" in text, text),
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the commands read, with small data sets and with prediction files."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("sweeps", "configs"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copytree(ROOT / "results" / "reference", folder / "results" / "reference")
    for name in ("launch.py", "agropest"):
        (folder / name).symlink_to(ROOT / name)
    for name in ("demo", "agropest-12"):  # where `make demo` draws its own, and where the sweeps of the study look
        draw_demo_dataset(folder / "data" / name, **SIZES, image_size_px=64)
    boxes = [{"image_id": i, "category_id": 1 + i % 2, "bbox": [5.0, 6.0, 20.0, 30.0]} for i in range(1, 9)]
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 64, "height": 64} for i in range(1, 9)]
    truth = {
        "images": images,
        "annotations": [{**box, "id": i, "area": 600.0, "iscrowd": 0} for i, box in enumerate(boxes, start=1)],
        "categories": [{"id": 1, "name": "Ants"}, {"id": 2, "name": "Bees"}],
    }
    (folder / "annotations.json").write_text(json.dumps(truth))
    photos = sorted((folder / "data" / "demo" / "valid" / "images").iterdir())
    for name in ("photo.jpg", "pictures/one.jpg", "more/one.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.open(photos[0]).save(folder / name)
    for name in ("predictions", "a", "b", "c"):
        found = [{**box, "score": 0.9 - 0.01 * i} for i, box in enumerate(boxes)]
        (folder / f"{name}.json").write_text(json.dumps(found))
    return folder


@pytest.mark.parametrize("text", COMMANDS, ids=lambda text: text)
def test_the_command_runs(text: str, checkout: Path) -> None:
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        shlex.split(runnable(text)), cwd=checkout, capture_output=True, text=True, timeout=600, env=surroundings
    )
    said = done.stdout + done.stderr
    assert done.returncode == (2 if any(word in text for word in SHOWN_TO_FAIL) else 0), said
    assert "Traceback" not in said


def test_most_commands_of_ours_are_run() -> None:
    words = {word for text in COMMANDS for word in text.split()}
    assert {"sweeps/anchors.yaml", "summarize", "compare", "export", "--probe", "install-detectron2"} <= words
    assert {"draw-demo", "convert", "check", "stats", "make"} <= words
    assert len(COMMANDS) > 25


def test_the_python_example_of_the_data_page_runs(checkout: Path) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "data.md").read_text(), flags=re.M | re.S)
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", block]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=600, env=surroundings)
    assert done.returncode == 0, done.stderr
    assert "'Ants'" in done.stdout


def test_the_token_is_made_and_shown(tmp_path: Path) -> None:
    """``ray get-auth-token``, in a home of its own."""
    shown = {text for _, text in ALL if text.startswith("ray get-auth-token")}
    assert shown == {"ray get-auth-token", "ray get-auth-token --generate"}
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    surroundings["HOME"] = str(tmp_path)
    ray = str(Path(sys.executable).parent / "ray")
    tokens = [
        subprocess.run([ray, *text.split()[1:]], capture_output=True, text=True, timeout=600, env=surroundings).stdout
        for text in sorted(shown, reverse=True)
    ]
    assert tokens[0] == tokens[1] == (tmp_path / ".ray" / "auth_token").read_text()
