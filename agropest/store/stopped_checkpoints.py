"""The checkpoints of trials that were stopped early: which are kept."""

from __future__ import annotations

from collections.abc import Sequence

from agropest.store.chosen import best_evaluation
from agropest.store.completeness import lacks_its_end
from agropest.store.records import TrialState
from agropest.store.store import Store
from agropest.sweep.spec import KEEP_NONE, SweepSpec
from agropest.sweep.trial import TrialSpec


def remove_checkpoints_of_stopped(spec: SweepSpec, trials: Sequence[TrialSpec], store: Store) -> None:
    """Leaves a trial that was stopped its best and its last checkpoint, or none where none are kept.

    A finished trial has done so itself; one that is stopped loses its claim before it could.
    """
    for trial in trials:
        folder = store.folder(trial)
        kept = folder.checkpointed()
        if not trial.ends_schedule or folder.status().status != TrialState.STOPPED or lacks_its_end(trial, folder):
            continue
        best = best_evaluation(folder.read_evaluations("valid"), spec.metric)
        wanted: set[int] = set()
        if spec.keep_checkpoints != KEEP_NONE:
            wanted = {max(kept, default=0), *([best.iteration] if best else [])}
        # A trial that lost its claim while it saved may leave bytes without a checksum.
        if kept - wanted or folder.has_unsealed_checkpoint():
            folder.claim().remove_checkpoints(but=wanted)
