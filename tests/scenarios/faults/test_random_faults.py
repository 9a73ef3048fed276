"""The short version of ``make faults``, and what a lost node costs: the real script, few faults."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from agropest.store.trial_folder import TrialFolder

ROOT = Path(__file__).resolve().parents[3]


def test_a_lost_node_and_random_faults_cost_nothing_that_was_stored(tmp_path: Path) -> None:
    """A node of a simulated cluster dies, then other things break; the script compares with an undisturbed sweep."""
    words = ["--faults", "4", "--nodes", "1", "--trials", "2", "--stop", "none", "--seed", "1", "--minutes", "600"]
    command = [sys.executable, "-m", "benchmarks.faults", *words, "--keep", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stdout + result.stderr
    figures = dict(line.split("  ", 1) for line in result.stdout.splitlines() if "  " in line.strip())
    shown = {name: figures[name].strip() for name in figures if not name.startswith(" ")}
    assert shown["injected"] == shown["survived"] == "4"
    for name in ("trials lost", "finished trials run again", "metrics differing"):
        assert shown[name] == "0"
    assert shown["kill -9 of a node"] == "1"
    for folder in map(TrialFolder, (tmp_path / "cluster" / "results" / "trials").glob("*-*")):
        assert folder.status().status.ended_well
    notes = [TrialFolder(path).status().notes for path in (tmp_path / "cluster" / "results" / "trials").glob("*-*")]
    assert any("its process or machine was lost after iteration" in note for its in notes for note in its)
