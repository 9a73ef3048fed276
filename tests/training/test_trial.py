"""One real trial at toy size: what it leaves, and that an interruption changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from agropest import files
from agropest.data.dataset import Dataset
from agropest.modeling.build import build
from agropest.statistics.accuracy.evaluation import evaluate_all
from agropest.statistics.detections.boxes import Boxes
from agropest.store.completeness import is_done
from agropest.store.losses import read_losses
from agropest.store.records import OUT_OF_MEMORY, EvaluationRecord, Status, TrialState
from agropest.store.store import Store
from agropest.store.trial_folder import TrialFolder
from agropest.store.weights_report import read_weights_report
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.sweep.stages.training import training_signature, validation_key
from agropest.sweep.trial import TrialSpec
from agropest.training import checkpoints, evaluator, trainer
from agropest.training.run_context import RunContext
from agropest.training.start.weights import load_weights
from agropest.training.trainer import TrialTrainer
from agropest.training.trial import detectron2_config, run_trial


def trial_of(path: Path, dataset: Dataset, label: str, *settings: str) -> TrialSpec:
    trials = expand_trials(load_sweep(path, settings), dataset.fingerprint, dataset.class_names)
    return next(trial for trial in trials if trial.label == label)


def run(
    trial: TrialSpec,
    dataset: Dataset,
    results: Path,
    on_evaluation: Callable[[EvaluationRecord], object] = lambda record: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[Status, TrialFolder]:
    folder = Store(results).folder(trial).claim()
    splits = {name: (split.annotations, split.image_root) for name, split in dataset.splits.items()}
    return run_trial(trial, folder, RunContext(splits), on_evaluation, should_stop), folder


def weights(folder: TrialFolder, iteration: int) -> dict[str, torch.Tensor]:
    content = checkpoints.load(folder.checkpoints, iteration)
    assert content is not None
    return content["model"]


def require_equal(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> None:
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, two[name]), name


def test_a_trial_leaves_everything(tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    trial = trial_of(tiny_sweep, tiny_dataset, "baseline")
    seen: list[EvaluationRecord] = []
    status, folder = run(trial, tiny_dataset, tmp_path / "r", seen.append)
    assert (status.status, status.iteration) == (TrialState.FINISHED, 4)
    assert status.time_s > 0
    assert [record.iteration for record in seen] == [2, 4]
    assert folder.read_evaluations("valid") == seen
    assert all(record.num_images == 6 and "AP-Ants" in record.metrics for record in seen)
    assert [record.split for record in folder.read_evaluations("test")] == ["test"]
    boxes = Boxes.load(folder.boxes_path(seen[-1]))
    assert len(boxes) == seen[-1].num_boxes
    assert set(checkpoints.iterations(folder.checkpoints)) <= {2, 4}
    names = {path.name.split(".")[0] for path in folder.path.iterdir()}
    assert {"trial", "config", "status", "evaluations", "checkpoints", "events", "referee"} <= names
    said = files.read_json(folder.path / "referee.json")
    assert [finding["split"] for finding in said] == ["valid", "test"]
    assert all(finding["difference"] <= 1e-9 for finding in said)


def test_losses_are_in_the_log_and_in_a_file_of_their_own(
    tiny_sweep: Path,
    tiny_dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(trainer, "LOG_PERIOD_ITERS", 2)
    with caplog.at_level("INFO", "agropest.training.trainer"):
        _, folder = run(trial_of(tiny_sweep, tiny_dataset, "baseline"), tiny_dataset, tmp_path / "r")
    lines = read_losses(folder.path)
    assert [line.iteration for line in lines] == [2, 4]
    assert {"loss_cls", "loss_box_reg", "loss_rpn_cls", "loss_rpn_loc"} == set(lines[0].parts)
    assert lines[0].total == pytest.approx(sum(lines[0].parts.values()), rel=1e-4)
    told = [record.getMessage() for record in caplog.records if record.name == "agropest.training.trainer"]
    assert len(told) == 2
    assert all(
        text.startswith(f"iteration {line.iteration}: loss {line.total:.3f} (loss_")
        for text, line in zip(told, lines, strict=True)
    )


def test_which_layers_the_initial_weights_filled_is_in_its_folder(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    trial = trial_of(tiny_sweep, tiny_dataset, "baseline")
    model = build(detectron2_config(trial, "cpu")).state_dict()
    bias = "roi_heads.box_predictor.cls_score.bias"
    file = tmp_path / "weights.pth"
    torch.save({"model": {**model, bias: torch.zeros(3), "not.in.the.model": torch.zeros(1)}}, file)
    given = trial_of(tiny_sweep, tiny_dataset, "baseline", f"MODEL.WEIGHTS={file}")
    _, folder = run(given, tiny_dataset, tmp_path / "r", should_stop=lambda: True)
    report = files.read_json(folder.path / "weights.json")
    assert set(report["loaded"]) == set(model) - {bias}
    assert report["reinitialised"] == [f"{bias} (3,) -> (13,)"]
    assert (report["missing"], report["skipped"]) == ([], ["not.in.the.model"])
    _, without = run(trial, tiny_dataset, tmp_path / "r", should_stop=lambda: True)
    assert not (without.path / "weights.json").exists()  # everything is random


@pytest.mark.filterwarnings("ignore:torch.meshgrid")
def test_what_a_timm_backbones_weights_filled_is_there_as_well(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    whole = timm.create_model("convnext_atto").state_dict()  # with its classifier, as timm's own files
    file = tmp_path / "weights.pth"
    torch.save(whole, file)
    settings = ("BACKBONE.NAME=build_timm_fpn_backbone", "TIMM.NAME=convnext_atto", f"TIMM.WEIGHTS={file}")
    trial = trial_of(tiny_sweep, tiny_dataset, "baseline", *(f"MODEL.{setting}" for setting in settings))
    status, folder = run(trial, tiny_dataset, tmp_path / "r", should_stop=lambda: True)
    report = read_weights_report(folder)
    assert report is not None
    names = list(build(detectron2_config(trial, "cpu")).state_dict())
    body = "backbone.bottom_up.body."
    assert list(report.loaded) == [name for name in names if name.startswith(body)]
    assert list(report.missing) == [name for name in names if not name.startswith(body)]
    assert set(report.skipped) == {name for name in whole if name.startswith("head.")}
    assert len(report.skipped) == 4
    assert report.summary() in status.notes
    rpn, more = "proposal_generator.rpn_head.conv.bias", tmp_path / "more.pth"
    torch.save({"model": {rpn: torch.zeros(32)}}, more)
    both = load_weights(build(detectron2_config(trial, "cpu")), str(more))  # MODEL.WEIGHTS beside it
    assert set(both.loaded) == {*report.loaded, rpn}
    assert set(both.missing) == set(report.missing) - {rpn}


def test_an_interrupted_trial_ends_bit_for_bit_where_an_undisturbed_one_does(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    batches = ("DATALOADER.REPEAT_THRESHOLD=0.5", "INPUT.COPY_PASTE.PROB=0.9", "INPUT.ROTATION_DEGREES=10")
    colours = (f"INPUT.PHOTOMETRIC.{word}=0.3" for word in ("BRIGHTNESS", "CONTRAST", "SATURATION"))
    trial = trial_of(tiny_sweep, tiny_dataset, "focal", "SOLVER.EMA.ENABLED=true", *batches, *colours)
    _, whole = run(trial, tiny_dataset, tmp_path / "whole")
    asked = iter([False, True])
    stopped, _ = run(trial, tiny_dataset, tmp_path / "parts", should_stop=lambda: next(asked, True))
    assert stopped.status == TrialState.INTERRUPTED
    assert stopped.iteration < 4
    status, parts = run(trial, tiny_dataset, tmp_path / "parts")
    assert status.status == TrialState.FINISHED
    require_equal(weights(whole, 4), weights(parts, 4))
    one, two = (folder.read_evaluations("valid") + folder.read_evaluations("test") for folder in (whole, parts))
    assert [record.metrics for record in one] == [record.metrics for record in two]
    for record in one:
        assert whole.boxes_path(record).read_bytes() == parts.boxes_path(record).read_bytes()


@pytest.mark.parametrize("phase", ["forward", "step"])
def test_a_trial_without_memory_repeats_only_what_was_not_whole(
    phase: str, tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the forward or backward pass of the fourth iteration the weights are those of the third; in its step not."""
    trial = trial_of(tiny_sweep, tiny_dataset, "baseline", "SOLVER.CHECKPOINT_PERIOD=100", "TEST.EVAL_PERIOD=2")
    _, whole = run(trial, tiny_dataset, tmp_path / "whole")
    owner, name = {"forward": (TrialTrainer, "_losses_of"), "step": (torch.amp.GradScaler, "step")}[phase]
    original, calls = getattr(owner, name), []

    def without_memory(self: Any, *arguments: Any) -> Any:
        found = original(self, *arguments)
        calls.append(1)
        if len(calls) == 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return found

    with monkeypatch.context() as broken:
        broken.setattr(owner, name, without_memory)
        with pytest.raises(torch.OutOfMemoryError):
            run(trial, tiny_dataset, tmp_path / "parts")
    folder = Store(tmp_path / "parts").folder(trial)
    assert (folder.status().status, folder.status().reason) == (TrialState.INTERRUPTED, OUT_OF_MEMORY)
    assert checkpoints.iterations(folder.checkpoints)[0] == (3 if phase == "forward" else 2)
    status, folder = run(trial, tiny_dataset, tmp_path / "parts")
    assert status.status == TrialState.FINISHED
    require_equal(weights(whole, 4), weights(folder, 4))


