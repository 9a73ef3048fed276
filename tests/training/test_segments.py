"""A trial that continues from an ancestor: bit for bit what one that trained through is, and under its own settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agropest.data.dataset import Dataset
from agropest.store.records import TrialState
from agropest.sweep.history import Segment
from agropest.sweep.trial import TrialSpec
from agropest.training import checkpoints
from tests.training.test_trial import run, trial_of, weights

RATE, DECAY, BIAS = "SOLVER.BASE_LR", "SOLVER.WEIGHT_DECAY", "SOLVER.BIAS_LR_FACTOR"
KEYS = {"rate": RATE, "decay": DECAY, "bias": BIAS}


@pytest.fixture
def whole(tiny_sweep: Path, tiny_dataset: Dataset) -> TrialSpec:
    return trial_of(tiny_sweep, tiny_dataset, "focal", "SOLVER.EMA.ENABLED=true", "DATALOADER.REPEAT_THRESHOLD=0.5")


def segments_of(whole: TrialSpec, **later: float) -> tuple[TrialSpec, TrialSpec]:
    """Returns the first half, and the second with other settings (rate, decay, bias)."""
    settings = {key: whole.config[key] for key in (RATE, DECAY, BIAS)}
    changed = dict(zip(settings, (later.get(word, settings[key]) for word, key in KEYS.items()), strict=True))
    first = replace(whole, segment_end=2)
    second = replace(whole, config={**whole.config, **changed}, history=(Segment(2, settings),), segment_end=4)
    assert second.ancestor is not None
    assert second.ancestor.signature == first.signature
    return first, second


def test_with_unchanged_settings_it_is_as_if_it_had_trained_through(
    whole: TrialSpec, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    _, through = run(whole, tiny_dataset, tmp_path / "whole")
    first, second = segments_of(whole)
    status, before = run(first, tiny_dataset, tmp_path / "segments")
    assert (status.status, status.iteration) == (TrialState.STOPPED, 2)
    assert "generation ends at iteration 2 of 4" in status.reason
    assert before.read_evaluations("test") == []
    status, folder = run(second, tiny_dataset, tmp_path / "segments")
    assert (status.status, status.iteration) == (TrialState.FINISHED, 4)
    assert [record.iteration for record in folder.read_evaluations("valid")] == [4]
    same_state(checkpoints.load(through.checkpoints, 4), checkpoints.load(folder.checkpoints, 4))
    assert folder.read_evaluations("valid")[0].metrics == through.read_evaluations("valid")[-1].metrics

    # The ancestor's segment is trained again where its end is gone.
    _, again = run(second, tiny_dataset, tmp_path / "alone")
    same_state(checkpoints.load(through.checkpoints, 4), checkpoints.load(again.checkpoints, 4))


def same_state(one: object, two: object) -> None:
    if isinstance(one, torch.Tensor):
        assert isinstance(two, torch.Tensor)
        assert torch.equal(one, two)
    elif isinstance(one, dict):
        assert isinstance(two, dict)
        assert one.keys() == two.keys()
        for key in one.keys() - {"time_s"}:
            same_state(one[key], two[key])
    elif isinstance(one, list | tuple):
        assert isinstance(two, list | tuple)
        for left, right in zip(one, two, strict=True):
            same_state(left, right)
    else:
        assert one == two


def test_other_settings_count_from_there_on_even_where_parameters_are_grouped_otherwise(
    whole: TrialSpec, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    # With another rate for biases Detectron2's optimizer has a group for them, which the ancestor's has not.
    first, second = segments_of(whole, rate=0.005, decay=0.01, bias=2.0)
    _, before = run(first, tiny_dataset, tmp_path / "r")
    asked = iter([False, True])
    _, folder = run(second, tiny_dataset, tmp_path / "r", should_stop=lambda: next(asked, True))
    status, folder = run(second, tiny_dataset, tmp_path / "r")
    assert status.status == TrialState.FINISHED
    start, end = checkpoints.load(before.checkpoints, 2), checkpoints.load(folder.checkpoints, 4)
    assert start is not None
    assert end is not None
    groups = end["optimizer"]["param_groups"]
    assert len(start["optimizer"]["param_groups"]) < len(groups)
    assert {group["weight_decay"] for group in groups} == {0.0, 0.01}  # normalisation has none
    assert {group["initial_lr"] for group in groups} == set(end["scheduler"]["base_lrs"]) == {0.005, 0.01}
    assert end["scheduler"]["last_epoch"] == 4
    assert len(end["optimizer"]["state"]) == len(start["optimizer"]["state"])  # momentum of every parameter
    _, unchanged = run(segments_of(whole)[1], tiny_dataset, tmp_path / "r")
    one, two = weights(folder, 4), weights(unchanged, 4)
    assert any(not torch.equal(tensor, two[name]) for name, tensor in one.items())
