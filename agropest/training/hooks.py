"""What happens between two iterations of a trial: checkpoints, evaluations, and the end when it is asked for."""

from __future__ import annotations

from collections.abc import Callable

from detectron2.engine.train_loop import HookBase

from agropest.training.evaluation import Interrupted
from agropest.training.trainer import TrialTrainer


class EvaluateAndSave(HookBase):
    """Checkpoints and evaluations, at the iterations that ask for them.

    Args:
        is_checkpoint: whether a checkpoint of an iteration is to be saved although no evaluation follows.
        is_evaluation: whether validation follows an iteration.
        reach: is called with every iteration.
        checkpoint: saves one of an iteration.
        evaluate: evaluates an iteration.
    """

    def __init__(
        self,
        trainer: TrialTrainer,
        is_checkpoint: Callable[[int], bool],
        is_evaluation: Callable[[int], bool],
        reach: Callable[[int], None],
        checkpoint: Callable[[int], None],
        evaluate: Callable[[int], None],
    ) -> None:
        # Detectron2 sets ``trainer`` of a hook to a weak proxy.
        self._trial_trainer, self._is_checkpoint, self._is_evaluation = trainer, is_checkpoint, is_evaluation
        self._reach, self._checkpoint, self._evaluate = reach, checkpoint, evaluate

    def after_step(self) -> None:
        """Saves and evaluates where that is due."""
        iteration = self._trial_trainer.iter + 1
        evaluates = self._is_evaluation(iteration)
        self._reach(iteration)
        if evaluates or self._is_checkpoint(iteration):
            self._trial_trainer.require_finite()  # a checkpoint with values that are not finite is of no use
            self._checkpoint(iteration)
        if evaluates:
            self._evaluate(iteration)


class Leave(HookBase):
    """Ends the trial without a checkpoint: what is trained is an ancestor's, and not this trial's to keep."""

    def __init__(self, should_stop: Callable[[], bool]) -> None:
        self._should_stop = should_stop

    def after_step(self) -> None:
        """Ends the training when it is asked to."""
        if self._should_stop():
            raise Interrupted


class Interrupt(HookBase):
    """Ends the trial with a checkpoint when it is asked to.

    Args:
        save: saves a checkpoint of an iteration unless the one just saved is of it.
    """

    def __init__(self, trainer: TrialTrainer, should_stop: Callable[[], bool], save: Callable[[int], None]) -> None:
        self._trial_trainer, self._should_stop, self._save = trainer, should_stop, save

    def after_step(self) -> None:
        """Saves and ends the training when it is asked to."""
        if self._should_stop():
            self._save(self._trial_trainer.iter + 1)
            raise Interrupted
