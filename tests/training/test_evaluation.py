"""Batched evaluation finds what an evaluation image by image finds, and mixed precision trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agropest.data.dataset import Dataset
from agropest.store.records import TrialState
from agropest.store.store import Store
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.sweep.stages.training import training_signature, validation_key
from agropest.sweep.trial import TrialSpec
from agropest.training import evaluation
from agropest.training.evaluation import detect
from agropest.training.evaluator import Evaluator
from agropest.training.input.mapper import TestMapper
from agropest.training.input.records import load_records
from agropest.training.run_context import RunContext
from agropest.training.trainer import TrialTrainer
from agropest.training.trial import detectron2_config, run_trial


def trial_of(sweep: Path, dataset: Dataset, *settings: str) -> TrialSpec:
    return expand_trials(load_sweep(sweep, settings), dataset.fingerprint, dataset.class_names)[0]


def test_images_in_a_batch_have_the_boxes_that_each_has_alone(
    tiny_sweep: Path, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tolerance is float32's over a sum in another order."""
    trial = trial_of(tiny_sweep, tiny_dataset, "MODEL.ROI_HEADS.SCORE_THRESH_TEST=0.0")
    cfg = detectron2_config(trial, "cpu")
    torch.manual_seed(0)
    model = TrialTrainer(cfg, "cpu").model
    split = load_records("valid", *tiny_dataset.paths["valid"])
    assert len({(record["height"], record["width"]) for record in split.dicts}) == 1  # all six in one batch
    together = detect(model, split.dicts, TestMapper(cfg), split.category_ids).boxes
    monkeypatch.setattr(evaluation, "IMAGES_PER_BATCH", 1)
    alone = detect(model, split.dicts, TestMapper(cfg), split.category_ids).boxes
    assert len(together) == len(alone) > 6
    np.testing.assert_array_equal(together.image_id, alone.image_id)
    np.testing.assert_allclose(together.score, alone.score, atol=1e-5)
    np.testing.assert_allclose(together.bbox_xywh, alone.bbox_xywh, atol=1e-2)


@pytest.mark.parametrize("ahead", [1, 4, 100])
def test_pictures_that_a_thread_prepares_are_the_same_in_the_same_order(ahead: int) -> None:
    records = [{"image_id": i} for i in range(7)]
    prepared: list[int] = []

    def mapper(record: dict[str, Any]) -> dict[str, Any]:
        prepared.append(record["image_id"])
        return {**record, "image": -record["image_id"]}

    inputs = evaluation._mapped(mapper, records, ahead)
    assert [next(inputs)["image"] for _ in range(2)] == [0, -1]
    assert len(prepared) <= 2 + ahead + 1  # no more than that are in memory
    assert [one["image"] for one in inputs] == [-2, -3, -4, -5, -6]
    assert prepared == list(range(7))


def test_an_error_of_the_thread_is_raised_and_whoever_leaves_leaves_no_work() -> None:
    def mapper(record: dict[str, Any]) -> dict[str, Any]:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(evaluation._mapped(mapper, [{"image_id": 1}], 2))
    started: list[int] = []
    inputs = evaluation._mapped(lambda record: started.append(1) or record, [{"i": i} for i in range(1000)], 2)
    next(inputs)
    inputs.close()  # type: ignore[attr-defined]
    assert len(started) <= 4


def test_mixed_precision_trains_close_to_full_precision(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    """bfloat16 has 8 bits of a number: weights move in the same direction, not to the same place."""
    start, ends = {}, []
    for number, amp in enumerate(("false", "true")):
        trial = trial_of(tiny_sweep, tiny_dataset, f"SOLVER.AMP.ENABLED={amp}")
        trainer = TrialTrainer(detectron2_config(trial, "cpu"), "cpu")
        start = {name: tensor.clone() for name, tensor in trainer.model.named_parameters()}
        folder = Store(tmp_path / str(number)).folder(trial).claim()
        status = run_trial(trial, folder, RunContext(tiny_dataset.paths), lambda _: None)
        assert status.status == TrialState.FINISHED, status.reason
        [path] = sorted(folder.checkpoints.glob("*4.pth"))
        content = torch.load(path, weights_only=True)
        ends.append(torch.cat([(content["model"][name] - start[name]).flatten() for name in start]))
    full, mixed = ends
    assert full.norm() > 0
    assert torch.nn.functional.cosine_similarity(full, mixed, dim=0) > 0.9
    assert not full.equal(mixed)


def test_evaluation_in_mixed_precision_is_asked_for_and_is_another_evaluation(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    """Of the same weights: scores agree to bfloat16's 8 bits, and are not the same; the training is shared."""
    settings = ("MODEL.ROI_HEADS.SCORE_THRESH_TEST=0.0", "SOLVER.AMP.ENABLED=true")
    plain = trial_of(tiny_sweep, tiny_dataset, *settings)
    mixed = trial_of(tiny_sweep, tiny_dataset, *settings, "TEST.AMP.ENABLED=true")
    assert plain.signature != mixed.signature
    assert training_signature(plain) == training_signature(mixed)
    assert validation_key(plain) != validation_key(mixed)
    torch.manual_seed(0)
    model = TrialTrainer(detectron2_config(plain, "cpu"), "cpu").model
    found = {}
    for trial in (plain, mixed):
        folder = Store(tmp_path / "r").folder(trial).claim()
        cfg = detectron2_config(trial, "cpu")
        evaluator = Evaluator(trial, folder, RunContext(tiny_dataset.paths), cfg, lambda: False)
        found[trial.signature] = evaluator.detect("valid", model).boxes
    one, two = found[plain.signature], found[mixed.signature]
    assert len(one) > 6
    assert one.score.dtype == two.score.dtype == np.float32
    highest = [float(boxes.score.max()) for boxes in (one, two)]
    assert highest[0] == pytest.approx(highest[1], abs=0.01)
    assert highest[0] != highest[1]


def test_a_trial_is_evaluated_in_mixed_precision_with_augmentation_as_well(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    settings = ("TEST.AMP.ENABLED=true", "TEST.AUG.ENABLED=true", "TEST.AUG.MIN_SIZES=[48, 64]")
    trial = trial_of(tiny_sweep, tiny_dataset, *settings)
    folder = Store(tmp_path / "r").folder(trial).claim()
    status = run_trial(trial, folder, RunContext(tiny_dataset.paths), lambda _: None)
    assert (status.status, status.reason) == (TrialState.FINISHED, "")


def test_losses_are_not_waited_for_in_every_iteration_on_a_card(
    tiny_sweep: Path, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = trial_of(tiny_sweep, tiny_dataset)
    trainer = TrialTrainer(detectron2_config(trial, "cpu"), "cpu")
    waited: list[int] = []
    monkeypatch.setattr(trainer, "require_finite", lambda: waited.append(trainer.iter + 1))
    monkeypatch.setattr(trainer, "training_model", lambda _: {"loss": next(iter(trainer.model.parameters())).sum()})
    monkeypatch.setattr(trainer, "device", torch.device("cuda"))  # only looked at
    trainer.batches = iter([[]] * 45)
    for trainer.iter in range(45):
        trainer.run_step()
    assert waited == [20, 40]
