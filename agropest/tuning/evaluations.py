"""Which evaluations of trained weights can be made, once the trainings of a launch have ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agropest.store.completeness import is_stopped
from agropest.store.records import TrialState
from agropest.store.sharing.evaluated_checkpoint import evaluated_iteration
from agropest.store.store import Store
from agropest.sweep.trial import TrialSpec
from agropest.tuning.stopping.stopping_state import record_stop


def with_damaged_checkpoint(
    evaluations: Sequence[TrialSpec], trained: Sequence[TrialSpec], store: Store
) -> list[TrialSpec]:
    """Returns the trainings of which an evaluation reads a checkpoint that is damaged: they make it again.

    Args:
        evaluations: of finished trainings.
        trained: the sweep's trials that train.
    """
    wanted: dict[str, set[int]] = {}  # by signature: many evaluations read one checkpoint, and it is read once here
    for trial in evaluations:
        if trial.source is not None and (found := evaluated_iteration(trial, store.folder(trial.source))) is not None:
            wanted.setdefault(trial.source.signature, set()).add(found)
    damaged = []
    for trial in trained:
        folder = store.folder(trial)
        kept = wanted.get(trial.signature, set()) & folder.checkpointed()
        if not all(map(folder.has_intact_checkpoint, kept)):
            damaged.append(trial)
    return damaged


def evaluable(pending: Sequence[TrialSpec], store: Store, stopper: str) -> list[TrialSpec]:
    """Returns those of the trials that evaluate what another has trained whose training has finished.

    Of a training that was stopped early or failed nothing is evaluated, and the trials that would have done so end as
    it did. One that was interrupted leaves them to the next launch.

    Args:
        stopper: of the sweep (``SweepSpec.stopper``).
    """
    found = []
    for trial in pending:
        if trial.source is None:
            continue
        trained = store.folder(trial.source).status()
        if trained.status is TrialState.FINISHED:
            found.append(trial)
        elif is_stopped(trained, stopper):
            record_stop(store.folder(trial), trained.iteration, f"{trial.source.name} was stopped early", stopper)
        elif trained.status is TrialState.FAILED:
            folder = store.folder(trial).claim()
            reason = f"{trial.source.name}, whose weights it evaluates, failed: {trained.reason}"
            folder.write_status(replace(folder.status(), status=TrialState.FAILED, reason=reason))
    return found
