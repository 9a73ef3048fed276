from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from agropest import files
from agropest.data.dataset import Dataset
from agropest.planning.early_stopping import patience_in_words, why_nothing_stops
from agropest.sweep.sections.stop_rule import ASHA, HYPERBAND, MEDIAN, NONE, RACE, StopRule
from agropest.sweep.trial import TrialSpec

TWO = [TrialSpec(label, 1, {}, "d") for label in ("a", "b")]


def with_images(tmp_path: Path, dataset: Dataset, count: int, sources: int) -> Dataset:
    """A data set whose validation images are copies of a number of sources."""
    path = tmp_path / "valid.json"
    images = [{"id": i, "file_name": f"{i}.jpg", "source": f"s{i % sources}"} for i in range(1, count + 1)]
    for image in images:
        image |= {"width": 10, "height": 10}
    files.write_json(path, {"images": images, "annotations": [], "categories": [{"id": 1, "name": "ants"}]})
    valid = dataclasses.replace(dataset.splits["valid"], annotations=path)
    return dataclasses.replace(dataset, splits={**dataset.splits, "valid": valid})


@pytest.mark.parametrize(("count", "sources", "idle"), [(100, 100, False), (99, 99, True), (300, 99, True)])
def test_a_race_needs_independent_images(
    count: int, sources: int, idle: bool, tmp_path: Path, tiny_dataset: Dataset
) -> None:
    dataset = with_images(tmp_path, tiny_dataset, count, sources)
    why = why_nothing_stops(StopRule(RACE), TWO, dataset)
    assert why.startswith("race stops nothing: validation has 99 independent images") == idle
    assert bool(why) == idle
    for method in (NONE, ASHA, MEDIAN, HYPERBAND):
        assert why_nothing_stops(StopRule(method), TWO, dataset) == ""


def test_who_compares_variants_needs_two(tiny_dataset: Dataset) -> None:
    seeds = [dataclasses.replace(TWO[0], seed=seed) for seed in (1, 2)]
    assert (
        why_nothing_stops(StopRule(HYPERBAND), seeds, tiny_dataset)
        == "hyperband stops nothing: there is only one variant"
    )
    assert why_nothing_stops(StopRule(RACE), seeds, tiny_dataset) == "race stops nothing: there is only one variant"
    assert why_nothing_stops(StopRule(ASHA), seeds, tiny_dataset) == ""


def test_the_plan_names_the_variants_that_patience_may_end() -> None:
    def of(**patience: int) -> list[TrialSpec]:
        config = {"SOLVER.MAX_ITER": 10}
        return [TrialSpec(label, 1, {**config, "TEST.PATIENCE": number}, "d") for label, number in patience.items()]

    assert patience_in_words(of(a=0, b=0)) == ""
    assert patience_in_words(of(a=0, b=1)).startswith("b: training ends once validation AP has not risen for 1 evaluat")
    said = patience_in_words(of(a=4, b=2))
    assert said.startswith("every variant: training ends once validation AP has not risen for 2 evaluations or 4 eval")
