"""Repairing a trial: finding what of it is missing or damaged, and making that again.

A crash between a checkpoint and its evaluation, or damage on the disk, costs an evaluation or a checkpoint. The first
is made again from its checkpoint, the second from the intact checkpoint before it, to the same numbers.
"""

from __future__ import annotations

import logging
from typing import Protocol

from agropest.store.completeness import lacks_its_end, still_stopped
from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.trial import TrialSpec
from agropest.training import checkpoints
from agropest.training.evaluator import Evaluator
from agropest.training.trainer import TrialTrainer

logger = logging.getLogger(__name__)


class Training(Protocol):
    """What repairing needs of a trial that trains."""

    def new_trainer(self) -> TrialTrainer:
        """Returns a trainer without a state."""

    def begin(self, trainer: TrialTrainer) -> tuple[int, float]:
        """Loads what the trial begins with; returns its iterations and their seconds."""

    def train_again(self, trainer: TrialTrainer, start: int, end: int) -> None:
        """Trains from iteration ``start`` to ``end`` and saves a checkpoint there, without evaluations."""

    def evaluate_valid(self, trainer: TrialTrainer, iteration: int, then: float | None = None) -> EvaluationRecord:
        """Evaluates validation and stores that; ``then``: when its checkpoint was saved."""


class RepairedStop(Exception):
    """A trial that was stopped early is again as it was when it was stopped."""


class Repair:
    """The repair of one trial.

    Args:
        before: the trial's status when this process found it. A trial that was stopped early stays stopped while it is
            repaired, so that a process that finds it half-way does not train it further.
        training: of the trial.
    """

    def __init__(
        self, trial: TrialSpec, folder: TrialFolder, evaluator: Evaluator, before: Status, training: Training
    ) -> None:
        self.trial, self.folder, self.evaluator, self.before, self.training = trial, folder, evaluator, before, training
        self.is_of_stopped = before.status == TrialState.STOPPED

    def newest_usable(self) -> int:
        """Returns the newest iteration that may be continued from.

        Where an evaluation is damaged and its checkpoint, too, it is trained again: it may have been the best one.
        (Where there is no checkpoint, it was not: the best one's is always kept.) Of a trial that was stopped early the
        last evaluation is needed, too.
        """
        end, needed = self.trial.max_iter, [*self.unevaluated(), *self._evaluated_by_others()]
        if self.is_of_stopped:
            end = self.trial.last_evaluation(self.before.iteration)
            needed += [end] * (end not in self.evaluator.intact_iterations())
        lost = [i for i in needed if checkpoints.load(self.folder.checkpoints, i) is None]
        return min([end, *(i - 1 for i in lost)])

    def _evaluated_by_others(self) -> list[int]:
        """Returns the iterations of a finished trial whose checkpoints are kept for what evaluates them otherwise."""
        if self.before.status != TrialState.FINISHED:
            return []
        kept = set(checkpoints.iterations(self.folder.checkpoints))
        if self.evaluator.context.keep_evaluated:
            return sorted(i for i in kept if self.trial.is_evaluation(i))
        return sorted(kept & {*self.evaluator.best(), self.before.iteration})

    def unevaluated(self) -> list[int]:
        """Returns the iterations, in order, that have a checkpoint and no intact evaluation."""
        kept = set(checkpoints.iterations(self.folder.checkpoints))
        end = self.before.iteration if self.is_of_stopped else self.trial.max_iter
        missing = kept - self.evaluator.intact_iterations()
        return sorted(i for i in missing if self.trial.is_evaluation(i) and i <= end)

    def evaluate_missing(self, trainer: TrialTrainer, now: int) -> None:
        """Evaluates what a crash between checkpoint and evaluation, or damage, has cost; ends at iteration ``now``."""
        missing, at = [iteration for iteration in self.unevaluated() if iteration <= now], now
        for iteration in missing:
            then = checkpoints.saved_at(self.folder.checkpoints, iteration)
            self.go_to(trainer, iteration, at)
            self.training.evaluate_valid(trainer, iteration, then)
            at = iteration
        self.go_to(trainer, now, at)

    def go_to(self, trainer: TrialTrainer, iteration: int, now: int) -> None:
        """Brings ``trainer`` from iteration ``now`` to another that has a checkpoint."""
        if iteration == now:
            return
        content = checkpoints.load(self.folder.checkpoints, iteration)
        if content is None:
            self._train_again(trainer, iteration)
        else:
            trainer.load_state(content)

    def leave_when_intact(self, iteration: int) -> None:
        """Ends the repair of a trial that had been stopped early, where it was stopped.

        Raises:
            RepairedStop: it is as it was.
        """
        if not self.is_of_stopped:
            return
        is_past = iteration >= self.trial.last_evaluation(self.before.iteration) > 0
        if is_past or not lacks_its_end(self.trial, self.folder):
            raise RepairedStop

    def status(self, status: TrialState, reason: str) -> Status | None:
        """Returns what is to be stored in place of ``status`` while a stopped trial is repaired; None: that itself."""
        if self.is_of_stopped and status in (TrialState.RUNNING, TrialState.INTERRUPTED):
            return self.before
        if self.is_of_stopped and status == TrialState.FAILED:
            return still_stopped(self.before, reason)
        return None

    def _train_again(self, trainer: TrialTrainer, iteration: int) -> None:
        """Brings ``trainer`` to an iteration whose checkpoint is damaged, from the intact one before it."""
        content = checkpoints.load_last(self.folder.checkpoints, iteration)
        start = int(content["iteration"]) if content is not None else self.trial.start_iter
        logger.warning("the checkpoint of iteration %d is damaged: training again from %d", iteration, start)
        if content is not None:
            trainer.load_state(content)
        else:
            fresh = self.training.new_trainer()
            self.training.begin(fresh)
            trainer.load_state(fresh.state())
        self.training.train_again(trainer, start, iteration)
