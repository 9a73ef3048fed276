"""Which process writes a trial at the moment."""

from __future__ import annotations

import json
from pathlib import Path

from agropest.store.records import TrialState
from benchmarks.faults.disturbed_sweep import DisturbedSweep


def running_writer(sweep: DisturbedSweep) -> int | None:
    """Returns the process of a trial that trains."""
    for folder in sweep.draw.sample(sweep.trials(), len(sweep.trials())):
        try:
            pid = int(json.loads((folder.path / "writer.json").read_text())["pid"])
        except (OSError, ValueError, KeyError):
            continue
        if folder.status().status == TrialState.RUNNING and Path(f"/proc/{pid}").is_dir():
            return pid
    return None
