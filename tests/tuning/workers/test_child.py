"""A trial in a process of its own: what it says when it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from agropest.data.dataset import Dataset
from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.store import Store
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.training.run_context import RunContext
from agropest.tuning.workers import child, warm_server
from agropest.tuning.workers.warm_server import warm_server_for_all


def test_a_process_whose_trial_was_taken_over_says_so_and_ends(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_server, "PRELOADED", "json")  # one process loads torch by itself
    trial = expand_trials(load_sweep(tiny_sweep), tiny_dataset.fingerprint, tiny_dataset.class_names)[0]
    folder = Store(tmp_path / "r").folder(trial)
    with warm_server_for_all():
        process, connection = child.start(child.Job(trial, folder.path, RunContext(tiny_dataset.paths)))
        kind, record = connection.recv()
        assert (kind, type(record)) == ("evaluation", EvaluationRecord)
        folder.claim().write_status(Status(TrialState.INTERRUPTED, 2, 1.0, "another's"))
        connection.send(child.GO_ON)
        assert connection.recv() == ("end", child.LOST, "another process has taken this trial over", 0)
        process.join(60)
    assert process.exitcode == 0
    assert folder.status() == Status(TrialState.INTERRUPTED, 2, 1.0, "another's")
