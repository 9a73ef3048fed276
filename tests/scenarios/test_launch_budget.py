"""A launch with a budget: it ends well before the sweep does, and the next one continues."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[2]


def launch(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "launch.py"), "--no-dashboard", *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600)


def test_max_trials_then_max_iterations_then_the_rest(tiny_sweep: Path, tmp_path: Path) -> None:
    words = (
        tiny_sweep,
        "--results",
        "r",
        "--name",
        "tiny",
        "--set",
        "stop=none",
        "--set",
        "seeds=[1, 2]",
        "--set",
        "silence=[no-effect]",
    )
    first = launch(*words, "--set", "budget.max_trials=1", cwd=tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "budget: max_trials 1 is spent; 3 trials are left: " in first.stdout
    table = tmp_path / "r" / "tiny" / "ranking.csv"
    assert sorted(pd.read_csv(table)["status"]) == ["finished", "new", "new", "new"]

    # One trial at a time, so that the limit falls after the first evaluation of the second trial, at iteration 2 of 4.
    words = (*words, "--set", f"resources.cpus={os.cpu_count()}", "--set", "resources.threads=1")
    second = launch(*words, "--set", "budget.max_iterations=2", cwd=tmp_path)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "budget: max_iterations 2 is spent; 3 trials are left" in second.stdout
    rows = pd.read_csv(table).set_index("label")
    assert sorted(rows["status"]) == ["finished", "interrupted", "new", "new"]
    assert list(rows[rows["status"] == "interrupted"]["iteration"]) == [2]

    # 2 + 4 + 4 iterations are left: the limit falls on the last evaluation, and leaves nothing.
    third = launch(*words, "--set", "budget.max_iterations=10", cwd=tmp_path)
    assert third.returncode == 0, third.stdout + third.stderr
    assert "budget" not in third.stdout
    assert set(pd.read_csv(table)["status"]) == {"finished"}


def test_max_hours_ends_a_launch_whose_trials_save_a_checkpoint(tiny_sweep: Path, tmp_path: Path) -> None:
    endless = ("SOLVER.MAX_ITER=1000000", "TEST.EVAL_PERIOD=2", "stop=none", "silence=[no-effect]")
    settings = [word for one in (*endless, "budget.max_hours=0.002") for word in ("--set", one)]  # seven seconds
    ended = launch(tiny_sweep, "--results", "r", "--name", "tiny", *settings, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "budget: max_hours 0.002 is spent; 2 trials are left" in ended.stdout
    rows = pd.read_csv(tmp_path / "r" / "tiny" / "ranking.csv")
    assert set(rows["status"]) <= {"interrupted", "new"}
    saved = [path.name for path in (tmp_path / "r" / "trials").glob("*/checkpoints/*.pth")]
    assert len(saved) >= (rows["status"] == "interrupted").sum()


def test_seeds_until_decided_stop_at_the_budget_and_continue(tiny_sweep: Path, tmp_path: Path) -> None:
    settings = ("seeds={start: 2, most: 3, until: decided}", "stop=none", "silence=[no-effect]")
    words = (tiny_sweep, "--results", "r", "--name", "tiny", *[word for one in settings for word in ("--set", one)])
    first = launch(*words, "--set", "budget.max_trials=3", cwd=tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "seeds until decided, at most 3: 2 of baseline, focal; 4 of at most 6 trials" in first.stdout
    assert "budget: max_trials 3 is spent; 1 trials are left: " in first.stdout
    second = launch(*words, cwd=tmp_path)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "budget" not in second.stdout
    rows = pd.read_csv(tmp_path / "r" / "tiny" / "ranking.csv")
    assert sorted(rows["seed"])[:4] == [42, 42, 43, 43]  # a third seed only where six pictures leave anything open
    assert set(rows["status"]) == {"finished"}
