"""Trials that evaluate what another has trained: one forward pass where it is the same, and the same bytes as alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agropest import files
from agropest.data.dataset import Dataset
from agropest.store.records import Status, TrialState
from agropest.store.sharing.evaluated_checkpoint import evaluated_iteration, missing_checkpoint
from agropest.store.sharing.shared_work import STAGES, TAKEN_FROM, all_sharing
from agropest.store.store import Store
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.sweep.trial import TrialSpec
from agropest.training import evaluator as evaluator_module
from agropest.training.evaluation import Detections
from agropest.training.run_context import RunContext
from agropest.training.trial import run_trial
from tests.training.test_shared_training import require_same_evaluations

NMS, SCORE = "MODEL.ROI_HEADS.NMS_THRESH_TEST", "MODEL.ROI_HEADS.SCORE_THRESH_TEST"
AFTER_THE_FORWARD_PASS = [f"baseline+{name}" for name in ("nms-0.2-0.05", "nms-0.2-0.076", "nms-0.9-0.05", "few")]
EVALUATE = f"""
evaluate:
  nms: {{of: baseline, {NMS}: {{each: [0.2, 0.9]}}, {SCORE}: {{each: [0.05, 0.076]}}, TEST.DETECTIONS_PER_IMAGE: 3000}}
  few: {{of: baseline, TEST.DETECTIONS_PER_IMAGE: 2}}
  small: {{of: baseline, INPUT.MIN_SIZE_TEST: 48}}
  last: {{of: baseline, checkpoint: last}}
  averaged: {{of: baseline, SOLVER.EMA: {{ENABLED: true, DECAY: 0.5}}}}
  augmented: {{of: baseline, TEST.AUG: {{ENABLED: true, MIN_SIZES: [48, 64]}}}}
"""


@pytest.fixture
def trials(tiny_sweep: Path, tiny_dataset: Dataset) -> dict[str, TrialSpec]:
    """A training of four iterations and what evaluates it; another training that nobody evaluates."""
    tiny_sweep.write_text(tiny_sweep.read_text() + EVALUATE)
    planned = expand_trials(load_sweep(tiny_sweep), tiny_dataset.fingerprint, tiny_dataset.class_names)
    return {trial.label: trial for trial in planned}


@pytest.fixture
def forward_passes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Where a model was run over a split, and over how many pictures."""
    seen: list[tuple[str, int]] = []
    detect = evaluator_module.detect

    def counted(model: object, records: list[dict[str, object]], *rest: object) -> Detections:
        seen.append((type(model).__name__, len(records)))
        return detect(model, records, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluator_module, "detect", counted)
    return seen


def run_all(labels: list[str], trials: dict[str, TrialSpec], dataset: Dataset, results: Path) -> dict[str, TrialFolder]:
    """Runs some of the trials as a launch of all of them would; returns their folders."""
    store = Store(results)
    sharing = all_sharing(list(trials.values()), store)
    return {label: run_one(trials[label], dataset, store, sharing[trials[label].name])[1] for label in labels}


def run_one(trial: TrialSpec, dataset: Dataset, store: Store, sharing: object) -> tuple[Status, TrialFolder]:
    folder = store.folder(trial).claim()
    splits = {name: (split.annotations, split.image_root) for name, split in dataset.splits.items()}
    status = run_trial(trial, folder, RunContext(splits, sharing=sharing), lambda record: None)  # type: ignore[arg-type]
    return status, folder


def referees(folder: TrialFolder) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = files.read_json(folder.path / "referee.json")
    assert all(one["difference"] < 1e-9 for one in found)
    return found


def test_what_differs_after_the_forward_pass_needs_one_and_gives_the_bytes_of_an_evaluation_alone(
    trials: dict[str, TrialSpec], tiny_dataset: Dataset, tmp_path: Path, forward_passes: list[tuple[str, int]]
) -> None:
    together = run_all(["baseline", *AFTER_THE_FORWARD_PASS], trials, tiny_dataset, tmp_path / "r")
    trained = [("LeanGeneralizedRCNN", 6)] * 2 + [("LeanGeneralizedRCNN", 4)]
    assert forward_passes == [*trained, ("Recorded", 6), ("Recorded", 4)]
    assert {path.name.split("-")[-3] for path in (tmp_path / "r" / STAGES).glob("*.npz")} == {"valid", "test"}
    asked = [{one["referee"].split()[0] for one in referees(together[label])} for label in AFTER_THE_FORWARD_PASS]
    assert asked == [{"pycocotools"}, {"the"}, {"the"}, {"the"}]  # once for a forward pass, else the bootstrap's own
    assert all(len(referees(folder)) == 2 for folder in together.values())
    forward_passes.clear()
    store, baseline = Store(tmp_path / "r"), together["baseline"]
    for label in AFTER_THE_FORWARD_PASS:
        alone = replace(trials[label], label=f"alone-{label}")
        with_others = together[label]
        aside = with_others.path.rename(tmp_path / "aside")
        status, folder = run_one(alone, tiny_dataset, Store(store.root), all_sharing([alone], store)[alone.name])
        assert status.status is TrialState.FINISHED
        require_same_evaluations(folder, TrialFolder(aside))
        assert {one["referee"].split()[0] for one in referees(folder)} == {"pycocotools"}
        folder.path.rename(tmp_path / f"done-{label}")
        aside.rename(with_others.path)
    assert forward_passes == [("LeanGeneralizedRCNN", 6), ("LeanGeneralizedRCNN", 4)] * 4
    boxes = {label: [one.num_boxes for one in together[label].read_evaluations()] for label in AFTER_THE_FORWARD_PASS}
    assert len({tuple(number) for number in boxes.values()}) == 4  # the settings do something
    assert boxes["baseline+few"] == [12]
    assert boxes["baseline+nms-0.2-0.076"] < boxes["baseline+nms-0.2-0.05"] < boxes["baseline+nms-0.9-0.05"]
    assert baseline.status().status is TrialState.FINISHED


