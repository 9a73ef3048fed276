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

from agropest.errors import StoreError, TrialError, is_out_of_gpu_memory
from agropest.modeling.config import add_agropest_config
from agropest.store.completeness import lacks_its_end, still_stopped
from agropest.store.records import OUT_OF_MEMORY, EvaluationRecord, Status, TrialState
from agropest.store.shared_work import Sharer, Taken
from agropest.store.trial_folder import TrialFolder
from agropest.store.weights_report import write_weights_report
from agropest.sweep.detectron2_keys import nest
from agropest.sweep.trial import TrialSpec
from agropest.training import checkpoints
from agropest.training.evaluation import Interrupted, TestTimeAugmentation
from agropest.training.evaluator import Evaluator
from agropest.training.input.batches import BatchStream
from agropest.training.processes.distributed import Task, trained_together
from agropest.training.processes.gpu_memory import take_share
from agropest.training.processes.heartbeat import WriteHeartbeat
from agropest.training.run_context import RunContext
from agropest.training.shared_training import SharedTraining
from agropest.training.start.weights import load_weights, require_timm_as_planned
from agropest.training.trainer import TrialTrainer

logger = logging.getLogger(__name__)

OnEvaluation = Callable[[EvaluationRecord], object]


def run_trial(
    trial: TrialSpec,
    folder: TrialFolder,
    context: RunContext,
    on_evaluation: OnEvaluation,
    should_stop: Callable[[], bool] = lambda: False,
) -> Status:
    """Trains, evaluates and stores one trial; continues from its last whole checkpoint.

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
    if context.device == "cuda":
        take_share(context.gpu_memory_fraction or 1.0)
    folder.write_spec(trial, context.sweep)
    run = _Run(trial, folder, context, on_evaluation, should_stop)
    try:
        status = run.train()
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
        # Of a trial that has been stopped early only what was damaged since is made again; it stays stopped meanwhile,
        # so that whoever finds it half-way does not train it further.
        self.before = folder.status()
        self.status = replace(self.before, status=TrialState.RUNNING, reason="")
        self.started = time.perf_counter()
        self.seconds_before = 0.0
        self.saved_at = -1  # iteration of the checkpoint that this process saved last
        self.evaluator = Evaluator(trial, folder, context, self.cfg, should_stop)
        self.shared = SharedTraining(trial, folder, context.sharing, context.metric, should_stop)

    def train(self) -> Status:
        self.folder.remove_leftovers()
        trainer = self._new_trainer()
        try:
            start = self._restore(trainer)
            self.folder.write_status(self.ends_as(TrialState.RUNNING, start))
            trainer.open_log(self.folder.path, start)
            self._evaluate_missing(trainer, start)
            self._leave_when_whole(start)
            self._tell_stored(start)
            self.shared.bring_to_end(start, _Part(self, trainer))
            return self._finish(trainer)
        except _Stopped as stopped:
            self._keep_checkpoints({stopped.iteration, *self.evaluator.best()})
            return self.ends_as(TrialState.STOPPED, stopped.iteration, str(stopped))
        except _StoppedBefore:
            return replace(self.before, notes=(*self.before.notes, "what was damaged was made again"))
        except Interrupted:
            return self.ends_as(TrialState.INTERRUPTED, self.status.iteration)
        finally:
            if trainer.writer is not None:
                trainer.writer.close()

    def _new_trainer(self) -> TrialTrainer:
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
        )
        try:
            with trained_together(trainer, task):
                trainer.train(start, end)
        finally:
            trainer.batches.close()  # type: ignore[attr-defined]  # ends loader workers

    def _restore(self, trainer: TrialTrainer) -> int:
        """Loads the last whole checkpoint, or what the trial begins with; returns the iterations trained."""
        content = checkpoints.load_last(self.folder.checkpoints, self._newest_usable())
        if content is None:
            start, self.seconds_before = self._begin(trainer)
            return start
        trainer.load_state(content)
        self.seconds_before = float(content["time_s"])
        if self.context.sharing.sharers:  # the checkpoint may be another trial's, with the time that it had taken
            self.seconds_before = min(self.seconds_before, self.before.time_s)
        logger.info("continuing from the checkpoint of iteration %d", content["iteration"])
        return int(content["iteration"])

    def _begin(self, trainer: TrialTrainer) -> tuple[int, float]:
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
        trainer = run._new_trainer()
        start, seconds_before = run._begin(trainer)
        run._train(trainer, start, ancestor.max_iter, [_Leave(run)])
        return {**trainer.state(), "time_s": seconds_before}  # this segment's own are on the clock that runs

    def _start_afresh(self, trainer: TrialTrainer) -> None:
        """Loads the initial weights, and writes which layers they filled."""
        require_timm_as_planned(self.cfg.MODEL.TIMM.WEIGHTS, self.trial.weights)
        report = load_weights(trainer.model, self.cfg.MODEL.WEIGHTS, self.trial.weights)
        if report.loaded or report.reinitialised or report.missing:
            logger.info(report.summary())
            write_weights_report(self.folder, report)
            notes = [note for note in self.status.notes if note != report.summary()]
            self.status = replace(self.status, notes=(*notes, report.summary()))
        for average in trainer.averages.values():
            average.reset(trainer.model)

    def _newest_usable(self) -> int:
        """Returns the newest iteration that may be continued from.

        Where an evaluation is damaged and its checkpoint, too, it is trained again: it may have been the best one.
        (Where there is no checkpoint, it was not: the best one's is always kept.) Of a trial that was stopped early the
        last evaluation is needed, too.
        """
        end, needed = self.trial.max_iter, self._unevaluated()
        if self.before.status == TrialState.STOPPED:
            end = self.trial.last_evaluation(self.before.iteration)
            needed += [end] * (end not in self.evaluator.whole())
        lost = [i for i in needed if checkpoints.load(self.folder.checkpoints, i) is None]
        return min([end, *(i - 1 for i in lost)])

    def _unevaluated(self) -> list[int]:
        """Returns the iterations, in order, that have a checkpoint and no whole evaluation."""
        kept = set(checkpoints.iterations(self.folder.checkpoints))
        end = self.before.iteration if self.before.status == TrialState.STOPPED else self.trial.max_iter
        return sorted(i for i in kept - self.evaluator.whole() if self.trial.is_evaluation(i) and i <= end)

    def _evaluate_missing(self, trainer: TrialTrainer, now: int) -> None:
        """Evaluates what a crash between checkpoint and evaluation, or damage, has cost; ends at iteration ``now``."""
        missing, at = [iteration for iteration in self._unevaluated() if iteration <= now], now
        for iteration in missing:
            then = checkpoints.saved_at(self.folder.checkpoints, iteration)
            self._go_to(trainer, iteration, at)
            self._evaluate_valid(trainer, iteration, then)
            at = iteration
        self._go_to(trainer, now, at)

    def _go_to(self, trainer: TrialTrainer, iteration: int, now: int) -> None:
        """Brings ``trainer`` from iteration ``now`` to another that has a checkpoint."""
        if iteration == now:
            return
        content = checkpoints.load(self.folder.checkpoints, iteration)
        if content is None:
            self._train_again(trainer, iteration)
        else:
            trainer.load_state(content)

    def _train_again(self, trainer: TrialTrainer, iteration: int) -> None:
        """Brings ``trainer`` to an iteration whose checkpoint is damaged, from the whole one before it."""
        content = checkpoints.load_last(self.folder.checkpoints, iteration)
        start = int(content["iteration"]) if content is not None else self.trial.start_iter
        logger.warning("the checkpoint of iteration %d is damaged: training again from %d", iteration, start)
        if content is not None:
            trainer.load_state(content)
        else:
            fresh = self._new_trainer()
            self._begin(fresh)
            trainer.load_state(fresh.state())
        self._train(trainer, start, iteration, [_Interrupt(self, trainer)])
        self._save(trainer, iteration)

    def _tell_stored(self, start: int) -> None:
        """Tells the evaluations up to the checkpoint, in order."""
        for record in self.folder.read_evaluations("valid"):
            if record.iteration <= start and self.trial.is_evaluation(record.iteration):
                self._tell(record)

    def evaluate(self, trainer: TrialTrainer, iteration: int) -> None:
        """Evaluates validation, stores it, tells it."""
        self._tell(self._evaluate_valid(trainer, iteration))

    def take(self, trainer: TrialTrainer, step: Taken, is_last: bool) -> None:
        """Takes over a checkpoint, an evaluation or both from other trials; see :class:`SharedTraining`."""
        iteration, is_due = step.iteration, self.trial.is_evaluation(step.iteration)
        if step.weights_of is not None:
            theirs = TrialFolder(step.weights_of.folder).checkpoints
            checkpoints.link(theirs, self.folder.checkpoints, iteration, self.folder.require_claim)
            self._note_sharer(step.weights_of)
        if is_last or (is_due and step.record is None):
            self._go_to(trainer, iteration, now=-1)
        self.status = self.ends_as(TrialState.RUNNING, iteration)
        self.folder.write_status(self.status)
        if is_due and step.record is not None and step.evaluated_by is not None:
            self._tell(self.evaluator.take_over(step.record, step.evaluated_by))
        elif is_due and step.weights_of is not None:
            self._tell(self._evaluate_valid(trainer, iteration, taken_from=step.weights_of.name))
        self._remove_passed(iteration)

    def _note_sharer(self, sharer: Sharer) -> None:
        note = f"up to iteration {sharer.until} its training is that of {sharer.name}, too, and was done once for both"
        if note not in self.status.notes:
            self.status = replace(self.status, notes=(*self.status.notes, note))

    def _evaluate_valid(
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
        self._leave_when_whole(record.iteration)
        if asked_to_stop and record.iteration < self.trial.max_iter:
            raise _Stopped(record.iteration, f"stopped early after iteration {record.iteration}")

    def _leave_when_whole(self, iteration: int) -> None:
        """Ends a trial that had been stopped early, and of which something was damaged, where it was stopped."""
        if self.before.status != TrialState.STOPPED:
            return
        is_past = iteration >= self.trial.last_evaluation(self.before.iteration) > 0
        if is_past or not lacks_its_end(self.trial, self.folder):
            raise _StoppedBefore

    def _save(self, trainer: TrialTrainer, iteration: int) -> None:
        self.folder.require_claim()
        content = {**trainer.state(), "time_s": self._time_s()}
        checkpoints.save(self.folder.checkpoints, iteration, content, self.folder.require_claim)

    def checkpoint(self, trainer: TrialTrainer, iteration: int) -> None:
        """Saves a checkpoint, then removes those that nobody needs: the best, this one and the one before stay."""
        self._save(trainer, iteration)
        self._remove_passed(iteration)
        self.status = self.ends_as(TrialState.RUNNING, iteration)
        self.folder.write_status(self.status)

    def _remove_passed(self, iteration: int) -> None:
        """Removes the checkpoints that nobody needs now that there is one of this iteration."""
        self.folder.require_claim()  # saving takes its time, and what another writer has saved since must stay
        kept = checkpoints.iterations(self.folder.checkpoints)
        before = [i for i in kept if i < iteration][:1]
        later = [i for i in kept if i > iteration]
        wanted = {iteration, *before, *later, *self.evaluator.best(), *self._unevaluated()}
        checkpoints.keep(self.folder.checkpoints, wanted | self._kept_in_any_case())

    def _finish(self, trainer: TrialTrainer) -> Status:
        """Tests the checkpoint that validation chose; with test-time augmentation where the config asks for it.

        A trial that ends with its generation, before the schedule does, is not tested.
        """
        now = self.trial.max_iter
        self._evaluate_missing(trainer, now)
        if not self.trial.ends_schedule:  # whoever continues from it needs its end, whatever else may be removed
            self.folder.require_claim()
            checkpoints.keep(self.folder.checkpoints, {now})
            reason = f"its generation ends at iteration {now} of {self.trial.schedule_iters}"
            return self.ends_as(TrialState.STOPPED, now, reason)
        chosen = (self.evaluator.best() or [now])[0]
        missing = self.evaluator.untested(chosen)
        if missing:
            self._go_to(trainer, chosen, now)
            model = trainer.evaluation_model()
            tested = TestTimeAugmentation(self.cfg, model) if self.cfg.TEST.AUG.ENABLED else model
            for name, split in missing.items():
                self.evaluator.evaluate(split, tested, chosen, name)
        doubts = self.evaluator.ask_referee(chosen)
        self.status = replace(self.status, notes=(*self.status.notes, *doubts))
        if not self.context.replicates_later:
            self.evaluator.keep_replicates(chosen)
        self._keep_checkpoints({chosen, now})
        return self.ends_as(TrialState.FINISHED, now)

    def _keep_checkpoints(self, wanted: set[int]) -> None:
        """Removes the checkpoints that nobody needs once the trial has ended."""
        self.folder.require_claim()
        own = wanted if self.context.keep_checkpoints else set()
        checkpoints.keep(self.folder.checkpoints, own | self._kept_in_any_case())

    def _kept_in_any_case(self) -> set[int]:
        """Returns the iterations whose checkpoints stay for later variants, or for trials that share the training."""
        kept = checkpoints.iterations(self.folder.checkpoints)
        evaluated = {i for i in kept if self.context.keep_evaluated and self.trial.is_evaluation(i)}
        return evaluated | self.shared.still_needed()

    def _time_s(self) -> float:
        return self.seconds_before + time.perf_counter() - self.started

    def ends_as(self, status: TrialState, iteration: int, reason: str = "") -> Status:
        """Returns the status with the time up to now; while a stopped trial is made whole it stays the stopped one."""
        if self.before.status == TrialState.STOPPED and status in (TrialState.RUNNING, TrialState.INTERRUPTED):
            return self.before
        if self.before.status == TrialState.STOPPED and status == TrialState.FAILED:
            return still_stopped(self.before, reason)
        return replace(self.status, status=status, iteration=iteration, reason=reason, time_s=round(self._time_s(), 3))


class _Part:
    """What the trial does itself of a training that it shares."""

    def __init__(self, run: _Run, trainer: TrialTrainer) -> None:
        self.run, self.trainer = run, trainer

    def train_until(self, start: int, end: int) -> None:
        run, trainer = self.run, self.trainer
        hooks = [WriteHeartbeat(run.folder, trainer), _Evaluate(run, trainer), _Interrupt(run, trainer)]
        run._train(trainer, start, end, hooks)

    def take(self, step: Taken, is_last: bool) -> None:
        self.run.take(self.trainer, step, is_last)


class _Stopped(Exception):
    """The scheduler ended the trial early, on purpose."""

    def __init__(self, iteration: int, reason: str) -> None:
        super().__init__(reason)
        self.iteration = iteration


class _StoppedBefore(Exception):
    """The trial is again as it was when it was stopped early."""


def _is_an_error(record: logging.LogRecord) -> bool:
    """Keeps a trial that is ended on purpose from standing in its log as an error with a traceback."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or not issubclass(kind, _Stopped | _StoppedBefore | Interrupted)


logging.getLogger("detectron2.engine.train_loop").addFilter(_is_an_error)


class _Evaluate(HookBase):
    """Checkpoints and evaluations, at the iterations the config names."""

    def __init__(self, run: _Run, trainer: TrialTrainer) -> None:
        self.run, self.its_trainer = run, trainer

    def after_step(self) -> None:
        iteration = self.its_trainer.iter + 1
        evaluates = self.run.trial.is_evaluation(iteration)
        self.run.status = replace(self.run.status, iteration=iteration)
        is_due = iteration % self.run.cfg.SOLVER.CHECKPOINT_PERIOD == 0
        if evaluates or is_due or self.run.shared.is_wanted(iteration):
            self.its_trainer.require_finite()  # no checkpoint holds what nobody could continue from
            self.run.checkpoint(self.its_trainer, iteration)
        if evaluates:
            self.run.evaluate(self.its_trainer, iteration)


class _Leave(HookBase):
    """Ends the trial without a checkpoint: what is trained is an ancestor's, and not this trial's to keep."""

    def __init__(self, run: _Run) -> None:
        self.run = run

    def after_step(self) -> None:
        if self.run.should_stop():
            raise Interrupted


class _Interrupt(HookBase):
    """Ends the trial with a checkpoint when it is asked to."""

    def __init__(self, run: _Run, trainer: TrialTrainer) -> None:
        self.run, self.its_trainer = run, trainer

    def after_step(self) -> None:
        if self.run.should_stop():
            iteration = self.its_trainer.iter + 1
            if iteration != self.run.saved_at:  # at an evaluation it has just been saved
                self.run.checkpoint(self.its_trainer, iteration)
            raise Interrupted
