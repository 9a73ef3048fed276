"""Trials that ran out of GPU memory: run again with a larger share of the card, which is kept for later launches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agropest.store.records import OUT_OF_MEMORY, TrialState
from agropest.store.store import Store
from agropest.sweep.trial import TrialSpec

GROWTH = 2.0


def with_kept_shares(trials: Sequence[TrialSpec], store: Store) -> list[TrialSpec]:
    """Returns the trials, each with at least the share that it was raised to before."""
    return [_with_share(trial, store.folder(trial).status().gpu_share) for trial in trials]


def raise_shares(trials: Sequence[TrialSpec], store: Store) -> list[str]:
    """Raises the share of every trial that has ended for lack of GPU memory, on record in its status and notes.

    One that had a whole card has failed: more there is not.

    Returns:
        The names of the trials to run again.
    """
    again = []
    for trial in trials:
        folder, share = store.folder(trial), trial.resources.gpus
        status = folder.status()
        if status.status != TrialState.INTERRUPTED or status.reason != OUT_OF_MEMORY:
            continue
        if 0 < share < 1:
            larger = min(1.0, share * GROWTH)
            note = f"out of memory with {share:g} of a GPU at iteration {status.iteration}; continued with {larger:g}"
            status = replace(status, reason="", gpu_share=larger, notes=(*status.notes, note))
            again.append(trial.name)
        else:
            reason = f"{OUT_OF_MEMORY} with a whole card; lower SOLVER.IMS_PER_BATCH or INPUT.MAX_SIZE_TRAIN"
            status = replace(status, status=TrialState.FAILED, reason=reason)
        folder.claim().write_status(status)
    return again


def _with_share(trial: TrialSpec, share: float) -> TrialSpec:
    gpus = trial.resources.gpus
    return replace(trial, resources=replace(trial.resources, gpus=share)) if 0 < gpus < share else trial
