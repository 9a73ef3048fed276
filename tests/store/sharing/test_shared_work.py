"""What others have done of a trial, read from the store alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agropest import files
from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.sharing.shared_work import AVERAGES, SharedWork, all_sharing, with_checkpoints
from agropest.store.store import Store
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.detectron2_keys import default_config
from agropest.sweep.trial import TrialSpec

SCHEDULE = {"SOLVER.MAX_ITER": 60, "SOLVER.STEPS": [], "SOLVER.WARMUP_ITERS": 10, "TEST.EVAL_PERIOD": 20, "SEED": 1}
BASE = {**default_config(), **SCHEDULE}


def trial(label: str, **changes: Any) -> TrialSpec:
    return TrialSpec(label, 1, {**BASE, **{key.replace("__", "."): value for key, value in changes.items()}}, "data")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


ONE = trial("one")
SMALL = trial("small", INPUT__MIN_SIZE_TEST=400)
AUGMENTED = trial("augmented", TEST__AUG__ENABLED=True)
AVERAGED = trial("averaged", SOLVER__EMA__ENABLED=True)
TRIALS = [ONE, SMALL, AUGMENTED, AVERAGED]


def checkpoint(folder: TrialFolder, iteration: int, **seal: Any) -> None:
    for suffix in (".pth", ".json"):
        files.write_json(
            (folder.checkpoints / f"{iteration:08d}").with_suffix(suffix), {"iteration": iteration, **seal}
        )


def evaluation(folder: TrialFolder, iteration: int) -> None:
    record = EvaluationRecord("valid", iteration, {"AP": 50.0}, 0, 1, 1.0)
    folder.write_evaluation(record, lambda path: files.write_bytes(path, b"boxes"))


def done(trial: TrialSpec, store: Store, metric: str = "AP", now: int = 0) -> list[tuple[int, bool, bool]]:
    """Returns iteration, whether its weights are there, and whether its evaluation is."""
    work = SharedWork(trial, all_sharing(TRIALS, store)[trial.name], metric)
    steps = work.done_by_others(now, trial.max_iter)
    return [(step.iteration, step.weights_of is not None, step.record is not None) for step in steps]


def test_checkpoints_are_taken_one_after_the_other_and_evaluations_where_they_are_the_same(store: Store) -> None:
    folder = store.folder(ONE).claim()
    for iteration in (20, 60):
        checkpoint(folder, iteration, averages=[])
    assert done(SMALL, store) == [(20, True, False)]  # at 40 there is nothing to evaluate
    assert done(SMALL, store, now=20) == []
    assert done(SMALL, store, now=40) == [(60, True, False)]
    for iteration in (20, 40, 60):
        evaluation(folder, iteration)
    assert done(SMALL, store) == [(20, True, False)]  # at another size it finds other boxes
    # Plain validation is the same with and without augmentation, which comes after the last iteration.
    assert done(AUGMENTED, store) == [(20, True, True), (40, False, True), (60, True, True)]
    assert done(AUGMENTED, store, metric="AP-Ants") == [(20, True, False)]
    (folder.evaluations / "valid-00000040.npz").write_bytes(b"damag")
    assert done(AUGMENTED, store) == [(20, True, True)]


def test_averaged_weights_are_taken_only_from_a_checkpoint_that_has_them(store: Store) -> None:
    folder = store.folder(ONE).claim()
    checkpoint(folder, 20)  # of a version that kept no averages for others
    assert done(AVERAGED, store) == []
    checkpoint(folder, 20, **{AVERAGES: [0.99]})
    assert done(AVERAGED, store) == []
    checkpoint(folder, 20, **{AVERAGES: [0.99, 0.999]})
    assert done(AVERAGED, store) == [(20, True, False)]
    assert done(SMALL, store) == [(20, True, False)]
    alike = replace(AVERAGED, label="alike", config={**AVERAGED.config, "INPUT.MIN_SIZE_TEST": 400})
    old = store.folder(AVERAGED).claim()
    checkpoint(old, 20)
    folder.remove_checkpoints()
    work = SharedWork(alike, all_sharing([*TRIALS, alike], store)["alike/s1"], "AP")
    assert [step.iteration for step in work.done_by_others(0, 60)] == [20]


def test_a_checkpoint_is_needed_until_everyone_who_waits_for_it_has_passed_or_ended(store: Store) -> None:
    sharing = all_sharing([ONE, SMALL, AUGMENTED], store)["one/s1"]
    assert [(sharer.name, sharer.until, sharer.wanted) for sharer in sharing.sharers] == [
        ("small/s1", 60, (20, 40, 60)),
        ("augmented/s1", 60, (20, 40, 60)),
    ]
    assert sharing.still_needed({10, 20, 40, 60}) == {20, 40, 60}
    store.folder(AUGMENTED).claim().write_status(Status(TrialState.FINISHED, 60))
    store.folder(SMALL).claim().write_status(Status(TrialState.RUNNING, 20))
    assert sharing.still_needed({10, 20, 40, 60}) == {40, 60}
    store.folder(SMALL).claim().write_status(Status(TrialState.FINISHED, 60))
    assert sharing.still_needed({20, 40, 60}) == set()


def test_other_sweeps_trials_are_found_by_what_they_trained_and_nothing_is_kept_for_them(store: Store) -> None:
    longer = trial("longer", SOLVER__MAX_ITER=80)
    strange = trial("strange", SOLVER__BASE_LR=0.5)
    for other in (SMALL, strange, AVERAGED):
        folder = store.folder(other).claim()
        folder.write_spec(other, "another sweep")
        checkpoint(folder, 60, averages=[])
    store.folder(AUGMENTED).claim().write_spec(AUGMENTED)  # has no checkpoint to offer
    (store.folder(AVERAGED).path / "trial.json").write_text("{}")
    sharers = all_sharing([longer], store, with_checkpoints(store))["longer/s1"].sharers
    assert [(sharer.name, sharer.until, sharer.wanted) for sharer in sharers] == [("small/s1", 60, ())]
    assert all_sharing([longer], store)["longer/s1"].sharers == ()
