"""launch.py as a user runs it: in a process of its own, judged by its exit code, its words and what it left."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from agropest.results.store import INTERRUPTED, TrialFolder

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
        "val_iteration",
        "val_AP",
        "val_AP50",
        "val_AP75",
        "val_APs",
    ]
    assert list(ranking.columns)[:10] == start
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
    assert trial_folders(tmp_path / "r") == []


def test_ctrl_c_saves_checkpoints_and_the_next_launch_goes_on(tiny_sweep: Path, tmp_path: Path) -> None:
    long = (tiny_sweep, "--results", "r", "--set", "SOLVER.MAX_ITER=100000", "--set", "TEST.EVAL_PERIOD=100000")
    words = command(*long, "--set", "SOLVER.CHECKPOINT_PERIOD=100000")
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    folders: list[TrialFolder] = []
    limit = time.monotonic() + 120
    while time.monotonic() < limit and not any(folder.status().status == "running" for folder in folders):
        assert process.poll() is None, process.communicate()[0]
        folders = trial_folders(tmp_path / "r") if (tmp_path / "r" / "trials").is_dir() else []
        time.sleep(0.2)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    interrupted = [folder for folder in trial_folders(tmp_path / "r") if folder.status().status == INTERRUPTED]
    assert interrupted, output
    for folder in interrupted:
        assert folder.status().iteration > 0
        assert list(folder.checkpoints.glob("*.pth"))
    assert (tmp_path / "r" / "tiny" / "ranking.csv").is_file()


@pytest.mark.parametrize(
    ("words", "pieces"),
    [
        (("none.yaml",), ("none.yaml", "no such file")),
        (("tiny.yaml", "--data", "nowhere"), ("nowhere", "data.yaml")),
        (("tiny.yaml", "--set", "SOLVER.BASELR=1"), ("SOLVER.BASELR", "did you mean 'SOLVER.BASE_LR'?")),
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
