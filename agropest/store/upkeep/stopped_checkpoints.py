"""The checkpoints of trials that have ended: which are kept."""

from __future__ import annotations

from collections.abc import Sequence

from agropest.store.chosen import best_evaluation
from agropest.store.completeness import lacks_its_end
from agropest.store.records import TrialState
from agropest.store.sharing.shared_work import all_sharing
from agropest.store.store import Store
from agropest.sweep.spec import KEEP_EVALUATED, KEEP_NONE, SweepSpec
from agropest.sweep.trial import TrialSpec


def remove_checkpoints_of_stopped(spec: SweepSpec, trials: Sequence[TrialSpec], store: Store) -> None:
    """Leaves a trial that was stopped its best and its last checkpoint, or none where none are kept.

    A finished trial has done so itself, but for what a trial that shares its training had still to take over; one that
    is stopped loses its claim before it could.
    """
    sharing = all_sharing(trials, store)
    for trial in trials:
        folder, its = store.folder(trial), sharing[trial.name]
        kept, state = folder.checkpointed(), folder.status().status
        is_stopped = state == TrialState.STOPPED and not lacks_its_end(trial, folder)
        was_shared = state == TrialState.FINISHED and bool(its.sharers)
        if not trial.ends_schedule or not (is_stopped or was_shared):
            continue
        best = best_evaluation(folder.read_evaluations("valid"), spec.metric)
        wanted: set[int] = set()
        if spec.keep_checkpoints != KEEP_NONE:
            wanted = {max(kept, default=0), *([best.iteration] if best else [])}
        if spec.keep_checkpoints == KEEP_EVALUATED:
            wanted |= {iteration for iteration in kept if trial.is_evaluation(iteration)}
        wanted |= its.still_needed(kept)
        # A trial that lost its claim while it saved may leave bytes without a checksum.
        if kept - wanted or folder.has_unfinished_checkpoint():
            folder.claim().remove_checkpoints(but=wanted)
