"""A trial that says it is running: whose process is known to be gone, and whose is not."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agropest.store.records import Status, TrialState
from agropest.store.store import Store
from agropest.store.upkeep.lost_trials import note_lost_trial, note_lost_trials
from agropest.sweep.trial import TrialSpec

TRIAL = TrialSpec("baseline", 1, {"SOLVER.MAX_ITER": 100, "TEST.EVAL_PERIOD": 10}, "data", "")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def running(store: Store, **owner: object) -> None:
    folder = store.folder(TRIAL).claim()
    folder.write_status(Status(TrialState.RUNNING, 40, 5.0))
    path = folder.path / "writer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **owner}))


def test_a_trial_of_a_killed_launch_is_interrupted_and_noted(store: Store) -> None:
    running(store, pid=dead_process())
    assert not store.folder(TRIAL).is_being_written()
    note_lost_trials([TRIAL], store)
    status = store.folder(TRIAL).status()
    assert status.status == TrialState.INTERRUPTED
    assert status.iteration == 40
    assert status.notes == ("its process or machine was lost after iteration 40; continued from its last checkpoint",)


@pytest.mark.parametrize("owner", [{}, {"host": "another", "pid": 1 << 30}])
def test_one_that_may_be_writing_still_is_left_alone(store: Store, owner: dict[str, object]) -> None:
    running(store, **owner)
    assert store.folder(TRIAL).is_being_written()
    note_lost_trials([TRIAL], store)
    assert store.folder(TRIAL).status() == Status(TrialState.RUNNING, 40, 5.0)


def test_a_lost_node_is_noted_also_where_its_trial_could_save_a_checkpoint(store: Store) -> None:
    running(store)
    folder = store.folder(TRIAL).claim()
    folder.write_status(replace(folder.status(), status=TrialState.INTERRUPTED))
    note_lost_trial(store.folder(TRIAL))
    assert len(store.folder(TRIAL).status().notes) == 1
    folder = store.folder(TRIAL).claim()
    folder.write_status(replace(folder.status(), status=TrialState.FINISHED))
    note_lost_trial(store.folder(TRIAL))
    assert store.folder(TRIAL).status().status == TrialState.FINISHED
    assert len(store.folder(TRIAL).status().notes) == 1
