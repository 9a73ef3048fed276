"""AP of the classes as tables of the page: differences to the baseline's, and AP itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agropest.analysis.compared import Comparison
from agropest.analysis.ranking import RankedTrial
from agropest.report.page.tables.cells import Cell, TableOf, metric_cell, name_cell, nothing
from agropest.report.tables.classes import class_changes
from agropest.report.verdicts import signed
from agropest.statistics.accuracy.average_precision import CLASS_PREFIX, DEPLOYED_CLASS_PREFIX
from agropest.store.records import TrialState

MOST_CLASSES = 40  # in a table: more make a page of many megabytes
DEEPEST = 10.0  # percentage points at which the heat map's colour is full


def heat_map(comparison: Comparison | None, rows: Sequence[RankedTrial], baseline: str) -> TableOf | None:
    """Returns the difference of every class's AP to the baseline's; None where there is none.

    From the comparison where there is one, a cell whose interval leaves out 0 then is marked; else from the trials. Of
    many classes those that change most.
    """
    return _heat_table(_compared_classes(comparison) if comparison else _trial_classes(rows, baseline))


def deployed_heat_map(rows: Sequence[RankedTrial], baseline: str) -> TableOf | None:
    """Returns the same at the deployed score threshold, of the finished variants; None where that was not stored."""
    changes = class_changes(rows, baseline, DEPLOYED_CLASS_PREFIX)
    return _heat_table(
        {
            label: {name: (value, False) for name, value in its.items() if value is not None}
            for label, its in changes.items()
        }
    )


def class_table(rows: Sequence[RankedTrial]) -> TableOf | None:
    """Returns AP of every class on validation, of the best trial of each variant; None before the first evaluation."""
    best: dict[str, RankedTrial] = {}
    for row in rows:
        if row.valid:
            best.setdefault(row.label, row)
    names = list(dict.fromkeys(name for row in best.values() for name in row.valid if name.startswith(CLASS_PREFIX)))
    if not names or len(names) > MOST_CLASSES:
        return None
    headings = ["variant", "seed", "at", *(name.removeprefix(CLASS_PREFIX) for name in names)]
    body = [
        [
            name_cell(row.label),
            Cell(str(row.seed), row.seed),
            Cell(str(row.val_iteration), row.val_iteration),
            *(metric_cell(row.valid, name) for name in names),
        ]
        for row in best.values()
    ]
    return TableOf(headings, [False, *(True for _ in headings[1:])], body)


def _heat_table(changes: Mapping[str, Mapping[str, tuple[float, bool]]]) -> TableOf | None:
    """Returns the differences and whether each is clear as a table, by row and class."""
    classes = list(dict.fromkeys(name for one in changes.values() for name in one))
    if not classes:
        return None
    largest = {name: max(abs(one[name][0]) for one in changes.values() if name in one) for name in classes}
    kept = sorted(classes, key=lambda name: -largest[name])[:MOST_CLASSES]
    classes = [name for name in classes if name in kept]
    body = [
        [name_cell(label), *(_shaded(*one[name]) if name in one else nothing() for name in classes)]
        for label, one in changes.items()
        if one
    ]
    folds = [0, *(len(kept) - kept.index(name) for name in classes)]  # what changes least folds away first
    return TableOf(["variant", *classes], [False, *(True for _ in classes)], body, folds)


def _compared_classes(comparison: Comparison) -> dict[str, dict[str, tuple[float, bool]]]:
    changes = {}
    for one in comparison.variants:
        changes[one.label] = {
            name: (
                estimate.value,
                estimate.interval is not None and (estimate.interval.low > 0 or estimate.interval.high < 0),
            )
            for name, estimate in one.per_class.items()
            if estimate.value is not None
        }
    return changes


def _trial_classes(rows: Sequence[RankedTrial], baseline: str) -> dict[str, dict[str, tuple[float, bool]]]:
    base = {row.seed: row.valid for row in rows if row.label == baseline and row.status == TrialState.FINISHED}
    changes = {}
    for row in rows:
        if row.status == TrialState.FINISHED and row.label != baseline and row.seed in base:
            other = base[row.seed]
            pairs = {
                name: (value, other.get(name)) for name, value in row.valid.items() if name.startswith(CLASS_PREFIX)
            }
            changes[f"{row.label} (seed {row.seed})"] = {
                name.removeprefix(CLASS_PREFIX): (value - before, False)
                for name, (value, before) in pairs.items()
                if value is not None and before is not None
            }
    return changes


def _shaded(value: float, is_clear: bool) -> Cell:
    class_ = "up" if value > 0 else "down"
    return Cell(
        signed(value) + ("*" if is_clear else ""), value, class_, round(min(abs(value) / DEEPEST, 1.0) * 0.7, 2)
    )
