"""One trial from start, or from wherever it was, to its end: a pure function of the trial and the data.

:func:`run_trial` knows nothing of Ray. It stores each evaluation in the trial's folder before it hands it to
``on_evaluation``, whose truthy answer stops the trial early.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.engine.train_loop import HookBase

from agropest.errors import StoreError, TrialError, is_out_of_gpu_memory
from agropest.modeling.config import add_agropest_config
from agropest.statistics.race.patience import end_in_words
from agropest.store.records import OUT_OF_MEMORY, EvaluationRecord, Status, TrialState
from agropest.store.sharing.shared_work import Sharer, Taken
from agropest.store.trial_folder import TrialFolder
from agropest.store.weights_report import write_weights_report
from agropest.sweep.detectron2_keys import nest
from agropest.sweep.trial import TrialSpec
from agropest.training import checkpoints
from agropest.training.evaluation import Interrupted, TestTimeAugmentation
from agropest.training.evaluator import Evaluator
from agropest.training.hooks import EvaluateAndSave, Interrupt, Leave
from agropest.training.input.batches import BatchStream
from agropest.training.processes.determinism import make_deterministic
from agropest.training.processes.distributed import Task, trained_together
from agropest.training.processes.gpu_memory import take_share
from agropest.training.processes.heartbeat import WriteHeartbeat
from agropest.training.repair import Repair, RepairedStop
from agropest.training.retention import Retention
from agropest.training.run_context import RunContext
from agropest.training.shared_training import SharedTraining
from agropest.training.start.first_seen import noted_identity
from agropest.training.start.weights import load_weights, require_timm_as_planned
from agropest.training.trainer import TrialTrainer
from agropest.training.weights_evaluation.evaluation_trial import EvaluationTrial

logger = logging.getLogger(__name__)

OnEvaluation = Callable[[EvaluationRecord], object]


def run_trial(
    trial: TrialSpec,
    folder: TrialFolder,
    context: RunContext,
    on_evaluation: OnEvaluation,
    should_stop: Callable[[], bool] = lambda: False,
) -> Status:
    """Trains, evaluates and stores one trial; resumes from its last intact checkpoint.

    Args:
        trial: what to train.
        folder: claimed by this process.
        context: where and how.
        on_evaluation: is handed each evaluation on validation once it is stored, in order; truthy stops the trial.
        should_stop: asked at every iteration; True saves a checkpoint and ends as ``interrupted``.

    Returns:
        The status as stored: finished, stopped, interrupted, or failed with its reason.

    Raises:
        LostClaim: another process has taken this trial over.
        RuntimeError: out of GPU memory, or another error of torch; the last checkpoint stays.
    """
    torch.set_num_threads(context.num_threads)
    if context.deterministic:
        make_deterministic()
    if context.device == "cuda":
        take_share(context.gpu_memory_fraction or 1.0)
    folder.write_spec(trial, context.sweep)
    run: _Run | EvaluationTrial
    if trial.trains:
        run = _Run(trial, folder, context, on_evaluation, should_stop)
    else:
        cfg = detectron2_config(trial, context.device)
        run = EvaluationTrial(trial, folder, context, cfg, on_evaluation, should_stop)
    try:
        status = run.run()
    except TrialError as error:
        status = run.ends_as(TrialState.FAILED, run.status.iteration, str(error))
    except (OSError, StoreError):
        raise
    except Exception as error:  # whoever handles it reads here how far the trial came
        if is_out_of_gpu_memory(error):
            folder.write_status(run.ends_as(TrialState.INTERRUPTED, run.status.iteration, OUT_OF_MEMORY))
        else:
            folder.write_status(run.ends_as(TrialState.RUNNING, run.status.iteration))
        raise
    folder.write_status(status)
    return status


def keep_replicates(trial: TrialSpec, folder: TrialFolder, context: RunContext) -> None:
    """Computes what the ranking will ask of a finished trial, and keeps it in the trial's folder."""
    evaluator = Evaluator(trial, folder, context, detectron2_config(trial, "cpu"), lambda: False)
    for chosen in evaluator.best():
        evaluator.keep_replicates(chosen)


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
        context: RunContext,
        on_evaluation: OnEvaluation,
        should_stop: Callable[[], bool],
    ) -> None:
        self.trial, self.folder, self.context = trial, folder, context
        self.on_evaluation, self.should_stop = on_evaluation, should_stop
        self.cfg = detectron2_config(trial, context.device)
        self.before = folder.status()
        self.status = replace(self.before, status=TrialState.RUNNING, reason="")
        self.started = time.perf_counter()
        self.seconds_before = 0.0
        self.saved_at = -1  # iteration of the checkpoint that this process saved last
        self.evaluator = Evaluator(trial, folder, context, self.cfg, should_stop)
        self.shared = SharedTraining(trial, folder, context.sharing, context.metric, should_stop)
        self.repair = Repair(trial, folder, self.evaluator, self.before, self)
        self.retention = Retention(trial, folder, context, self.evaluator, self.shared)

    def run(self) -> Status:
        self.folder.remove_leftovers()
        trainer = self.new_trainer()
        try:
            start = self._restore(trainer)
            self.folder.write_status(self.ends_as(TrialState.RUNNING, start))
            trainer.open_log(self.folder.path, start)
            self.repair.evaluate_missing(trainer, start)
            self.repair.leave_when_intact(start)
            self._tell_stored(start)
            self.shared.bring_to_end(start, _Part(self, trainer))
            return self._finish(trainer, self.trial.max_iter, self.trial.max_iter)
        except _OutOfPatience as end:
            return self._finish(trainer, end.iteration, now=-1)
        except _Stopped as stopped:
            self.retention.keep_at_end({stopped.iteration, *self.evaluator.best()})
            return self.ends_as(TrialState.STOPPED, stopped.iteration, str(stopped))
        except RepairedStop:
            return replace(self.before, notes=(*self.before.notes, "damaged files were made again"))
        except Interrupted:
            return self.ends_as(TrialState.INTERRUPTED, self.status.iteration)
        except Exception as error:
            if is_out_of_gpu_memory(error):
                self._save_intact(trainer)
            raise
        finally:
            if trainer.writer is not None:
                trainer.writer.close()

    def new_trainer(self) -> TrialTrainer:
        """Returns a trainer without a state."""
        decays = self.shared.decays()
        return TrialTrainer(self.cfg, self.context.device, self.trial.training_version, decays, lean=self.context.lean)

    def _train(self, trainer: TrialTrainer, start: int, end: int, hooks: list[HookBase]) -> None:
        """Trains from iteration ``start`` to ``end``."""
        records, context = self.evaluator.records["train"].dicts, self.context
        part = (0, context.num_processes)
        stream = BatchStream(records, self.cfg, self.trial.seed, cache=self.evaluator.image_cache("train"), part=part)
        trainer.batches = stream.iterate(start, context.loader_workers)
        trainer._hooks = []
        trainer.register_hooks(hooks)
        task = Task(
            cfg=self.cfg,
            device=context.device,
            records=records,
            num_threads=context.num_threads,
            loader_workers=context.loader_workers,
            seed=self.trial.seed,
            start=start,
            end=end,
            world_size=context.num_processes,
            training_version=self.trial.training_version,
            lean=context.lean,
            deterministic=context.deterministic,
        )
        try:
            with trained_together(trainer, task):
                trainer.train(start, end)
        finally:
            trainer.batches.close()  # type: ignore[attr-defined]  # ends loader workers

    def _restore(self, trainer: TrialTrainer) -> int:
        """Loads the last intact checkpoint, or what the trial begins with; returns the iterations trained."""
        content = checkpoints.load_last(self.folder.checkpoints, self.repair.newest_usable())
        if content is None:
            start, self.seconds_before = self.begin(trainer)
            return start
        trainer.load_state(content)
        self.seconds_before = float(content["time_s"])
        if self.context.sharing.sharers:  # the checkpoint may be another trial's, with the time that it had taken
            self.seconds_before = min(self.seconds_before, self.before.time_s)
        logger.info("continuing from the checkpoint of iteration %d", content["iteration"])
        return int(content["iteration"])

    def begin(self, trainer: TrialTrainer) -> tuple[int, float]:
        """Loads the initial weights, or what the ancestor ended with; returns its iterations and their seconds."""
        ancestor = self.trial.ancestor
        if ancestor is None:
            self._start_afresh(trainer)
            return 0, 0.0
        content = self._end_of(ancestor)
        trainer.take_over(content, detectron2_config(ancestor, self.context.device))
        return ancestor.max_iter, float(content["time_s"])

    def _end_of(self, ancestor: TrialSpec) -> dict[str, Any]:
        """Returns the checkpoint an ancestor ended with; where it is gone or damaged, that segment is trained again."""
        folder = self.folder.beside(ancestor.signature)
        content = checkpoints.load(folder.checkpoints, ancestor.max_iter) if folder else None
        if content is not None:
            return content
        logger.warning("no checkpoint of the ancestor at iteration %d: its segment is trained again", ancestor.max_iter)
        run = _Run(ancestor, self.folder, self.context, self.on_evaluation, self.should_stop)
        trainer = run.new_trainer()
        start, seconds_before = run.begin(trainer)
        run._train(trainer, start, ancestor.max_iter, [Leave(self.should_stop)])
        return {**trainer.state(), "time_s": seconds_before}  # this segment's own are on the clock that runs

    def _start_afresh(self, trainer: TrialTrainer) -> None:
        """Loads the initial weights, and writes which layers they filled."""
        require_timm_as_planned(self.cfg.MODEL.TIMM.WEIGHTS, self.trial.weights)
        weights = self.cfg.MODEL.WEIGHTS
        identity = noted_identity(weights, self.trial.weights, self.context.weights_notes)
        report = load_weights(trainer.model, weights, identity)
        if report.loaded or report.reinitialised or report.missing:
            logger.info(report.summary())
            write_weights_report(self.folder, report)
            notes = [note for note in self.status.notes if note != report.summary()]
            self.status = replace(self.status, notes=(*notes, report.summary()))
        for average in trainer.averages.values():
            average.reset(trainer.model)

    def train_again(self, trainer: TrialTrainer, start: int, end: int) -> None:
        """Trains from iteration ``start`` to ``end`` and saves a checkpoint there, without evaluations."""
        self._train(trainer, start, end, [self._interrupt(trainer)])
        self._save(trainer, end)

    def _tell_stored(self, start: int) -> None:
        """Tells the evaluations up to the checkpoint, in order."""
        for record in self.folder.read_evaluations("valid"):
            if record.iteration <= start and self.trial.is_evaluation(record.iteration):
                self._tell(record)

    def evaluate(self, trainer: TrialTrainer, iteration: int) -> None:
        """Evaluates validation, stores it, tells it."""
        self._tell(self.evaluate_valid(trainer, iteration))

    def take(self, trainer: TrialTrainer, step: Taken, is_last: bool) -> None:
        """Takes over a checkpoint, an evaluation or both from other trials; see :class:`SharedTraining`."""
        iteration, is_due = step.iteration, self.trial.is_evaluation(step.iteration)
        if step.weights_of is not None:
            theirs = TrialFolder(step.weights_of.folder).checkpoints
            checkpoints.link(theirs, self.folder.checkpoints, iteration, self.folder.require_claim)
            self._note_sharer(step.weights_of)
        if is_last or (is_due and step.record is None):
            self.repair.go_to(trainer, iteration, now=-1)
        self.status = self.ends_as(TrialState.RUNNING, iteration)
        self.folder.write_status(self.status)
        if is_due and step.record is not None and step.evaluated_by is not None:
            self._tell(self.evaluator.take_over(step.record, step.evaluated_by))
        elif is_due and step.weights_of is not None:
            self._tell(self.evaluate_valid(trainer, iteration, taken_from=step.weights_of.name))
        self.retention.remove_passed(iteration, self.repair.unevaluated())

    def _note_sharer(self, sharer: Sharer) -> None:
        note = f"up to iteration {sharer.until} its training is that of {sharer.name}, too, and was done once for both"
        if note not in self.status.notes:
            self.status = replace(self.status, notes=(*self.status.notes, note))

    def evaluate_valid(
        self, trainer: TrialTrainer, iteration: int, then: float | None = None, taken_from: str = ""
    ) -> EvaluationRecord:
        """Evaluates validation and stores it; ``then``, ``taken_from``: see :meth:`Evaluator.evaluate`."""
        speed, model = trainer.images_per_s, trainer.evaluation_model()
        record = self.evaluator.evaluate(
            "valid", model, iteration, images_per_s=0.0 if taken_from else speed, then=then, taken_from=taken_from
        )
        if trainer.writer is not None:
            for name, value in record.metrics.items():
                if value is not None:
                    trainer.writer.add_scalar(f"valid/{name}", value, iteration)
            trainer.writer.flush()
        return record

    def _tell(self, record: EvaluationRecord) -> None:
        asked_to_stop = self.on_evaluation(record)
        self.repair.leave_when_intact(record.iteration)
        if asked_to_stop and record.iteration < self.trial.max_iter:
            raise _Stopped(record.iteration, f"stopped early after iteration {record.iteration}")
        if record.iteration < self.trial.max_iter and self.evaluator.is_out_of_patience(record.iteration):
            raise _OutOfPatience(record.iteration)

    def _save(self, trainer: TrialTrainer, iteration: int) -> None:
        self.folder.require_claim()
        content = {**trainer.state(), "time_s": self._time_s()}
        checkpoints.save(self.folder.checkpoints, iteration, content, self.folder.require_claim)
        self.saved_at = iteration

    def checkpoint(self, trainer: TrialTrainer, iteration: int) -> None:
        """Saves a checkpoint, then removes those that are no longer needed."""
        self._save(trainer, iteration)
        self.retention.remove_passed(iteration, self.repair.unevaluated())
        self.status = self.ends_as(TrialState.RUNNING, iteration)
        self.folder.write_status(self.status)

    def _save_at_end(self, trainer: TrialTrainer, iteration: int) -> None:
        if iteration != self.saved_at:  # at an evaluation it has just been saved
            self.checkpoint(trainer, iteration)

    def _save_intact(self, trainer: TrialTrainer) -> None:
        """Saves a checkpoint of what a step without memory has left as it was: the retry repeats nothing."""
        reached = trainer.intact_iteration
        if not reached or self.repair.is_of_stopped:
            return
        try:
            trainer.undo_forward()
            self._save_at_end(trainer, reached)
        except RuntimeError as error:  # the card may refuse anything now; the checkpoint before it is there
            logger.warning("no checkpoint of iteration %d could be saved: %s", reached, error)

    def _interrupt(self, trainer: TrialTrainer) -> Interrupt:
        return Interrupt(trainer, self.should_stop, functools.partial(self._save_at_end, trainer))

    def _reach(self, iteration: int) -> None:
        self.status = replace(self.status, iteration=iteration)

    def _is_checkpoint(self, iteration: int) -> bool:
        return iteration % self.cfg.SOLVER.CHECKPOINT_PERIOD == 0 or self.shared.is_wanted(iteration)

    def _finish(self, trainer: TrialTrainer, end: int, now: int) -> Status:
        """Tests the checkpoint that validation chose; with test-time augmentation where the config asks for it.

        A trial that ends with its generation, before the schedule does, is not tested.

        Args:
            end: the iteration that the training ends with.
            now: that the trainer is at; -1: it may be at another than ``end``.
        """
        self.repair.evaluate_missing(trainer, end)
        if not self.trial.ends_schedule:  # its successors start from its end, whatever else may be removed
            self.folder.require_claim()
            checkpoints.keep(self.folder.checkpoints, {end})
            reason = f"its generation ends at iteration {end} of {self.trial.schedule_iters}"
            return self.ends_as(TrialState.STOPPED, end, reason)
        chosen = (self.evaluator.best() or [end])[0]
        missing = self.evaluator.untested(chosen)
        if missing:
            self.repair.go_to(trainer, chosen, now)
            model = trainer.evaluation_model()
            tested = TestTimeAugmentation(self.cfg, model) if self.cfg.TEST.AUG.ENABLED else model
            for name, split in missing.items():
                self.evaluator.evaluate(split, tested, chosen, name)
        doubts = self.evaluator.ask_referee(chosen)
        early = [end_in_words(end, self.trial.max_iter, self.cfg.TEST.PATIENCE)] if end < self.trial.max_iter else []
        notes = [note for note in self.status.notes if note not in early]
        self.status = replace(self.status, notes=(*notes, *early, *doubts))
        if not self.context.replicates_later:
            self.evaluator.keep_replicates(chosen)
        self.retention.keep_at_end({chosen, end})
        return self.ends_as(TrialState.FINISHED, end)

    def _time_s(self) -> float:
        return self.seconds_before + time.perf_counter() - self.started

    def ends_as(self, status: TrialState, iteration: int, reason: str = "") -> Status:
        """Returns the status with the time up to now; while a stopped trial is repaired it stays the stopped one."""
        repaired = self.repair.status(status, reason)
        if repaired is not None:
            return repaired
        return replace(self.status, status=status, iteration=iteration, reason=reason, time_s=round(self._time_s(), 3))