def test_an_evaluation_is_a_finished_trial_of_its_own(
    trials: dict[str, TrialSpec], tiny_dataset: Dataset, tmp_path: Path
) -> None:
    labels = ["baseline", "baseline+small", "baseline+last", "baseline+averaged", "baseline+augmented"]
    found = run_all(labels, trials, tiny_dataset, tmp_path / "r")
    best = evaluated_iteration(trials["baseline+small"], found["baseline"])
    assert best is not None
    for label in labels[1:]:
        iteration = 4 if label == "baseline+last" else best
        status = found[label].status()
        assert (status.status, status.iteration) == (TrialState.FINISHED, 4)
        assert status.notes == (
            f"evaluates the checkpoint of iteration {iteration} of baseline/s1; nothing was trained",
        )
        for split in ("valid", "test"):
            records = found[label].read_evaluations(split)
            assert [(one.iteration, one.extra[TAKEN_FROM]) for one in records] == [(iteration, "baseline/s1")]
        assert found[label].checkpointed() == {iteration}
    # Of test-time augmentation the plain validation is the training's own, and it is evaluated augmented as well.
    augmented, own = found["baseline+augmented"], found["baseline"]
    record = augmented.read_evaluations("valid")[0]
    theirs = next(one for one in own.read_evaluations("valid") if one.iteration == best)
    assert augmented.boxes_path(record).samefile(own.boxes_path(theirs))
    assert [one.iteration for one in augmented.read_evaluations("valid_augmented")] == [best]


def test_the_averaged_weights_are_those_of_a_trial_that_evaluates_them_as_it_trains(
    trials: dict[str, TrialSpec], tiny_dataset: Dataset, tmp_path: Path
) -> None:
    keys = {"SOLVER.EMA.ENABLED": True, "SOLVER.EMA.DECAY": 0.5}
    training = replace(trials["baseline"], config={**trials["baseline"].config, **keys})
    found = run_all(["baseline", "baseline+averaged"], trials, tiny_dataset, tmp_path / "r")["baseline+averaged"]
    status, alone = run_one(
        training,
        tiny_dataset,
        Store(tmp_path / "alone"),
        all_sharing([training], Store(tmp_path / "alone"))[training.name],
    )
    assert status.status is TrialState.FINISHED
    record = found.read_evaluations("valid")[0]
    same = next(one for one in alone.read_evaluations("valid") if one.iteration == record.iteration)
    assert record.metrics == same.metrics
    assert found.boxes_path(record).read_bytes() == alone.boxes_path(same).read_bytes()


def test_a_checkpoint_that_is_not_there_is_named(
    trials: dict[str, TrialSpec], tiny_dataset: Dataset, tmp_path: Path
) -> None:
    store, small, averaged = Store(tmp_path / "r"), trials["baseline+small"], trials["baseline+averaged"]
    status, _ = run_one(small, tiny_dataset, store, all_sharing([small], store)[small.name])
    assert status.status is TrialState.FAILED
    assert "baseline/s1: expected evaluations to choose a checkpoint by" in status.reason
    baseline = trials["baseline"]
    _, folder = run_one(baseline, tiny_dataset, store, all_sharing([baseline], store)[baseline.name])
    assert missing_checkpoint(small, folder) == ""
    assert "expected averaged weights in it, with SOLVER.EMA.DECAY 0.5, got 'none'" in missing_checkpoint(
        averaged, folder
    )
    folder.remove_checkpoints()
    assert "expected a checkpoint of iteration" in missing_checkpoint(small, folder)
    status, _ = run_one(small, tiny_dataset, store, all_sharing([small], store)[small.name])
    assert status.status is TrialState.FAILED
    assert "expected the whole checkpoint of iteration" in status.reason
