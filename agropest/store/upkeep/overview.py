"""What the results folder holds: its sweeps, how far they are, and the room they take."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from agropest.errors import StoreError
from agropest.statistics.accuracy.metric import metric_value
from agropest.store.chosen import chosen_evaluation
from agropest.store.store import Store
from agropest.store.sweep_record import SweepRecord, read_sweep_record


@dataclass(frozen=True)
class SweepOverview:
    """One sweep.

    Attributes:
        statuses: number of trials by status.
        best: label and seed of the trial with the highest metric on validation so far, and that; None before the first
            evaluation. No verdict: the page has those.
        bytes: of its trials' folders, which other sweeps may share.
    """

    record: SweepRecord
    statuses: Counter[str]
    best: tuple[str, int, float] | None
    bytes: int


def read_records(store: Store) -> tuple[list[SweepRecord], list[str]]:
    """Returns the sweeps of a results folder by the time of their launch, and the faults of unreadable ones."""
    records: list[SweepRecord] = []
    faults: list[str] = []
    for path in sorted(store.root.glob("*/sweep.json")):
        try:
            records.append(read_sweep_record(path.parent, store.root))
        except StoreError as error:
            faults += error.faults
    return sorted(records, key=lambda one: one.launched), faults


def overview(record: SweepRecord, store: Store) -> SweepOverview:
    """Returns how far a sweep is."""
    best, size = None, 0
    for trial in record.trials:
        folder = store.folder(trial)
        chosen = chosen_evaluation(folder, record.metric)
        value = metric_value(chosen.metrics, record.metric) if chosen else None
        if value is not None and (best is None or value > best[2]):
            best = (trial.label, trial.seed, value)
        size += folder_bytes(folder.path)
    statuses = Counter(str(store.folder(trial).status().status) for trial in record.trials)
    return SweepOverview(record, statuses, best, size)


def folder_bytes(folder: Path) -> int:
    """Returns the bytes of the files in a folder; 0 where there is none."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
