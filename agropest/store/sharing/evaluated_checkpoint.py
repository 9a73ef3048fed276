"""The stored checkpoint that a trial evaluates which trains nothing itself."""

from __future__ import annotations

from agropest.errors import fault
from agropest.store.chosen import best_evaluation
from agropest.store.records import TrialState
from agropest.store.sharing.shared_work import holds_average
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.sections.derived.evaluations import BEST, LAST
from agropest.sweep.stages.training import average_decay
from agropest.sweep.trial import TrialSpec


def evaluated_iteration(trial: TrialSpec, source: TrialFolder) -> int | None:
    """Returns the iteration of the checkpoint; None as long as validation has not chosen one.

    Args:
        trial: trains nothing.
        source: folder of the trial that has trained.
    """
    assert trial.evaluates is not None
    choice, _, metric = trial.evaluates.choice.partition(" ")
    if choice == LAST:
        status = source.status()
        # A training with TEST.PATIENCE may have ended before its schedule.
        return status.iteration if status.status == TrialState.FINISHED else trial.max_iter
    if choice != BEST:
        return int(choice)
    best = best_evaluation(source.read_evaluations("valid"), metric)
    return best.iteration if best else None


def missing_checkpoint(trial: TrialSpec, source: TrialFolder) -> str:
    """Returns the fault of a finished training that lacks what a trial evaluates; empty where nothing is missing."""
    assert trial.evaluates is not None
    if source.status().status != TrialState.FINISHED:
        return ""
    iteration, label = evaluated_iteration(trial, source), trial.evaluates.label
    where = f"{trial.name}: the checkpoint {trial.evaluates.choice} of {label}"
    kept = sorted(source.checkpointed())
    if iteration not in kept:
        found = f"iterations {', '.join(map(str, kept))}" if kept else "none"
        fix = "name one of these (checkpoint: last), or train it again with keep_checkpoints: evaluated and --fresh"
        return fault(where, f"expected a checkpoint of iteration {iteration} in {source.path.name}", found, fix)
    decay, own = average_decay(trial), average_decay(trial.source or trial)
    if decay is not None and not holds_average(source.path, iteration, decay, own):
        fix = "launch with --fresh: a training that this sweep does itself keeps it"
        return fault(where, f"expected averaged weights in it, with SOLVER.EMA.DECAY {decay:g}", "none", fix)
    return ""
