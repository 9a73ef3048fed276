"""Where a forecast gets its speeds from, what it says, and what is written beside it afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from agropest.data.dataset import Dataset
from agropest.machine import Machine
from agropest.planning.measurement import Measurement
from agropest.planning.measurement_cache import MeasurementCache
from agropest.planning.speeds import DEVICE, THREADS, Speeds
from agropest.planning.sweep_forecast import (
    add_actual,
    against_actual,
    forecast_sweep,
    in_words,
    read_forecast,
    write_forecast,
)
from agropest.statistics.detections.boxes import Boxes
from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.store import Store
from agropest.sweep.plan import expand_trials
from agropest.sweep.sections.stop_rule import StopRule
from agropest.sweep.spec import load_sweep
from agropest.sweep.trial import TrialSpec

MACHINE = Machine("EPYC", 2)
DEVICE_NAME = "EPYC, 2 cores"
IMAGES = {"train": 10, "valid": 6, "test": 4}


@pytest.fixture
def trials(tiny_sweep: Path, tiny_dataset: Dataset) -> list[TrialSpec]:
    return expand_trials(load_sweep(tiny_sweep), tiny_dataset.fingerprint, tiny_dataset.class_names)


def store_a_trial(
    store: Store, trial: TrialSpec, images_per_s: float, device: str = DEVICE_NAME, threads: int | None = None
) -> None:
    folder = store.folder(trial).claim()
    folder.write_spec(trial)
    record = EvaluationRecord("valid", 2, {"AP": 1.0}, 0, 6, 0.6, images_per_s, {DEVICE: device, THREADS: threads})
    nothing = np.zeros(0, dtype=np.int64)
    folder.write_evaluation(record, Boxes(nothing, nothing, np.zeros((0, 4), np.float32), np.zeros(0, np.float32)).save)


def test_nothing_measured_is_unknown_and_says_what_to_do(trials: list[TrialSpec], tmp_path: Path) -> None:
    forecast = forecast_sweep(StopRule(), trials, Store(tmp_path), MACHINE, IMAGES)
    assert forecast.wall_s is None
    assert [trial.seconds for trial in forecast.trials] == [None, None]
    assert "unknown for 2 of 2 trials" in in_words(forecast)
    assert "--probe" in in_words(forecast)


def test_the_probe_that_is_most_like_the_trial(trials: list[TrialSpec], tmp_path: Path) -> None:
    store = Store(tmp_path)
    measured = Measurement(DEVICE_NAME, 1, 0, 0.5, 0.1, 0.1, 1.0, 1, concurrent=1)
    for found in (measured, replace(measured, step_s=0.6, concurrent=2), replace(measured, threads=2, step_s=9.0)):
        MeasurementCache(store).keep(trials[0], found)
    forecast = forecast_sweep(StopRule(), trials, store, MACHINE, IMAGES)
    # 4 iterations of 0.6 s, two validations of 6 images and a test of 4 at 0.1 s, 1 s to start
    assert forecast.trials[0].seconds == pytest.approx(1 + 4 * 0.6 + 1.6)
    assert [trial.source for trial in forecast.trials] == ["probe", "probe of a similar trial"]
    assert forecast.wall_s == pytest.approx(5.0)  # both at once
    other = Machine("Xeon", 2)
    assert forecast_sweep(StopRule(), trials, store, other, IMAGES).wall_s is None


def test_trials_in_the_store_come_before_probes(trials: list[TrialSpec], tmp_path: Path) -> None:
    store = Store(tmp_path)
    MeasurementCache(store).keep(trials[0], Measurement(DEVICE_NAME, 1, 0, 9.0, 0.1, 0.1, 1.0, 1))
    store_a_trial(store, replace(trials[0], config={**trials[0].config, "SEED": 5}), images_per_s=4.0)
    store_a_trial(store, replace(trials[0], config={**trials[0].config, "SEED": 6}), 400.0, device="another")
    forecast = forecast_sweep(StopRule(), trials, store, MACHINE, IMAGES)
    assert [trial.source for trial in forecast.trials] == [
        "1 such trial in the store",
        "1 similar trial in the store",
    ]
    assert forecast.trials[0].seconds == pytest.approx(2 + 4 * 0.5 + 16 * 0.1)


def test_trials_with_as_many_threads_come_first(trials: list[TrialSpec], tmp_path: Path) -> None:
    store, own = Store(tmp_path), trials[0].resources.num_threads
    store_a_trial(store, replace(trials[0], config={**trials[0].config, "SEED": 5}), 4.0, threads=own + 3)
    assert Speeds(store, DEVICE_NAME).of(trials[0]).source == "1 such trial in the store with other threads"  # type: ignore[union-attr]
    store_a_trial(store, replace(trials[0], config={**trials[0].config, "SEED": 6}), 8.0, threads=own)
    speed = Speeds(store, DEVICE_NAME).of(trials[0])
    assert speed is not None
    assert (speed.source, speed.step_s) == ("1 such trial in the store", 0.25)


def test_what_has_ended_is_not_counted_and_the_actual_is_written(trials: list[TrialSpec], tmp_path: Path) -> None:
    store = Store(tmp_path)
    store_a_trial(store, trials[0], 4.0)
    forecast = forecast_sweep(StopRule("asha", 2), trials, store, MACHINE, IMAGES)
    write_forecast(tmp_path / "s", forecast)
    first = read_forecast(tmp_path / "s")
    assert first is not None
    assert first["actual"] is None
    assert [trial["name"] for trial in first["trials"]] == [trial.name for trial in trials]
    assert first["stopped_early_wall_s"] < first["wall_s"]
    store.folder(trials[0]).claim().write_status(Status(TrialState.FINISHED, 4, 12.0))
    add_actual(tmp_path / "s", trials, store, {trials[0].name: 2.0}, 30.0)
    content = read_forecast(tmp_path / "s")
    assert content is not None
    assert content["actual"] == {
        "wall_s": 30.0,
        "trials": {trials[0].name: {"status": "finished", "seconds": 10.0}},
    }
    rest = forecast_sweep(StopRule(), trials, store, MACHINE, IMAGES)
    assert [trial.name for trial in rest.trials] == [trials[1].name]


def test_a_forecast_is_held_against_what_it_took() -> None:
    trials = [{"name": "a/s1", "seconds": 100.0}, {"name": "b/s1", "seconds": 50.0}, {"name": "c/s1", "seconds": None}]
    content = {"wall_s": 100.0, "stopped_early_wall_s": 80.0, "trials": trials, "actual": None}
    assert against_actual(None) == against_actual(content) == ""
    ran = {
        "a/s1": {"status": "finished", "seconds": 110.0},
        "b/s1": {"status": "stopped", "seconds": 10.0},
        "c/s1": {"status": "finished", "seconds": 10.0},
    }
    told = against_actual({**content, "actual": {"wall_s": 90.0, "trials": ran}})
    assert told == (
        "The last launch was forecast to take 2 min (80 s with early stopping) and took 2 min; its finished trials "
        "took 1.10 in the median (1.10 to 1.10) of their forecasts."
    )


def test_the_words(trials: list[TrialSpec], tmp_path: Path) -> None:
    store = Store(tmp_path)
    store_a_trial(store, trials[0], 4.0)
    known = forecast_sweep(StopRule("asha", 2), trials, store, MACHINE, IMAGES)
    now = datetime(2026, 1, 31, 23, 0, tzinfo=UTC)
    text = in_words(replace(known, wall_s=7200.0, stopped_early_wall_s=600.0), now)
    assert text == (
        "forecast: 2 h 00 min, done 2026-02-01 01:00; with early stopping 10 min, done 23:10 "
        "(if asha lets 1 in 2 continue at each rung) "
        "[EPYC, 2 cores; from 1 such trial in the store, 1 similar trial in the store]"
    )
    assert in_words(replace(known, trials=())) == "forecast: nothing is left to run"


def test_iterations_that_another_trial_trains_or_has_trained_are_counted_once(
    trials: list[TrialSpec], tmp_path: Path
) -> None:
    store = Store(tmp_path)
    base = trials[0]
    store_a_trial(store, replace(base, data="other seeds"), images_per_s=1.0)
    store_a_trial(store, base, images_per_s=1.0)  # 2 s an iteration of 2 images, 0.1 s for an evaluated image
    small = replace(base, label="small", config={**base.config, "INPUT.MIN_SIZE_TEST": 48})
    pair = [small, base]
    expected = {trial.name: trial.seconds for trial in forecast_sweep(StopRule(), pair, store, MACHINE, IMAGES).trials}
    assert expected[small.name] is not None
    assert expected[base.name] is not None
    assert expected[small.name] - expected[base.name] == pytest.approx(4 * 2.0)  # the first of the two trains
    found = forecast_sweep(StopRule(), pair, store, MACHINE, IMAGES)
    ends = {one.name: one.end_s for one in found.trials}
    assert ends[base.name] == ends[small.name] == found.wall_s  # both at once: the second waits for the first
    known = forecast_sweep(StopRule(), pair, store, MACHINE, IMAGES, reached={small.name: 2})
    assert {one.name: one.seconds for one in known.trials}[small.name] == pytest.approx(expected[small.name] - 2 * 2.0)


def test_a_variant_costs_a_whole_training_wherever_its_trial_stands(trials: list[TrialSpec], tmp_path: Path) -> None:
    store = Store(tmp_path)
    store_a_trial(store, replace(trials[0], config={**trials[0].config, "SEED": 5}), images_per_s=4.0)
    fresh = forecast_sweep(StopRule(), trials, store, MACHINE, IMAGES)
    whole_s = 2 + 4 * 0.5 + 16 * 0.1
    assert fresh.seconds_of_variants(trials) == pytest.approx({"baseline": whole_s, "focal": whole_s})
    store.folder(trials[0]).claim().write_status(Status(TrialState.INTERRUPTED, 2))
    rest = forecast_sweep(StopRule(), trials, store, MACHINE, IMAGES)
    assert rest.of(trials[0].name).seconds == pytest.approx(whole_s - 2 * 0.5 - 6 * 0.1)  # type: ignore[union-attr]
    assert rest.seconds_of_variants(trials) == fresh.seconds_of_variants(trials)
    only = forecast_sweep(StopRule(), trials[1:], store, MACHINE, IMAGES)
    assert only.seconds_of_variants(trials) == {}


def test_what_the_sweep_has_stopped_is_repaired_not_trained(trials: list[TrialSpec], tmp_path: Path) -> None:
    store = Store(tmp_path)
    store_a_trial(store, replace(trials[0], config={**trials[0].config, "SEED": 5}), images_per_s=4.0)
    store.folder(trials[0]).claim().write_status(Status(TrialState.STOPPED, 2, stopped_for=("mine",)))
    ours = forecast_sweep(StopRule(), trials, store, MACHINE, IMAGES, stopper="mine")
    assert ours.of(trials[0].name).seconds == pytest.approx(2 + 6 * 0.1)  # type: ignore[union-attr]
    theirs = forecast_sweep(StopRule(), trials, store, MACHINE, IMAGES, stopper="theirs")
    assert theirs.of(trials[0].name).seconds == pytest.approx(2 + 2 * 0.5 + 10 * 0.1)  # type: ignore[union-attr]


def test_who_is_only_repaired_trains_nothing_for_others(trials: list[TrialSpec], tmp_path: Path) -> None:
    store, base = Store(tmp_path), trials[0]
    store_a_trial(store, replace(base, data="other seeds"), images_per_s=1.0)
    small = replace(base, label="small", config={**base.config, "INPUT.MIN_SIZE_TEST": 48})
    store.folder(small).claim().write_status(Status(TrialState.STOPPED, 2, stopped_for=("mine",)))
    [alone] = forecast_sweep(StopRule(), [base], store, MACHINE, IMAGES).trials
    beside = forecast_sweep(StopRule(), [small, base], store, MACHINE, IMAGES, stopper="mine")
    assert beside.of(base.name).seconds == alone.seconds  # type: ignore[union-attr]
