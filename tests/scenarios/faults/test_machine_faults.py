"""What the machine does to a trial is survived and recorded; what a trial does itself is not tried again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

from agropest.report.markdown import plain
from agropest.store.records import TrialState
from agropest.store.trial_folder import TrialFolder

ROOT = Path(__file__).resolve().parents[3]
INJECTED = Path(__file__).parent / "injected"


def launch(*words: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "launch.py"), *map(str, words)]
    surroundings = {**os.environ, **environment}
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600, env=surroundings)


def test_faults_of_the_machine_are_survived_and_a_loss_that_is_not_finite_is_not(
    tiny_sweep: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    """GPU out of memory, a killed loader worker, a full disk; beside them a trial that diverges."""
    text = tiny_sweep.read_text().split("variants:")[0]
    tiny_sweep.write_text(
        f"{text}retries: 2\nsilence: [no-effect]\nvariants:\n"
        "  memory: {resources: {gpus: 0.2}, SOLVER.BASE_LR: 0.011}\n"
        "  worker: {SOLVER.BASE_LR: 0.012}\n"
        "  disk: {SOLVER.BASE_LR: 0.013}\n"
        "  diverges: {SOLVER.BASE_LR: 1.0e+18, SOLVER.CLIP_GRADIENTS.ENABLED: false, SOLVER.WARMUP_FACTOR: 1.0}\n"
    )
    words = (tiny_sweep, "--results", "r", "--no-dashboard")
    result = launch(*words, cwd=tmp_path, PYTHONPATH=str(INJECTED), RAY_OVERRIDE_RESOURCES='{"GPU": 1}')
    assert result.returncode == 1, result.stdout + result.stderr  # a trial failed
    folders = {path.name.rsplit("-", 1)[0]: TrialFolder(path) for path in (tmp_path / "r" / "trials").glob("*-*")}
    assert set(folders) == {"memory", "worker", "disk", "diverges"}

    for label, reason in (("worker", "DataLoader worker"), ("disk", "No space left on device")):
        status = folders[label].status()
        assert status.status == TrialState.FINISHED
        assert len(status.notes) == 1
        assert "attempt 1 ended" in status.notes[0]
        assert reason in status.notes[0]

    status = folders["memory"].status()
    assert (status.status, status.gpu_share) == (TrialState.FINISHED, 0.8)
    assert [note.split("; ")[1] for note in status.notes] == ["continued with 0.4", "continued with 0.8"]
    assert "memory/s1 ran out of GPU memory: runs again with 0.4 of a card" in result.stdout

    status = folders["diverges"].status()
    assert status.status == TrialState.FAILED
    assert status.notes == ()
    assert "expected finite losses" in status.reason
    table = pd.read_csv(tmp_path / "r" / "tiny" / "ranking.csv").set_index("label")
    assert table.loc["diverges", "status"] == TrialState.FAILED
    assert plain(status.reason) in (tmp_path / "r" / "tiny" / "ranking.md").read_text()
    assert f"diverges/s1 failed: {status.reason[:60]}" in result.stdout
    assert status.reason.startswith("iteration ")


def test_a_disk_that_stays_full_ends_the_launch_and_costs_no_trial(
    tiny_sweep: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    """No file of the trial can be written; when there is room again, the same command continues."""
    text = tiny_sweep.read_text().split("variants:")[0]
    tiny_sweep.write_text(f"{text}retries: 1\nsilence: [no-effect]\nvariants:\n  no-room: {{}}\n")
    words = (tiny_sweep, "--results", "r", "--no-dashboard", "--set", "seeds=[1]")
    result = launch(*words, cwd=tmp_path, PYTHONPATH=str(INJECTED))
    assert result.returncode == 2, result.stdout + result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == len(result.stderr.splitlines()) == 1
    assert "expected to be able to write the trial's results" in errors[0]
    assert "No space left on device" in errors[0]
    assert "launch again" in errors[0]
    result = launch(*words, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    (folder,) = map(TrialFolder, (tmp_path / "r" / "trials").glob("*-*"))
    assert folder.status().status == TrialState.FINISHED
