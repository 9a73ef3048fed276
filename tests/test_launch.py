"""launch.py as a user runs it: in a process of its own, judged by its exit code, its words and what it left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from agropest import files
from agropest.errors import StoreError, fault
from agropest.results.store import INTERRUPTED, Store, TrialFolder
from agropest.sweep.spec import SweepSpec
from agropest.tuning.watch import Rewritten
from launch import main

ROOT = Path(__file__).resolve().parents[1]


def command(*words: object) -> list[str]:
    return [sys.executable, str(ROOT / "launch.py"), *map(str, words)]


def launch(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), cwd=cwd, capture_output=True, text=True, timeout=300)


def trial_folders(results: Path) -> list[TrialFolder]:
    return [TrialFolder(path) for path in sorted((results / "trials").iterdir()) if path.is_dir()]


def test_a_sweep_of_two_trials_and_a_second_launch_that_trains_nothing(tiny_sweep: Path, tmp_path: Path) -> None:
    first = launch(tiny_sweep, "--results", "r", cwd=tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stderr == ""
    ranking = pd.read_csv(tmp_path / "r" / "tiny" / "ranking.csv")
    assert list(ranking["rank"]) == [1, 2]
    assert set(ranking["label"]) == {"baseline", "focal"}
    assert list(ranking["status"]) == ["finished", "finished"]
    assert list(ranking["iteration"]) == [4, 4]
    start = [
        "rank",
        "label",
        "seed",
        "status",
        "iteration",
        "val_AP",
        "val_AP50",
        "val_AP75",
        "val_APs",
    ]
    assert list(ranking.columns)[:9] == start
    assert {"val_APm", "val_APl", "test_AP", "test_APl", "time_s", "signature"} <= set(ranking.columns)
    assert ranking["val_AP"].is_monotonic_decreasing
    per_class = pd.read_csv(tmp_path / "r" / "tiny" / "per_class.csv")
    assert set(per_class["split"]) == {"valid", "test"}
    assert len(per_class) == 2 * 2 * 12
    assert "baseline" in (tmp_path / "r" / "tiny" / "ranking.md").read_text()

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "r" / "trials").rglob("*") if path.is_file()}
    second = launch(tiny_sweep, "--results", "r", cwd=tmp_path)
    assert second.returncode == 0
    after = {path: path.stat().st_mtime_ns for path in before if path.name != ".writable"}
    assert after == {path: stamp for path, stamp in before.items() if path.name != ".writable"}
    assert first.stdout.splitlines()[-8:] == second.stdout.splitlines()[-8:]


def test_a_plan_says_what_is_new_and_starts_nothing(tiny_sweep: Path, tmp_path: Path) -> None:
    result = launch(tiny_sweep, "--plan", "--results", "r", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "2 trials: 2 new" in result.stdout
    assert "softmax_focal" in result.stdout
    told = " ".join(result.stdout.split())
    assert re.search(r"lint: .* \[([a-z-]+)\] lint: .* turned off in the sweep file \(silence: \[\1\]\)", told)
    assert trial_folders(tmp_path / "r") == []


def start(*words: object, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(command(*words), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(process: subprocess.Popen[str], results: Path, ready: Callable[[TrialFolder], bool]) -> TrialFolder:
    """Returns the first trial folder that is ready while the launch runs."""
    limit = time.monotonic() + 300
    while time.monotonic() < limit:
        for folder in trial_folders(results) if (results / "trials").is_dir() else []:
            if ready(folder):
                return folder
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    raise AssertionError("no trial was ready in time")


def has_checkpoint(folder: TrialFolder) -> bool:
    return folder.status().status == "running" and any(folder.checkpoints.glob("*.json"))


def writer(folder: TrialFolder) -> int:
    """Returns the process that trains."""
    pid: int = files.read_json(folder.path / "writer.json")["pid"]
    return pid


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


def test_ctrl_c_saves_checkpoints_and_the_next_launch_goes_on(tiny_sweep: Path, tmp_path: Path) -> None:
    results = tmp_path / "r"
    rare = [f"--set={key}=100000" for key in ("SOLVER.MAX_ITER", "TEST.EVAL_PERIOD", "SOLVER.CHECKPOINT_PERIOD")]
    process = start(tiny_sweep, "--results", results, *rare, cwd=tmp_path)
    wait_for(process, results, lambda folder: folder.status().status == "running")
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    interrupted = [folder for folder in trial_folders(results) if folder.status().status == INTERRUPTED]
    assert interrupted, output
    for folder in interrupted:
        assert folder.status().iteration > 0
        assert list(folder.checkpoints.glob("*.pth"))
    assert (results / "tiny" / "ranking.csv").is_file()
    plan = launch(tiny_sweep, "--results", results, "--plan", *rare, cwd=tmp_path)
    assert "unfinished" in plan.stdout


LONGER = ("--set", "SOLVER.MAX_ITER=40", "--set", "TEST.EVAL_PERIOD=20", "--set", "seeds=[5]")


def test_killed_processes_cost_only_the_work_since_their_checkpoint(tiny_sweep: Path, tmp_path: Path) -> None:
    """kill -9 of a trial, then of the driver; what comes out is what an undisturbed sweep gives."""
    undisturbed = launch(tiny_sweep, "--results", "whole", *LONGER, cwd=tmp_path)
    assert undisturbed.returncode == 0, undisturbed.stdout + undisturbed.stderr

    results = tmp_path / "r"
    process = start(tiny_sweep, "--results", results, *LONGER, cwd=tmp_path)
    folder = wait_for(process, results, has_checkpoint)
    killed = writer(folder)
    os.kill(killed, signal.SIGKILL)
    wait_for(process, results, lambda other: other.path == folder.path and writer(other) != killed)
    orphans = [writer(folder) for folder in trial_folders(results)]
    process.kill()
    process.communicate()
    limit = time.monotonic() + 60
    while time.monotonic() < limit and any(is_alive(pid) for pid in orphans):
        time.sleep(0.2)
    assert not any(is_alive(pid) for pid in orphans)

    again = launch(tiny_sweep, "--results", results, *LONGER, cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    columns = ["label", "status", "iteration", "val_AP", "val_AP50", "test_AP", "test_AP50", "signature"]
    one, two = (pd.read_csv(tmp_path / name / "tiny" / "ranking.csv")[columns] for name in ("whole", "r"))
    pd.testing.assert_frame_equal(one, two)
    for record in folder.read_evaluations():
        whole = tmp_path / "whole" / "trials" / folder.path.name / "evaluations" / f"{record.stem}.npz"
        assert folder.boxes_path(record).read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    ("words", "pieces"),
    [
        (("none.yaml",), ("none.yaml", "no such file")),
        (("tiny.yaml", "--data", "nowhere"), ("nowhere", "data.yaml")),
        (("tiny.yaml", "--set", "SOLVER.BASELR=1"), ("SOLVER.BASELR", "did you mean 'SOLVER.BASE_LR'?")),
        (("tiny.yaml", "--set", "metric=AP-Antz"), ("metric", "did you mean 'AP-Ants'?")),
        (("tiny.yaml", "--set", "silence=[nothing]"), ("silence", "nothing")),
        (("tiny.yaml", "--set", "resources.gpus=1"), ("GPU", "--set resources.gpus=0")),
        (("tiny.yaml", "--set", "resources.cpus=500"), ("500 CPUs", "resources.cpus")),
        (("tiny.yaml", "--set", "MODEL.WEIGHTS=none.pkl"), ("MODEL.WEIGHTS", "none.pkl")),
    ],
)
def test_bad_input_gets_one_clear_error(
    tiny_sweep: Path, tmp_path: Path, words: tuple[str, ...], pieces: tuple[str, ...]
) -> None:
    result = launch(*words, "--results", "r", cwd=tiny_sweep.parent)
    assert result.returncode == 2, result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    assert result.stderr.startswith("error: ")
    for piece in pieces:
        assert piece in result.stderr
    assert trial_folders(tmp_path / "r") == [] if (tmp_path / "r" / "trials").is_dir() else True


def test_a_launch_that_ends_with_an_error_leaves_a_page_that_does_not_say_that_it_runs(
    tiny_sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "r" / "tiny" / "index.html"

    def fails(
        spec: SweepSpec, trials: object, dataset: object, store: Store, ray: object, live: list[Rewritten], *_: object
    ) -> None:
        for one in live:
            one.finish()  # as it is written while trials run
        assert 'http-equiv="refresh"' in page.read_text()
        raise StoreError(fault(str(store.root), "expected room", "none", "make some"))

    monkeypatch.setattr("agropest.tuning.run.run_trials", fails)
    assert main([str(tiny_sweep), "--results", str(tmp_path / "r"), "--set", "silence=[no-effect]"]) == 2
    assert "expected room" in capsys.readouterr().err
    text = page.read_text()
    assert 'http-equiv="refresh"' not in text
    assert "not running: the launch has ended" in text
