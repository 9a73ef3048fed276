"""Trials that an earlier version of training began continue as they began: what is stored of them stays theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agropest.store.records import TrialState
from agropest.store.store import Store
from agropest.sweep.stages.training import FRACTION_VERSION, training_version
from agropest.sweep.trial import TrialSpec


def at_stored_versions(trials: Sequence[TrialSpec], store: Store) -> list[TrialSpec]:
    """Returns the trials, each at the earlier training version where only that is stored.

    Version 3 computes the learning rate from the iteration, which changes the last bit of some rates of a warm-up. What
    was trained before is as good as what would be trained now, and is not trained again.
    """
    return [_at_stored_version(trial, store) for trial in trials]


def _at_stored_version(trial: TrialSpec, store: Store) -> TrialSpec:
    now, earlier = (
        replace(trial, training_version=version) for version in (training_version(trial.config), FRACTION_VERSION)
    )
    return earlier if _is_stored(earlier, store) and not _is_stored(now, store) else now


def _is_stored(trial: TrialSpec, store: Store) -> bool:
    trial = trial.source or trial
    return store.folder(trial).status().status is not TrialState.NEW
