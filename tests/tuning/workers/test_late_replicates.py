"""Replicates that are computed once a trial has given its share of a card back."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from agropest.data.dataset import Dataset
from agropest.store.store import Store
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.training.run_context import RunContext
from agropest.training.trial import run_trial
from agropest.tuning.workers import child, late_replicates, warm_server
from agropest.tuning.workers.warm_server import warm_server_for_all

PATIENCE_S = 120


def test_they_are_those_that_the_trial_would_have_kept(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_server, "PRELOADED", "json")  # one process loads torch by itself
    trial = expand_trials(load_sweep(tiny_sweep), tiny_dataset.fingerprint, tiny_dataset.class_names)[0]
    kept = {}
    for name, later in (("now", False), ("later", True)):
        folder = Store(tmp_path / name).folder(trial).claim()
        context = replace(RunContext(tiny_dataset.paths), replicates_later=later)
        run_trial(trial, folder, context, lambda record: None)
        replicates = folder.path / "replicates"
        assert replicates.exists() is not later
        if later:
            with warm_server_for_all():
                late_replicates.start(child.Job(trial, folder.path, context))
                until = time.monotonic() + PATIENCE_S
                while len(list(replicates.glob("*.npz"))) < len(kept["now"]) and time.monotonic() < until:
                    time.sleep(0.05)
        kept[name] = {path.name: path.read_bytes() for path in replicates.glob("*.npz")}
    assert kept["now"] and kept["later"] == kept["now"]