def test_an_interrupted_trial_with_adamw_and_accumulation_ends_bit_for_bit_as_well(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    weighted = ("CLS_LOSS=weighted_cross_entropy", f"CLASS_WEIGHTS={[2.0, *[1.0] * 11]}")
    settings = ("SOLVER.OPTIMIZER=AdamW", "SOLVER.BASE_LR=0.001", "SOLVER.ACCUMULATION_STEPS=2")
    settings += tuple(f"MODEL.ROI_BOX_HEAD.{setting}" for setting in weighted)
    trial = trial_of(tiny_sweep, tiny_dataset, "baseline", *settings)
    _, whole = run(trial, tiny_dataset, tmp_path / "whole")
    asked = iter([False, False, True])
    stopped, _ = run(trial, tiny_dataset, tmp_path / "parts", should_stop=lambda: next(asked, True))
    assert stopped.status == TrialState.INTERRUPTED
    status, parts = run(trial, tiny_dataset, tmp_path / "parts")
    assert status.status == TrialState.FINISHED
    require_equal(weights(whole, 4), weights(parts, 4))


def test_a_damaged_checkpoint_costs_only_the_work_since_the_one_before(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    trial = trial_of(tiny_sweep, tiny_dataset, "baseline")
    _, whole = run(trial, tiny_dataset, tmp_path / "whole")
    _, folder = run(trial, tiny_dataset, tmp_path / "parts")
    last = folder.checkpoints / "00000004.pth"
    last.write_bytes(last.read_bytes()[:-100])
    for path in folder.evaluations.glob("*-00000004.*"):
        path.unlink()
    assert checkpoints.load(folder.checkpoints, 4) is None
    folder.write_status(replace(folder.status(), status=TrialState.INTERRUPTED))
    status, folder = run(trial, tiny_dataset, tmp_path / "parts")
    assert status.status == TrialState.FINISHED
    assert [record.metrics for record in folder.read_evaluations()] == [r.metrics for r in whole.read_evaluations()]
    require_equal(weights(whole, 4), weights(folder, 4))


def test_a_truthy_answer_stops_the_trial(tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    trial = trial_of(tiny_sweep, tiny_dataset, "baseline")
    status, folder = run(trial, tiny_dataset, tmp_path / "r", lambda record: True)
    assert (status.status, status.iteration) == (TrialState.STOPPED, 2)
    assert "iteration 2" in status.reason
    assert folder.read_evaluations("test") == []


PATIENT = ("SOLVER.MAX_ITER=6", "SOLVER.CHECKPOINT_PERIOD=1", "TEST.EVAL_PERIOD=1", "TEST.PATIENCE=2")


VALID_AP = {1: 10.0, 2: 30.0, 3: 20.0, 4: 30.0, 5: 40.0, 6: 50.0}


@pytest.fixture
def ap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Validation AP is that of ``VALID_AP``, whatever is found."""
    at: list[tuple[str, int]] = []
    store = evaluator.Evaluator.store

    def store_it(self: evaluator.Evaluator, found: Any, split: str, iteration: int, *rest: Any) -> EvaluationRecord:
        at.append((split, iteration))
        return store(self, found, split, iteration, *rest)

    def evaluate(*arguments: Any) -> dict[str, float | None]:
        metrics, (split, iteration) = evaluate_all(*arguments), at[-1]
        return {**metrics, "AP": VALID_AP[iteration]} if split == "valid" else metrics

    monkeypatch.setattr(evaluator.Evaluator, "store", store_it)
    monkeypatch.setattr(evaluator, "evaluate_all", evaluate)
    monkeypatch.setattr(evaluator.Evaluator, "ask_referee", lambda *_: ())  # it would contradict


def test_a_training_ends_when_its_patience_has_run_out(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path, ap: None
) -> None:
    trial = trial_of(tiny_sweep, tiny_dataset, "baseline", *PATIENT)
    without = trial_of(tiny_sweep, tiny_dataset, "baseline", *PATIENT[:-1])
    assert trial.signature != without.signature
    assert training_signature(trial) == training_signature(without)
    assert validation_key(trial) == validation_key(without)
    status, folder = run(trial, tiny_dataset, tmp_path / "r")
    assert (status.status, status.iteration) == (TrialState.FINISHED, 4)
    assert "ended after iteration 4 of 6: validation AP had not risen for 2 evaluations" in status.notes[-1]
    assert [record.iteration for record in folder.read_evaluations("valid")] == [1, 2, 3, 4]
    assert [record.iteration for record in folder.read_evaluations("test")] == [2]
    assert checkpoints.iterations(folder.checkpoints) == [4, 2]
    assert is_done(trial, Store(tmp_path / "r"), "AP", ["valid", "test"], "")


def test_an_interrupted_training_ends_where_its_patience_would_have_ended_it(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path, ap: None
) -> None:
    trial = trial_of(tiny_sweep, tiny_dataset, "baseline", *PATIENT)
    _, whole = run(trial, tiny_dataset, tmp_path / "whole")
    asked = iter([False] * 5)
    part, _ = run(trial, tiny_dataset, tmp_path / "parts", should_stop=lambda: next(asked, True))
    assert part.status == TrialState.INTERRUPTED
    assert 1 < part.iteration < 4
    status, folder = run(trial, tiny_dataset, tmp_path / "parts")
    assert (status.status, status.iteration) == (TrialState.FINISHED, 4)
    require_equal(weights(whole, 4), weights(folder, 4))
    require_equal(weights(whole, 2), weights(folder, 2))
    for path in folder.evaluations.glob("test-*"):  # what of it is lost is made again, and nothing is trained for it
        path.unlink()
    folder.write_status(replace(folder.status(), status=TrialState.INTERRUPTED))
    again, folder = run(trial, tiny_dataset, tmp_path / "parts")
    assert (again.status, again.iteration, again.notes) == (TrialState.FINISHED, 4, status.notes)
    tested = [record.metrics for record in folder.read_evaluations("test")]
    assert tested == [record.metrics for record in whole.read_evaluations("test")]


def test_a_loss_that_is_not_finite_fails_with_its_iteration(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    settings = ("SOLVER.BASE_LR=1e18", "SOLVER.CLIP_GRADIENTS.ENABLED=false", "SOLVER.WARMUP_FACTOR=1.0")
    status, folder = run(trial_of(tiny_sweep, tiny_dataset, "baseline", *settings), tiny_dataset, tmp_path / "r")
    assert status.status == TrialState.FAILED
    assert "iteration" in status.reason
    assert folder.status() == status


def test_no_checkpoint_holds_a_loss_that_is_not_finite(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU losses are read now and then, and before every checkpoint. Here the GPU is one by name only."""
    made, step = TrialTrainer.__init__, TrialTrainer.run_step

    def on_a_card(trainer: TrialTrainer, *arguments: Any, **named: Any) -> None:
        made(trainer, *arguments, **named)
        trainer.device = torch.device("cuda")

    def diverges(trainer: TrialTrainer) -> None:
        step(trainer)
        if trainer.iter == 0:
            trainer._recent[-1] = {"loss_cls": torch.tensor(float("nan"))}

    monkeypatch.setattr(TrialTrainer, "__init__", on_a_card)
    monkeypatch.setattr(TrialTrainer, "run_step", diverges)
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda device: 0)
    status, folder = run(trial_of(tiny_sweep, tiny_dataset, "baseline"), tiny_dataset, tmp_path / "r")
    assert status.status == TrialState.FAILED
    assert status.reason.startswith("iteration 1: expected finite losses, got 'loss_cls'")
    assert checkpoints.iterations(folder.checkpoints) == []


@pytest.mark.parametrize("setting", ["TEST.AUG.ENABLED=true"])
def test_augmented_evaluation_is_stored_beside_the_plain_one(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path, setting: str
) -> None:
    settings = (setting, "TEST.AUG.MIN_SIZES=[48, 64]", "SOLVER.MAX_ITER=2")
    status, folder = run(trial_of(tiny_sweep, tiny_dataset, "baseline", *settings), tiny_dataset, tmp_path / "r")
    assert status.status == TrialState.FINISHED
    assert [record.iteration for record in folder.read_evaluations("valid")] == [2]
    assert [record.iteration for record in folder.read_evaluations("valid_augmented")] == [2]


def test_loader_workers_do_not_change_the_weights(tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    settings = ("SOLVER.MAX_ITER=20", "TEST.EVAL_PERIOD=0", "INPUT.PHOTOMETRIC.BRIGHTNESS=0.3", "SOLVER.STEPS=[]")
    settings = (*settings, "INPUT.COPY_PASTE.PROB=0.5", "SOLVER.CHECKPOINT_PERIOD=20")
    trial = trial_of(tiny_sweep, tiny_dataset, "focal", *settings)
    _, without = run(trial, tiny_dataset, tmp_path / "0")
    expected = weights(without, 20)
    splits = {name: (split.annotations, split.image_root) for name, split in tiny_dataset.splits.items()}
    for loader_workers in (1, 4):
        folder = Store(tmp_path / str(loader_workers)).folder(trial).claim()
        status = run_trial(trial, folder, RunContext(splits, loader_workers=loader_workers), lambda record: None)
        assert status.status == TrialState.FINISHED
        require_equal(expected, weights(folder, 20))
