"""One trial from start, or from wherever it was, to its end: a pure function of the trial and the data.

:func:`run_trial` knows nothing of Ray. It stores each evaluation in the trial's folder before it hands it to
``on_evaluation``, whose truthy answer stops the trial early.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.engine.train_loop import HookBase

from agropest.errors import TrialError
from agropest.modeling.config import add_agropest_config
from agropest.results.average_precision import evaluate
from agropest.results.boxes import GroundTruth
from agropest.results.ranking import best_evaluation
from agropest.results.store import (
    FAILED,
    FINISHED,
    INTERRUPTED,
    RUNNING,
    STOPPED,
    VALID_AUGMENTED,
    EvaluationRecord,
    Status,
    TrialFolder,
)
from agropest.sweep.detectron2_keys import nest
from agropest.sweep.trial import TrialSpec
from agropest.training import checkpoints
from agropest.training.batches import BatchStream
from agropest.training.evaluation import Detections, Interrupted, TestTimeAugmentation, detect
from agropest.training.mapper import TestMapper
from agropest.training.records import SplitRecords, load_records
from agropest.training.setting import Setting
from agropest.training.trainer import TrialTrainer
from agropest.training.weights import load_weights

logger = logging.getLogger(__name__)

OnEvaluation = Callable[[EvaluationRecord], object]


def run_trial(
    trial: TrialSpec,
    folder: TrialFolder,
    setting: Setting,
    on_evaluation: OnEvaluation,
    should_stop: Callable[[], bool] = lambda: False,
) -> Status:
    """Trains, evaluates and stores one trial; goes on from its last whole checkpoint.

    Args:
        trial: what to train.
        folder: claimed by this process.
        setting: where and how.
        on_evaluation: is handed each evaluation on validation once it is stored, in order; truthy stops the trial.
        should_stop: asked at every iteration; True saves a checkpoint and ends as ``interrupted``.

    Returns:
        The status as stored: finished, stopped, interrupted, or failed with its reason.

    Raises:
        LostClaim: another process has taken this trial over.
        torch.OutOfMemoryError: the GPU share is too small; the last checkpoint stays.
    """
    torch.set_num_threads(setting.num_threads)
    if setting.gpu_memory_fraction > 0:
        torch.cuda.set_per_process_memory_fraction(setting.gpu_memory_fraction)
    folder.write_spec(trial)
    run = _Run(trial, folder, setting, on_evaluation, should_stop)
    try:
        status = run.train()
    except TrialError as error:
        status = replace(run.status, status=FAILED, reason=str(error))
    except torch.OutOfMemoryError:
        folder.write_status(replace(run.status, status=INTERRUPTED, reason="GPU out of memory"))
        raise
    folder.write_status(status)
    return status


def detectron2_config(trial: TrialSpec, device: str) -> CfgNode:
    """Returns the trial's effective config as Detectron2 takes it, frozen."""
    cfg = get_cfg()
    add_agropest_config(cfg)
    cfg.merge_from_other_cfg(CfgNode(nest(trial.config)))
    cfg.MODEL.DEVICE = device
    cfg.freeze()
    return cfg


