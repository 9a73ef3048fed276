from __future__ import annotations

from pathlib import Path

import pytest

from agropest.data.dataset import Dataset
from agropest.store.records import TrialState
from agropest.training import checkpoints
from tests.training.test_trial import run, trial_of


def test_an_interruption_saves_one_checkpoint_and_none_where_an_evaluation_has_just_saved_it(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    save = checkpoints.save
    monkeypatch.setattr(checkpoints, "save", lambda *given: (saved.append(given[1]), save(*given)))
    trial = trial_of(tiny_sweep, tiny_dataset, "baseline")
    evaluated: list[int] = []
    status, folder = run(
        trial,
        tiny_dataset,
        tmp_path,
        on_evaluation=lambda record: evaluated.append(record.iteration),
        should_stop=lambda: bool(evaluated),
    )
    assert (status.status, status.iteration, saved) == (TrialState.INTERRUPTED, evaluated[0], evaluated[:1])
    assert checkpoints.iterations(folder.checkpoints) == evaluated[:1]

    del saved[:]
    status, _ = run(trial, tiny_dataset, tmp_path, should_stop=lambda: True)
    assert not trial.is_evaluation(evaluated[0] + 1)
    assert (status.status, status.iteration, saved) == (TrialState.INTERRUPTED, evaluated[0] + 1, [evaluated[0] + 1])