class _Part:
    """What the trial does itself of a training that it shares."""

    def __init__(self, run: _Run, trainer: TrialTrainer) -> None:
        self.run, self.trainer = run, trainer

    def train_until(self, start: int, end: int) -> None:
        run, trainer = self.run, self.trainer
        evaluate_and_save = EvaluateAndSave(
            trainer,
            run._is_checkpoint,
            run.trial.is_evaluation,
            run._reach,
            functools.partial(run.checkpoint, trainer),
            functools.partial(run.evaluate, trainer),
        )
        hooks = [WriteHeartbeat(run.folder, trainer), evaluate_and_save, run._interrupt(trainer)]
        run._train(trainer, start, end, hooks)

    def take(self, step: Taken, is_last: bool) -> None:
        self.run.take(self.trainer, step, is_last)


class _Stopped(Exception):
    """The scheduler ended the trial early, on purpose."""

    def __init__(self, iteration: int, reason: str) -> None:
        super().__init__(reason)
        self.iteration = iteration


class _OutOfPatience(Exception):
    """The training has ended before its schedule, as its config says (``TEST.PATIENCE``)."""

    def __init__(self, iteration: int) -> None:
        super().__init__(f"out of patience after iteration {iteration}")
        self.iteration = iteration


def _is_an_error(record: logging.LogRecord) -> bool:
    """Keeps a trial that is ended on purpose from standing in its log as an error with a traceback."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or not issubclass(kind, _Stopped | _OutOfPatience | RepairedStop | Interrupted)


logging.getLogger("detectron2.engine.train_loop").addFilter(_is_an_error)
