"""The ranking and the per-class figures as CSV and Markdown.

"n/a" is a metric that has no ground truth; an empty cell is one that was not evaluated. pandas reads both as missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agropest.analysis.ranking import RankedTrial
from agropest.report.markdown import plain
from agropest.report.verdicts import EvaluationKey, probability
from agropest.statistics.accuracy.average_precision import (
    AP,
    AP50_DEPLOYED,
    AP75_DEPLOYED,
    AP_DEPLOYED,
    AP_NAMES,
    CLASS_PREFIX,
    deployed_name,
)
from agropest.statistics.accuracy.metric import metric_value
from agropest.statistics.inference import Interval

Cell = str | int | float | None
Rows = list[dict[str, Cell]]
SPLITS = (("val", "valid"), ("test", "test"))
# What tables show of every trial.
METRICS = (*AP_NAMES, AP_DEPLOYED, AP50_DEPLOYED, AP75_DEPLOYED)
P_VALUES = ("_p", "_p_adjusted")  # ends of the columns that hold some


def ranking_rows(
    trials: Sequence[RankedTrial], metric: str = AP, intervals: Mapping[EvaluationKey, Interval] | None = None
) -> Rows:
    """Returns the ranking, percent to two decimals as Detectron2 gives it.

    Args:
        metric: that validation ranks by.
        intervals: of it, where known: see :func:`agropest.report.verdicts.seed_intervals`.
    """
    known = intervals or {}
    return [
        {
            "rank": trial.rank,
            "label": trial.label,
            "seed": trial.seed,
            "status": trial.status,
            "iteration": trial.iteration,
            **{f"{short}_{name}": percent(getattr(trial, split), name) for short, split in SPLITS for name in METRICS},
            "metric": metric,
            "val": _metric(trial, metric),
            **_edges(known.get((trial.label, trial.seed, trial.val_iteration))),
            "val_iteration": trial.val_iteration,
            "time_s": round(trial.time_s, 1),
            "signature": trial.signature,
            "folder": trial.folder,
            "checkpoint": trial.checkpoint,
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
    lines += ["| " + " | ".join(plain(shown(value, name)) for name, value in row.items()) + " |" for row in rows]
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


def shown(value: Cell, column: str = "") -> str:
    """Returns a cell as text; a p value, which the column's name tells, never as 0.00."""
    if isinstance(value, float):
        return probability(value) if column.endswith(P_VALUES) else f"{value:.2f}"
    return "" if value is None else str(value)


def _metric(trial: RankedTrial, metric: str) -> Cell:
    if not trial.valid:
        return None
    value = metric_value(trial.valid, metric)
    return "n/a" if value is None else round(value, 2)


def _edges(interval: Interval | None) -> dict[str, Cell]:
    return {
        "val_low": round(interval.low, 2) if interval else None,
        "val_high": round(interval.high, 2) if interval else None,
    }
