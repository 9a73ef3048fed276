"""Which checkpoint of a training is its last one."""

from __future__ import annotations

from pathlib import Path

import pytest

from agropest.store.records import Status, TrialState
from agropest.store.sharing.evaluated_checkpoint import evaluated_iteration
from agropest.store.store import Store
from agropest.sweep.trial import EvaluatedCheckpoint, TrialSpec

CONFIG = {"SOLVER.MAX_ITER": 600, "TEST.EVAL_PERIOD": 100, "TEST.PATIENCE": 2}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (Status(TrialState.FINISHED, 600), 600),
        (Status(TrialState.FINISHED, 400), 400),  # out of patience
        (Status(TrialState.RUNNING, 400), 600),
        (Status(), 600),
    ],
)
def test_the_last_checkpoint_is_that_of_the_end(status: Status, expected: int, tmp_path: Path) -> None:
    source = TrialSpec("baseline", 1, CONFIG, "d")
    trial = TrialSpec("baseline+last", 1, CONFIG, "d", evaluates=EvaluatedCheckpoint("baseline", "last"))
    folder = Store(tmp_path).folder(source).claim()
    folder.write_status(status)
    assert evaluated_iteration(trial, folder) == expected
