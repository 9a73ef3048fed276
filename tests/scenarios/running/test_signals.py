"""Whoever ends a launch by a signal finds checkpoints and tables, and an exit code that says who it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agropest.store.records import TrialState
from agropest.store.trial_folder import TrialFolder
from tests.scenarios.running.conftest import ROOT, Running

GRACE_S = 120  # a machine may be slow; what is waited for is the end


@pytest.mark.parametrize(
    ("send", "number", "code"),
    [
        pytest.param(os.kill, signal.SIGTERM, 143, id="docker's SIGTERM"),
        pytest.param(os.killpg, signal.SIGTERM, 143, id="scancel's SIGTERM, to every process"),
        pytest.param(os.kill, signal.SIGUSR1, 143, id="SLURM's warning"),
        pytest.param(os.killpg, signal.SIGHUP, 130, id="a closed terminal", marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_a_launch_with_checkpoints_and_tables(
    endless_sweep: Path,
    tmp_path: Path,
    send: Callable[[int, signal.Signals], None],
    number: signal.Signals,
    code: int,
) -> None:
    command = [sys.executable, str(ROOT / "launch.py"), str(endless_sweep), "--results", "r", "--no-dashboard"]
    command += ["--name", "endless"]
    for setting in ("SOLVER.MAX_ITER=1000000", "TEST.EVAL_PERIOD=20", "silence=[no-effect]"):
        command += ["--set", setting]
    with open(tmp_path / "log.txt", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=tmp_path, start_new_session=True)
    launch = Running(process, tmp_path / "log.txt", tmp_path / "r")
    try:
        launch.wait_until(lambda: "baseline/s1: running, val AP" in launch.printed(), "evaluation")
        send(process.pid, number)
        assert process.wait(GRACE_S) == code, launch.printed()
    finally:
        if process.poll() is None:
            process.kill()
    assert "Traceback" not in launch.printed()
    assert f"{number.name}: stopping: running trials save a checkpoint" in launch.printed()
    (folder,) = (TrialFolder(path) for path in (tmp_path / "r" / "trials").glob("baseline-*"))
    status = folder.status()
    assert status.status == TrialState.INTERRUPTED
    assert max(folder.checkpointed()) == status.iteration > 0
    assert {"ranking.md", "comparison.csv", "index.html"} <= {p.name for p in (tmp_path / "r" / "endless").iterdir()}
