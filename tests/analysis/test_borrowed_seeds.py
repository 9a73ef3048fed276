"""What a seed does, from other sweeps of the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from agropest.analysis.compared import Comparison
from agropest.statistics.inference import UNKNOWN
from agropest.store.records import TrialState
from agropest.store.seeds.borrowed_seeds import borrowed_trials
from agropest.store.store import Store
from agropest.store.sweep_record import SweepRecord, write_sweep_record
from agropest.sweep.trial import TrialSpec
from tests.analysis.test_comparison import compared, put, variants

QUALITIES = {"baseline": 0.3, "high": 0.95}


def trained(store: Store, qualities: Mapping[str, float], seeds: tuple[int, ...]) -> list[TrialSpec]:
    return [
        put(store, label, seed, TrialState.FINISHED, {100: quality})
        for label, quality in qualities.items()
        for seed in seeds
    ]


def record(name: str, trials: list[TrialSpec]) -> SweepRecord:
    return SweepRecord(
        name, "", "baseline", "AP", "", "none", (), tuple(trials), {}, "data", ("Ants", "Bees"), {}, "2026-01-01"
    )


def earlier(store: Store, name: str = "earlier", data: str = "d", baseline: str = "baseline") -> list[TrialSpec]:
    """A sweep of the same baseline with two variants of three seeds, one of a seed alone, one that failed."""
    trials = trained(store, {"baseline": 0.3, "other": 0.5}, (7, 8, 9)) + trained(store, {"lone": 0.5}, (7,))
    trials += [put(store, "failed", seed, TrialState.FAILED, {}) for seed in (7, 8)]
    trials = [replace(trial, data=data) for trial in trials]
    write_sweep_record(replace(record(name, trials), baseline=baseline), store)
    return trials


def test_a_sweep_of_one_seed_borrows_what_a_seed_does(tmp_path: Path) -> None:
    store = Store(tmp_path)
    trials = trained(store, QUALITIES, (1,))
    alone = compared(trials, store)
    assert variants(alone)["high"].difference.verdict == UNKNOWN
    earlier(store)
    found = compared(trials, store)
    assert found.seeds is not None
    assert (found.seeds.trainings, found.seeds.variants) == (6, 2)
    assert found.seeds.source == "finished trials of the same data and baseline in this store (earlier)"
    assert variants(found)["high"].difference.verdict != UNKNOWN
    assert {one.label for one in found.variants} == set(QUALITIES)  # lent trainings are no variants


def test_what_a_sweep_shows_itself_is_not_borrowed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    trials = trained(store, QUALITIES, (1, 2))
    earlier(store)
    comparison: Comparison = compared(trials, store)
    assert comparison.seeds is not None
    assert comparison.seeds.source == "the variants of this sweep"


@pytest.mark.parametrize("other", [{"data": "elsewhere"}, {"baseline": "other"}])
def test_other_data_or_another_baseline_lend_nothing(tmp_path: Path, other: dict[str, str]) -> None:
    store = Store(tmp_path)
    trials = trained(store, QUALITIES, (1,))
    earlier(store, **other)
    assert borrowed_trials(trials, store, "baseline") == {}


def test_a_training_is_lent_once_and_damage_lends_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    trials = trained(store, QUALITIES, (1,))
    earlier(store)
    earlier(store, name="same again")
    damaged = tmp_path / "damaged" / "sweep.json"
    damaged.parent.mkdir()
    damaged.write_text("{")
    assert list(borrowed_trials(trials, store, "baseline")) == ["earlier: baseline", "earlier: other"]
