"""The ranking and the per-class figures as CSV and Markdown.

"n/a" is a metric that has no ground truth; an empty cell is one that was not evaluated. pandas reads both as missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agropest.report.markdown import plain
from agropest.report.verdicts import probability
from agropest.results.ranking import RankedTrial
from agropest.statistics.average_precision import (
    AP50_DEPLOYED,
    AP75_DEPLOYED,
    AP_DEPLOYED,
    AP_NAMES,
    CLASS_PREFIX,
    deployed_name,
)

Cell = str | int | float | None
Rows = list[dict[str, Cell]]
SPLITS = (("val", "valid"), ("test", "test"))
# What tables show of every trial.
METRICS = (*AP_NAMES, AP_DEPLOYED, AP50_DEPLOYED, AP75_DEPLOYED)


def ranking_rows(trials: Sequence[RankedTrial]) -> Rows:
    """Returns the ranking, percent to two decimals as Detectron2 gives it."""
    return [
        {
            "rank": trial.rank,
            "label": trial.label,
            "seed": trial.seed,
            "status": trial.status,
            "iteration": trial.iteration,
            **{f"{short}_{name}": percent(getattr(trial, split), name) for short, split in SPLITS for name in METRICS},
            "val_iteration": trial.val_iteration,
            "time_s": round(trial.time_s, 1),
            "signature": trial.signature,
        }
        for trial in trials
    ]


def per_class_rows(trials: Sequence[RankedTrial]) -> Rows:
    """Returns one row for every trial, split and class."""
    return [
        {
            "label": trial.label,
            "seed": trial.seed,
            "status": trial.status,
            "iteration": trial.iteration,
            "split": split,
            "class": name.removeprefix(CLASS_PREFIX),
            "AP": percent(getattr(trial, split), name),
            "AP_deployed": percent(getattr(trial, split), deployed_name(name)),
            "time_s": round(trial.time_s, 1),
            "signature": trial.signature,
        }
        for trial in trials
        for _, split in SPLITS
        for name in getattr(trial, split)
        if name.startswith(CLASS_PREFIX)
    ]


def to_markdown(rows: Rows) -> str:
    """Returns a table; what would break it, or be more than text, is escaped."""
    if not rows:
        return "(no trials)\n"
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    lines += ["| " + " | ".join(plain(_in_column(name, row[name])) for name in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def trial_remarks(trial: RankedTrial) -> list[str]:
    """Returns what a person should know of a trial: why it failed or was stopped, its notes."""
    return [text for text in (trial.reason, *trial.notes) if text]


def percent(metrics: Mapping[str, float | None], name: str) -> Cell:
    """Returns a metric to two decimals: None where it was not computed, "n/a" where there is no ground truth."""
    if name not in metrics:
        return None
    value = metrics[name]
    return "n/a" if value is None else round(value, 2)


def _in_column(name: str, value: Cell) -> str:
    is_p = name == "p" or name.endswith(("_p", "_p_adjusted"))
    return probability(value) if is_p and isinstance(value, float) else shown(value)


def shown(value: Cell) -> str:
    """Returns a cell as text."""
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
