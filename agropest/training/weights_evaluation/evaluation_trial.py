"""A trial that trains nothing: the checkpoint of a finished one under other settings, or initial weights as they are.

Validation and test are stored as those of any trial, so that rows, intervals and verdicts are the same, too. Trials
that differ only in what is done with the boxes after the forward pass need one forward pass together: whoever is first
keeps what the box head said (``results/stages``, for as long as the launch runs), and the others begin from there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode

from agropest.errors import TrialError, fault
from agropest.modeling.build import build
from agropest.modeling.lean.conversion import make_lean
from agropest.store.lock import held_if_free
from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.sharing.evaluated_checkpoint import evaluated_iteration
from agropest.store.sharing.shared_work import STAGES, Sharer
from agropest.store.trial_folder import TrialFolder
from agropest.store.weights_report import in_few_words, layers, write_weights_report
from agropest.sweep.stages.forward import forward_key, score_floor
from agropest.sweep.stages.training import average_decay, validation_key
from agropest.sweep.trial import TrialSpec
from agropest.training import checkpoints
from agropest.training.evaluation import Detections, Interrupted, TestTimeAugmentation
from agropest.training.evaluator import Evaluator
from agropest.training.run_context import RunContext
from agropest.training.start.weights import load_weights, require_timm_as_planned
from agropest.training.trainer import averages_of
from agropest.training.weights_evaluation.head_outputs import (
    Recorded,
    has_head_outputs,
    read_outputs,
    write_outputs,
)
from agropest.training.weights_evaluation.post_processing import detected_boxes

logger = logging.getLogger(__name__)

WAIT_S = 0.05


class EvaluationTrial:
    """One trial that evaluates another's checkpoint, or ``MODEL.WEIGHTS`` where ``SOLVER.MAX_ITER`` is 0.

    Args:
        folder: the trial's, claimed by this process.
        cfg: the trial's, as Detectron2 takes it.
        on_evaluation: is handed the evaluation on validation once it is stored.
        should_stop: asked between batches; True ends it as ``interrupted``.

    Attributes:
        status: as far as it has come.
    """

    def __init__(
        self,
        trial: TrialSpec,
        folder: TrialFolder,
        context: RunContext,
        cfg: CfgNode,
        on_evaluation: Callable[[EvaluationRecord], object],
        should_stop: Callable[[], bool],
    ) -> None:
        self.trial, self.source, self.folder, self.context, self.cfg = trial, trial.source, folder, context, cfg
        self.on_evaluation, self.should_stop = on_evaluation, should_stop
        self.evaluator = Evaluator(trial, folder, context, cfg, should_stop)
        its = folder.beside(self.source.signature) if self.source is not None else None
        self.trained = its or TrialFolder(folder.path.parent / "none")  # before it is trained, nothing is found there
        self.before = folder.status()
        self.status = replace(self.before, status=TrialState.RUNNING, reason="")
        self.started = time.perf_counter()
        self._from_kept: set[str] = set()  # names of evaluations that this process made without a model

    @cached_property
    def iteration(self) -> int:
        """The iteration of the checkpoint."""
        if self.source is None:
            return 0
        found = evaluated_iteration(self.trial, self.trained)
        if found is None:
            fix = "train it first: launch the sweep that it is in"
            raise TrialError(fault(self.source.name, "expected evaluations to choose a checkpoint by", "none", fix))
        return found

    def run(self) -> Status:
        """Evaluates whatever is not evaluated yet; returns the status, which is not stored yet.

        Raises:
            TrialError: there is no checkpoint to evaluate.
            OSError: it is damaged.
        """
        self.folder.remove_leftovers()
        self._note(f"evaluates {self._what}; nothing was trained")
        self.folder.write_status(self.status)
        try:
            self._evaluate_all()
        except Interrupted:
            return self.ends_as(TrialState.INTERRUPTED, 0)
        for doubt in self.evaluator.ask_referee(self.iteration, self._from_kept):
            self._note(doubt)
        self.evaluator.keep_replicates(self.iteration)
        self._keep_checkpoint()
        return self.ends_as(TrialState.FINISHED, self.trial.max_iter)

    @property
    def _what(self) -> str:
        if self.source is None:
            return f"MODEL.WEIGHTS as they are ({self.trial.weights})"
        return f"the checkpoint of iteration {self.iteration} of {self.source.name}"

    def ends_as(self, status: TrialState, iteration: int, reason: str = "") -> Status:
        """Returns the status with the time up to now."""
        time_s = self.before.time_s + time.perf_counter() - self.started
        return replace(self.status, status=status, iteration=iteration, reason=reason, time_s=round(time_s, 3))

    def _note(self, note: str) -> None:
        if note not in self.status.notes:
            self.status = replace(self.status, notes=(*self.status.notes, note))

    def _evaluate_all(self) -> None:
        stored = {one.iteration: one for one in self.folder.read_evaluations("valid", check_boxes=True)}
        self.on_evaluation(stored.get(self.iteration) or self._validate())
        for name, split in self.evaluator.untested(self.iteration).items():
            if self.cfg.TEST.AUG.ENABLED:
                augmented = TestTimeAugmentation(self.cfg, self._model)
                self._store(self.evaluator.detect(split, augmented), split, name)
            else:
                self._store(self._found(split, name), split, name)

    def _validate(self) -> EvaluationRecord:
        """Evaluates validation, or takes over the source's evaluation, where it is the same."""
        if self.source is not None and validation_key(self.trial) == validation_key(self.source):
            theirs = self.trained.read_evaluations("valid", check_boxes=True)
            for record in theirs:
                if record.iteration == self.iteration:
                    sharer = Sharer(self.source.name, self.trained.path, self.iteration, (), None, True)
                    return self.evaluator.take_over(record, sharer)
        return self._store(self._found("valid", "valid"), "valid", "valid")

    def _store(self, found: Detections, split: str, name: str) -> EvaluationRecord:
        taken_from = self.source.name if self.source is not None else ""
        return self.evaluator.store(found, split, self.iteration, name, taken_from=taken_from)

    def _found(self, split: str, name: str) -> Detections:
        """Returns the detections of a split: from kept outputs of the box head where there are any.

        In mixed precision these would be kept, and suppressed again, in another precision.
        """
        if not self.context.sharing.has_common_forward or self.cfg.TEST.AMP.ENABLED:
            return self.evaluator.detect(split, self._model)
        path = self._outputs_path(split)
        while True:
            if found := self._from_outputs(split, path, name):
                return found
            with held_if_free(path.with_suffix(".lock")) as is_held:
                if is_held:
                    return self._from_outputs(split, path, name) or self._recorded(split, path)
            if self.should_stop():
                raise Interrupted
            time.sleep(WAIT_S)

    def _outputs_path(self, split: str) -> Path:
        context = self.context
        name = f"outputs-{forward_key(self.trial)}-{self.iteration}-{split}-{context.device}-{context.num_threads}.npz"
        return self.folder.path.parent.parent / STAGES / name

    def _from_outputs(self, split: str, path: Path, name: str) -> Detections | None:
        started = time.perf_counter()
        outputs = read_outputs(path) if path.is_file() else None
        if outputs is None:
            return None
        self._from_kept.add(name)
        category_ids = self.evaluator.records[split].category_ids
        boxes = detected_boxes(outputs, self.cfg, self.context.device, category_ids)
        return Detections(boxes, len(outputs), time.perf_counter() - started)

    def _recorded(self, split: str, path: Path) -> Detections:
        """Runs the model over a split, and keeps what its box head says where that is all that others need."""
        if not has_head_outputs(self._model):
            return self.evaluator.detect(split, self._model)
        recorded = Recorded(self._model, score_floor(self.trial))
        found = self.evaluator.detect(split, recorded)
        write_outputs(path, recorded.outputs)
        return found

    @cached_property
    def _model(self) -> torch.nn.Module:
        """The model with the weights that are evaluated."""
        model: torch.nn.Module = build(self.cfg).to(self.context.device)
        if self.context.lean:
            make_lean(model)
        if self.source is None:
            self._load_initial(model)
        else:
            model.load_state_dict(self._trained_weights(self.source))
        return model.requires_grad_(False).eval()

    def _load_initial(self, model: torch.nn.Module) -> None:
        require_timm_as_planned(self.cfg.MODEL.TIMM.WEIGHTS, self.trial.weights)
        report = load_weights(model, self.cfg.MODEL.WEIGHTS, self.trial.weights)
        if lacking := [*report.reinitialised, *report.missing]:
            rule = "expected weights for every layer, because SOLVER.MAX_ITER is 0 and nothing is trained"
            fix = "give a checkpoint of this config with the data's classes, or train it"
            raise TrialError(fault("MODEL.WEIGHTS", rule, f"none that fit {in_few_words(layers(lacking))}", fix))
        write_weights_report(self.folder, report)

    def _trained_weights(self, source: TrialSpec) -> dict[str, Any]:
        content = checkpoints.load(self.trained.checkpoints, self.iteration)
        if content is None and self.iteration in self.trained.checkpointed():
            damaged = f"the checkpoint of iteration {self.iteration} of {source.name} is damaged"
            raise OSError(f"{damaged}: the next launch trains it again")
        if content is None:
            rule = f"expected the whole checkpoint of iteration {self.iteration}"
            fix = "it was removed; --fresh trains it again"
            raise TrialError(fault(str(self.trained.checkpoints), rule, "none", fix))
        decay = average_decay(self.trial)
        if decay is None:
            return content["model"]  # type: ignore[no-any-return]
        averages = averages_of(content, float(source.config["SOLVER.EMA.DECAY"]))
        if decay not in averages:
            fix = "train it in the sweep that evaluates it (--fresh), or with SOLVER.EMA.ENABLED"
            raise TrialError(fault(self._what, "expected averaged weights", sorted(averages), fix))
        return averages[decay]  # type: ignore[no-any-return]

    def _keep_checkpoint(self) -> None:
        """Gives the trial the checkpoint, another's under a second name, for those who predict with it."""
        own, require_claim = self.folder.checkpoints, self.folder.require_claim
        if self.source is None:  # what evaluates it under other settings reads it there, too
            checkpoints.save(own, 0, {"model": self._model.state_dict(), "time_s": 0.0}, require_claim)
        elif self.context.keep_checkpoints:
            checkpoints.link(self.trained.checkpoints, own, self.iteration, require_claim)
