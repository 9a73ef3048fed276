"""Which checkpoints no sweep has chosen and no launch continues from, and removing them.

Kept of a finished trial: the checkpoint that each sweep it belongs to has chosen. Of one that was stopped early: the
last one, too, from which another sweep may continue. Of one that has not ended: everything. Evaluations, tables and
logs stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agropest.store.chosen import best_evaluation
from agropest.store.records import TrialState
from agropest.store.store import Store
from agropest.store.sweep_record import SweepRecord
from agropest.store.trial_folder import TrialFolder


@dataclass(frozen=True)
class Prunable:
    """One trial's folder.

    Attributes:
        kept: iterations of the checkpoints that stay.
        removed: of those that go.
        bytes: that go; a file that another trial has, too (``shared_work``), frees nothing.
    """

    folder: TrialFolder
    kept: tuple[int, ...]
    removed: tuple[int, ...]
    bytes: int


def prunable(store: Store, records: Sequence[SweepRecord], only: Sequence[str] = ()) -> list[Prunable]:
    """Returns the trials of which checkpoints can go.

    Args:
        records: of every sweep of the results folder: what one has chosen stays for it.
        only: names of sweeps whose trials are looked at; empty: all.
    """
    found = []
    for trial_folder, metrics, names in _by_trial(store, records).values():
        if only and not names & set(only):
            continue
        kept = _needed(trial_folder, metrics)
        removed = sorted(trial_folder.checkpointed() - kept) if kept is not None else []
        if removed:
            size = sum(_size(trial_folder, iteration) for iteration in removed)
            found.append(Prunable(trial_folder, tuple(sorted(kept or ())), tuple(removed), size))
    return found


def prune(found: Sequence[Prunable]) -> int:
    """Removes the checkpoints; returns the bytes that were freed. The results folder must be this process's own."""
    for one in found:
        one.folder.claim().remove_checkpoints(but=one.kept)
    return sum(one.bytes for one in found)


def _by_trial(store: Store, records: Sequence[SweepRecord]) -> dict[str, tuple[TrialFolder, set[str], set[str]]]:
    """Returns signature to folder, metrics and names of the sweeps that a trial belongs to."""
    wanted: dict[str, tuple[TrialFolder, set[str], set[str]]] = {}
    for record in records:
        for trial in record.trials:
            _, metrics, names = wanted.setdefault(trial.signature, (store.folder(trial), set(), set()))
            metrics.add(record.metric)
            names.add(record.name)
    return wanted


def _needed(folder: TrialFolder, metrics: set[str]) -> set[int] | None:
    """Returns the iterations whose checkpoints are needed; None: all of them."""
    status = folder.status()
    if status.status not in (TrialState.FINISHED, TrialState.STOPPED):
        return None
    evaluations = folder.read_evaluations("valid")
    best = [best_evaluation(evaluations, metric) for metric in metrics]
    kept = {one.iteration for one in best if one is not None}
    if not kept & folder.checkpointed():
        return None  # what was chosen is gone: nothing is made worse
    if status.status == TrialState.STOPPED:
        kept |= {max(folder.checkpointed())}
    return kept


def _size(folder: TrialFolder, iteration: int) -> int:
    paths = (folder.checkpoints / f"{iteration:08d}{suffix}" for suffix in (".pth", ".json"))
    states = [path.stat() for path in paths if path.is_file()]
    return sum(state.st_size for state in states if state.st_nlink == 1)