class _Run:
    """The state of one trial while it runs."""

    def __init__(
        self,
        trial: TrialSpec,
        folder: TrialFolder,
        setting: Setting,
        on_evaluation: OnEvaluation,
        should_stop: Callable[[], bool],
    ) -> None:
        self.trial, self.folder, self.setting = trial, folder, setting
        self.on_evaluation, self.should_stop = on_evaluation, should_stop
        self.cfg = detectron2_config(trial, setting.device)
        self.status = replace(folder.status(), status=RUNNING, reason="")
        self.started = time.perf_counter()
        self.seconds_before = 0.0
        self.records: dict[str, SplitRecords] = {
            name: load_records(name, *paths) for name, paths in setting.splits.items()
        }

    def train(self) -> Status:
        trainer = TrialTrainer(self.cfg, self.setting.device)
        start = self._restore(trainer)
        self.folder.write_status(self._status(RUNNING, start))
        trainer.open_log(self.folder.path, start)
        stream = BatchStream(self.records["train"].dicts, self.cfg, self.trial.seed)
        trainer.batches = stream.iterate(start, self.setting.loader_workers)
        trainer.register_hooks([_Evaluate(self, trainer), _Interrupt(self, trainer)])
        try:
            self._catch_up(trainer, start)
            trainer.train(start, self.trial.max_iter)
            return self._finish(trainer)
        except _Stopped as stopped:
            return self._status(STOPPED, stopped.iteration, str(stopped))
        except Interrupted:
            return self._status(INTERRUPTED, self.status.iteration)
        finally:
            trainer.batches.close()  # type: ignore[attr-defined]  # ends loader workers
            if trainer.writer is not None:
                trainer.writer.close()

    def _restore(self, trainer: TrialTrainer) -> int:
        """Loads the last whole checkpoint, or the initial weights; returns the iterations trained."""
        content = checkpoints.load_last(self.folder.checkpoints, self.trial.max_iter)
        if content is None:
            report = load_weights(trainer.model, self.cfg.MODEL.WEIGHTS)
            if self.cfg.MODEL.WEIGHTS:
                logger.info(report.summary())
                self.status = replace(self.status, notes=(report.summary(),))
            if trainer.ema is not None:
                trainer.ema.reset(trainer.model)
            return 0
        trainer.load_state(content)
        self.seconds_before = float(content["time_s"])
        logger.info("going on from the checkpoint of iteration %d", content["iteration"])
        return int(content["iteration"])

    def _catch_up(self, trainer: TrialTrainer, start: int) -> None:
        """Tells what is stored up to the checkpoint, and evaluates what a crash between the two has cost."""
        stored = {record.iteration: record for record in self.folder.read_evaluations("valid")}
        for iteration in range(1, start + 1):
            if self.is_evaluation(iteration) and iteration in stored:
                self._tell(stored[iteration])
            elif self.is_evaluation(iteration) and iteration == start:
                self.evaluate(trainer, iteration)

    def is_evaluation(self, iteration: int) -> bool:
        """Returns whether validation follows an iteration (counted from 1): every period, and after the last."""
        return iteration % self.trial.eval_period_iters == 0 or iteration == self.trial.max_iter

    def evaluate(self, trainer: TrialTrainer, iteration: int) -> None:
        """Evaluates validation, stores it, tells it."""
        record = self._evaluate_split("valid", trainer.evaluation_model(), iteration, images_per_s=trainer.images_per_s)
        if trainer.writer is not None:
            for name, value in record.metrics.items():
                if value is not None:
                    trainer.writer.add_scalar(f"valid/{name}", value, iteration)
            trainer.writer.flush()
        self._tell(record)

    def _tell(self, record: EvaluationRecord) -> None:
        if self.on_evaluation(record) and record.iteration < self.trial.max_iter:
            raise _Stopped(record.iteration, f"stopped early after iteration {record.iteration}")

    def _evaluate_split(
        self, split: str, model: Any, iteration: int, name: str = "", images_per_s: float = 0.0
    ) -> EvaluationRecord:
        records = self.records[split]
        found = detect(model, records.dicts, TestMapper(self.cfg), records.category_ids, self.should_stop)
        metrics = _metrics(records.ground_truth, found, self.cfg)
        record = EvaluationRecord(
            name or split, iteration, metrics, len(found.boxes.score), found.num_images, found.time_s, images_per_s
        )
        self.folder.write_evaluation(record, found.boxes.save)
        return record

    def checkpoint(self, trainer: TrialTrainer, iteration: int) -> None:
        """Saves a checkpoint, then removes those that nobody needs: the best, this one and the one before stay."""
        self.folder.require_claim()
        before = checkpoints.iterations(self.folder.checkpoints)[:1]
        checkpoints.save(self.folder.checkpoints, iteration, {**trainer.state(), "time_s": self._time_s()})
        checkpoints.keep(self.folder.checkpoints, {iteration, *before, *self._best()})
        self.status = self._status(RUNNING, iteration)
        self.folder.write_status(self.status)

    def _best(self) -> list[int]:
        """Returns the iteration of the evaluation that validation chooses, as a list of at most one."""
        best = best_evaluation(self.folder.read_evaluations("valid"), self.setting.metric)
        return [best.iteration] if best else []

    def _finish(self, trainer: TrialTrainer) -> Status:
        """Tests the checkpoint that validation chose; with test-time augmentation where the config asks for it."""
        iteration = (self._best() or [self.trial.max_iter])[0]
        augmented = self.cfg.TEST.AUG.ENABLED
        wanted = {"test": "test", **({VALID_AUGMENTED: "valid"} if augmented else {})}
        missing = {
            name: split
            for name, split in wanted.items()
            if split in self.records and iteration not in {r.iteration for r in self.folder.read_evaluations(name)}
        }
        if missing:
            self._load_chosen(trainer, iteration)
            model = trainer.evaluation_model()
            for name, split in missing.items():
                self._evaluate_split(
                    split, TestTimeAugmentation(self.cfg, model) if augmented else model, iteration, name
                )
        if not self.setting.keep_checkpoints:
            checkpoints.keep(self.folder.checkpoints, ())
        return self._status(FINISHED, self.trial.max_iter)

    def _load_chosen(self, trainer: TrialTrainer, iteration: int) -> None:
        if iteration == self.trial.max_iter:
            return
        content = checkpoints.load(self.folder.checkpoints, iteration)
        if content is None:
            raise TrialError(f"the checkpoint of iteration {iteration}, which validation chose, is damaged")
        trainer.load_state(content)

    def _time_s(self) -> float:
        return self.seconds_before + time.perf_counter() - self.started

    def _status(self, status: str, iteration: int, reason: str = "") -> Status:
        return replace(self.status, status=status, iteration=iteration, reason=reason, time_s=round(self._time_s(), 3))


