"""Expected numbers are worked by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from agropest import files
from agropest.analysis.progress import SweepProgress, TrialProgress, best_progress, count_by_status, time_left_s
from agropest.store.records import EvaluationRecord, Heartbeat, Status, TrialState
from agropest.store.store import Store
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.trial import TrialSpec


def make(store: Store, label: str, seed: int = 1) -> tuple[TrialSpec, TrialFolder]:
    trial = TrialSpec(label, seed, {"SOLVER.MAX_ITER": 100, "TEST.EVAL_PERIOD": 10, "LABEL": label, "SEED": seed}, "d")
    return trial, store.folder(trial).claim()


def evaluate(folder: TrialFolder, iteration: int, ap: float | None) -> None:
    record = EvaluationRecord("valid", iteration, {"AP": ap}, num_boxes=1, num_images=1, time_s=0.1)
    folder.write_evaluation(record, lambda path: files.write_bytes(path, b"boxes"))


def test_a_trial_is_compared_with_the_baseline_of_its_seed_at_its_iteration(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = [make(store, label, seed) for label in ("baseline", "focal") for seed in (1, 2)]
    for (trial, folder), scores in zip(made, [(10.0, 30.0), (20.0,), (15.0,), (0.0, 5.0)], strict=True):
        folder.write_status(Status(TrialState.RUNNING, trial.eval_period_iters * len(scores)))
        for number, score in enumerate(scores, start=1):
            evaluate(folder, 10 * number, score)
    trial_progress = SweepProgress([trial for trial, _ in made], store, "AP", "baseline").read()
    assert [one.value for one in trial_progress] == [30.0, 20.0, 15.0, 5.0]
    # focal/s1 at 10 against baseline/s1 at 10; baseline/s2 has nothing at 20 that focal/s2 could be compared with
    assert [one.change for one in trial_progress] == [None, None, 5.0, None]
    best = best_progress(trial_progress)
    assert best is not None
    assert best.trial.name == "baseline/s1"


def test_what_changes_is_seen_and_zero_is_a_value(tmp_path: Path) -> None:
    store = Store(tmp_path)
    trial, folder = make(store, "baseline")
    reader = SweepProgress([trial], store, "AP", "baseline")
    assert (reader.read()[0].status, reader.read()[0].value, reader.read()[0].left_s) == ("new", None, None)
    folder.write_status(Status(TrialState.RUNNING, 0))
    evaluate(folder, 10, 0.0)
    assert (reader.read()[0].value, reader.read()[0].iteration) == (0.0, 10)
    evaluate(folder, 20, None)
    one = reader.read()[0]
    assert (one.value, one.value_iteration, one.best) == (None, 20, 0.0)


NOW = 1_800_000_000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that stands still."""
    monkeypatch.setattr("time.time", lambda: NOW)


def test_the_time_left_follows_from_the_heartbeats_of_this_launch(clock: None, tmp_path: Path) -> None:
    store = Store(tmp_path)
    trial, folder = make(store, "baseline")
    folder.write_status(Status(TrialState.RUNNING, 0))
    reader = SweepProgress([trial], store, "AP", "baseline")
    assert reader.read()[0].left_s is None
    for iteration, at in ((10, NOW - 40), (30, NOW)):  # 20 iterations in 40 s
        folder.write_heartbeat(Heartbeat(iteration, at, images_per_s=8.0, gpu_memory_gib=2.7))
        reader.read()
    one = reader.read()[0]
    assert one.left_s == 70 * 2.0
    assert (one.iteration, one.images_per_s, one.gpu_memory_gib) == (30, 8.0, 2.7)
    folder.write_status(Status(TrialState.FINISHED, 100, 200.0))
    ended = reader.read()[0]
    assert (ended.left_s, ended.images_per_s, ended.gpu_memory_gib) == (0.0, 0.0, 0.0)


def test_a_heartbeat_of_an_earlier_launch_says_nothing_of_the_speed(clock: None, tmp_path: Path) -> None:
    store = Store(tmp_path)
    trial, folder = make(store, "baseline")
    folder.write_status(Status(TrialState.RUNNING, 0))
    folder.write_heartbeat(Heartbeat(10, NOW - 86400))
    reader = SweepProgress([trial], store, "AP", "baseline")
    reader.read()
    folder.write_heartbeat(Heartbeat(12, NOW - 4))
    reader.read()
    folder.write_heartbeat(Heartbeat(14, NOW))  # 2 iterations in 4 s, not 4 in a day
    assert reader.read()[0].left_s == 86 * 2.0


def progress_of(status: str, left_s: float | None) -> TrialProgress:
    trial = TrialSpec("a", 1, {"SOLVER.MAX_ITER": 100}, "d")
    return TrialProgress(trial, TrialState(status), "", 0, None, None, None, None, 0.0, 0.0, left_s)


@pytest.mark.parametrize(
    ("trial_progress", "expected"),
    [
        ([progress_of("running", 60.0), progress_of("running", 60.0), progress_of("new", 100.0)], 110.0),
        ([progress_of("running", 10.0), progress_of("running", 10.0), progress_of("new", 100.0)], 100.0),
        ([progress_of("running", 60.0), progress_of("new", None)], None),
        ([progress_of("new", 60.0)], None),
        ([progress_of("finished", 0.0), progress_of("failed", 0.0)], 0.0),
    ],
)
def test_the_sweep_shares_what_is_left_among_the_trials_that_run(
    trial_progress: list[TrialProgress], expected: float | None
) -> None:
    assert time_left_s(trial_progress) == expected


def test_statuses_are_counted() -> None:
    assert count_by_status([progress_of("new", None), progress_of("running", 1.0), progress_of("new", None)]) == {
        "new": 2,
        "running": 1,
    }
