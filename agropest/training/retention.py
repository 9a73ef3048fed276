"""Which checkpoints of a trial stay: the best, the last ones, and those that other trials or later variants need."""

from __future__ import annotations

from agropest.store.trial_folder import TrialFolder
from agropest.sweep.trial import TrialSpec
from agropest.training import checkpoints
from agropest.training.evaluator import Evaluator
from agropest.training.run_context import RunContext
from agropest.training.shared_training import SharedTraining


class Retention:
    """Removes the checkpoints of one trial that nothing needs any more.

    Args:
        context: says whether evaluated checkpoints stay, and whether any do once the trial has ended.
        shared: says which ones other trials are still to take over.
    """

    def __init__(
        self, trial: TrialSpec, folder: TrialFolder, context: RunContext, evaluator: Evaluator, shared: SharedTraining
    ) -> None:
        self.trial, self.folder, self.context = trial, folder, context
        self.evaluator, self.shared = evaluator, shared

    def remove_passed(self, iteration: int, unevaluated: list[int]) -> None:
        """Removes the checkpoints that are no longer needed once there is one of this iteration.

        The best, this one and the one before stay.

        Args:
            iteration: of the newest checkpoint.
            unevaluated: iterations whose checkpoints are still to be evaluated.
        """
        self.folder.require_claim()  # saving takes its time, and what another writer has saved since must stay
        kept = checkpoints.iterations(self.folder.checkpoints)
        before = [i for i in kept if i < iteration][:1]
        later = [i for i in kept if i > iteration]
        wanted = {iteration, *before, *later, *self.evaluator.best(), *unevaluated}
        checkpoints.keep(self.folder.checkpoints, wanted | self._kept_in_any_case())

    def keep_at_end(self, wanted: set[int]) -> None:
        """Removes the checkpoints that are no longer needed once the trial has ended."""
        self.folder.require_claim()
        own = wanted if self.context.keep_checkpoints else set()
        checkpoints.keep(self.folder.checkpoints, own | self._kept_in_any_case())

    def _kept_in_any_case(self) -> set[int]:
        kept = checkpoints.iterations(self.folder.checkpoints)
        evaluated = {i for i in kept if self.context.keep_evaluated and self.trial.is_evaluation(i)}
        return evaluated | self.shared.still_needed()
