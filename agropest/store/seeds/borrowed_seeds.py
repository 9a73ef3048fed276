"""Trainings of other sweeps that say what a seed does where a sweep has one seed of everything.

Borrowed are the finished trials of sweeps in this store that have the same data and the same baseline configuration, as
far as one of their variants has several seeds: what a seed does depends on the data, the schedule and the model, and
hardly on what two variants of one sweep differ in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agropest.errors import StoreError
from agropest.store.records import TrialState
from agropest.store.store import Store
from agropest.store.sweep_record import read_sweep_record
from agropest.sweep.stages.training import written_training
from agropest.sweep.trial import NOT_IDENTITY, TrialSpec

MOST = 48  # trainings: more would tell little that these do not, and each is read
Identity = tuple[str, str, str, tuple[tuple[str, str], ...]]
Group = tuple[Identity, int]


def borrowed_trials(trials: Sequence[TrialSpec], store: Store, baseline: str) -> dict[str, list[TrialSpec]]:
    """Returns finished trials by what was trained, several seeds of each; a variant's name has its sweep before it.

    Args:
        trials: of the sweep that borrows.
        baseline: label of its baseline.
    """
    own = next((trial for trial in trials if trial.label == baseline), None)
    if own is None:
        return {}
    seen: set[str] = set()
    found: dict[str, list[TrialSpec]] = {}
    for path in sorted(store.root.glob("*/sweep.json")):
        try:
            record = read_sweep_record(path.parent, store.root)
        except StoreError:  # damaged, or of another version: nothing to borrow
            continue
        base = next((trial for trial in record.trials if trial.label == record.baseline), None)
        if base is None or _without_seed(base) != _without_seed(own):
            continue
        for group in _several_seeds(record.trials, store, seen).values():
            if sum(map(len, found.values())) + len(group) <= MOST:
                found[f"{record.name}: {group[0].label}"] = group
    return found


def _several_seeds(trials: Sequence[TrialSpec], store: Store, seen: set[str]) -> Mapping[Group, list[TrialSpec]]:
    """Returns the finished trials that differ in nothing but the seed; adds their trainings to ``seen``."""
    groups: dict[Group, list[TrialSpec]] = {}
    for trial in trials:
        # The last settings of a population's member say little of what it was trained with.
        if trial.segment_end or not trial.trains or written_training(trial) in seen:
            continue
        if store.folder(trial).status().status == TrialState.FINISHED:
            groups.setdefault((_without_seed(trial), trial.training_version), []).append(trial)
            seen.add(written_training(trial))
    return {key: group for key, group in groups.items() if len({trial.seed for trial in group}) > 1}


def _without_seed(trial: TrialSpec) -> Identity:
    """Returns what decides a training's numbers, but for the seed."""
    config: Mapping[str, Any] = trial.config
    kept = {key: repr(value) for key, value in config.items() if key not in NOT_IDENTITY and key != "SEED"}
    return trial.data, trial.weights, trial.code, tuple(sorted(kept.items()))