class _Stopped(Exception):
    """The scheduler ended the trial early, on purpose."""

    def __init__(self, iteration: int, reason: str) -> None:
        super().__init__(reason)
        self.iteration = iteration


class _Evaluate(HookBase):
    """Checkpoints and evaluations, at the iterations the config names."""

    def __init__(self, run: _Run, trainer: TrialTrainer) -> None:
        self.run, self.its_trainer = run, trainer

    def after_step(self) -> None:
        iteration = self.its_trainer.iter + 1
        evaluates = self.run.is_evaluation(iteration)
        self.run.status = replace(self.run.status, iteration=iteration)
        if evaluates or iteration % self.run.cfg.SOLVER.CHECKPOINT_PERIOD == 0:
            self.run.checkpoint(self.its_trainer, iteration)
        if evaluates:
            self.run.evaluate(self.its_trainer, iteration)


class _Interrupt(HookBase):
    """Ends the trial with a checkpoint when it is asked to."""

    def __init__(self, run: _Run, trainer: TrialTrainer) -> None:
        self.run, self.its_trainer = run, trainer

    def after_step(self) -> None:
        if self.run.should_stop():
            self.run.checkpoint(self.its_trainer, self.its_trainer.iter + 1)
            raise Interrupted


def _metrics(ground_truth: GroundTruth, found: Detections, cfg: CfgNode) -> dict[str, float | None]:
    """Returns AP and its kin, and the same at the deployed score threshold from the same boxes."""
    metrics = evaluate(ground_truth, found.boxes, cfg.TEST.DETECTIONS_PER_IMAGE)
    deployed = evaluate(ground_truth, found.boxes.at_threshold(cfg.TEST.DEPLOYED_SCORE_THRESH))
    return {**metrics, "AP_deployed": deployed["AP"], "AP50_deployed": deployed["AP50"]}
