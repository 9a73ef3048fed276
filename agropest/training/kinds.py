"""Both kinds of trials: those that Detectron2 trains here, and those of a command."""

from __future__ import annotations

from collections.abc import Callable

from agropest.store.records import EvaluationRecord, Status
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.frameworks.command import is_command
from agropest.sweep.trial import TrialSpec
from agropest.training.command import trial as command_trial
from agropest.training.run_context import RunContext


def run_any_trial(
    trial: TrialSpec,
    folder: TrialFolder,
    context: RunContext,
    on_evaluation: Callable[[EvaluationRecord], object],
    should_stop: Callable[[], bool] = lambda: False,
) -> Status:
    """Runs a trial of either kind; see :func:`agropest.training.trial.run_trial`."""
    if is_command(trial.config):
        return command_trial.run_command_trial(trial, folder, context, on_evaluation, should_stop)
    from agropest.training.trial import run_trial  # imports torch and Detectron2

    return run_trial(trial, folder, context, on_evaluation, should_stop)


def keep_replicates_of_any(trial: TrialSpec, folder: TrialFolder, context: RunContext) -> None:
    """Computes what the ranking will ask of a finished trial of either kind, and keeps it in the trial's folder."""
    if is_command(trial.config):
        command_trial.keep_replicates(trial, folder, context)
        return
    from agropest.training.trial import keep_replicates

    keep_replicates(trial, folder, context)
