from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agropest.data.dataset import Dataset
from agropest.machine import Machine
from agropest.store.records import Status, TrialState
from agropest.store.store import Store
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.tuning import launch as launch_module
from agropest.tuning.launch import Launch


def test_what_cannot_be_placed_is_asked_of_what_will_be_pending(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch_module, "this_machine", lambda: Machine("EPYC", 1))
    spec = load_sweep(tiny_sweep, ("resources.gpus=1",))
    trials = expand_trials(spec, tiny_dataset.fingerprint, tiny_dataset.class_names)
    store = Store(tmp_path)
    launch = Launch(spec, trials, tiny_dataset, store)
    assert len(launch.unplaceable(False, False)) == 1
    for trial in trials:
        store.folder(trial).claim().write_status(Status(TrialState.FAILED, 1))
    launch = replace(launch)  # as it is read again
    assert launch.unplaceable(False, False) == []
    assert len(launch.unplaceable(False, True)) == 1
    assert len(launch.unplaceable(True, False)) == 1
