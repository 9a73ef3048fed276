from __future__ import annotations

from pathlib import Path

from agropest import files
from agropest.analysis.ranking import rank_trials
from agropest.store.records import VALID_AUGMENTED, EvaluationRecord, Status, TrialState
from agropest.store.store import Store
from agropest.sweep.trial import TrialSpec


def put(store: Store, label: str, status: Status, *scores: float | None, test: float | None = None) -> TrialSpec:
    """Stores a trial with one evaluation for each score, at iterations 10, 20, ..."""
    config = {"SOLVER.MAX_ITER": 100, "TEST.EVAL_PERIOD": 10, "LABEL": label}
    trial = TrialSpec(label=label, seed=1, config=config, data="d")
    folder = store.folder(trial).claim()
    for number, score in enumerate(scores, start=1):
        record(folder, "valid", 10 * number, score)
    if test is not None:
        record(folder, "test", 10, test)
    folder.write_status(status)
    return trial


def record(folder: object, split: str, iteration: int, score: float | None) -> None:
    one = EvaluationRecord(split, iteration, {"AP": score, "AP50": 50.0}, num_boxes=1, num_images=1, time_s=0.1)
    folder.write_evaluation(one, lambda path: files.write_bytes(path, b"boxes"))  # type: ignore[attr-defined]


def test_only_finished_trials_have_a_rank(tmp_path: Path) -> None:
    store = Store(tmp_path)
    trials = [
        put(store, "failed", Status(TrialState.FAILED, 5, reason="NaN")),
        put(store, "stopped", Status(TrialState.STOPPED, 10), 90.0),
        put(store, "low", Status(TrialState.FINISHED, 100), 10.0, 20.0, test=19.0),
        put(store, "high", Status(TrialState.FINISHED, 100), 30.0, 25.0, test=28.0),
    ]
    rows = rank_trials(trials, store, "AP")
    assert [(row.rank, row.label) for row in rows] == [(1, "high"), (2, "low"), (None, "stopped"), (None, "failed")]
    assert (rows[0].val_iteration, rows[0].valid["AP"], rows[0].test["AP"]) == (10, 30.0, 28.0)
    assert rows[2].test == {}
    assert rows[3].reason == "NaN"


def test_of_equal_evaluations_the_first_counts_and_zero_is_a_value(tmp_path: Path) -> None:
    store = Store(tmp_path)
    trials = [
        put(store, "zero", Status(TrialState.FINISHED, 100), 0.0, 0.0),
        put(store, "none", Status(TrialState.FINISHED, 100), None),
    ]
    rows = rank_trials(trials, store, "AP")
    assert [(row.label, row.val_iteration) for row in rows] == [("zero", 10), ("none", None)]


def test_the_augmented_validation_is_what_is_ranked(tmp_path: Path) -> None:
    store = Store(tmp_path)
    trial = put(store, "tta", Status(TrialState.FINISHED, 100), 30.0, 40.0)
    folder = store.folder(trial).claim()
    record(folder, VALID_AUGMENTED, 20, 43.0)
    assert rank_trials([trial], store, "AP")[0].valid["AP"] == 43.0
