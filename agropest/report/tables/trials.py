"""The ranking and the per-class figures as CSV and Markdown.

"n/a" is a metric that has no ground truth; an empty cell is one that was not evaluated. pandas reads both as missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agropest.analysis.ranking import RankedTrial
from agropest.report.columns.column import Cell
from agropest.report.columns.trials import SPLITS, measured, trial_columns, trial_rows
from agropest.report.columns.writing import file_rows
from agropest.report.markdown import plain
from agropest.report.verdicts import EvaluationKey, probability
from agropest.statistics.accuracy.average_precision import AP, CLASS_PREFIX, deployed_name
from agropest.statistics.inference import Interval

Rows = list[dict[str, Cell]]
P_VALUES = ("_p", "_p_adjusted")  # ends of the columns that hold some


def ranking_rows(
    trials: Sequence[RankedTrial], metric: str = AP, intervals: Mapping[EvaluationKey, Interval] | None = None
) -> Rows:
    """Returns the ranking, percent to two decimals as Detectron2 gives it.

    Args:
        metric: that validation ranks by.
        intervals: of it, where known: see :func:`agropest.report.verdicts.seed_intervals`.
    """
    return file_rows(trial_columns(metric), trial_rows(trials, metric, intervals))


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
    value = measured(metrics, name)
    return round(value, 2) if isinstance(value, float) else value


def shown(value: Cell, column: str = "") -> str:
    """Returns a cell as text; a p value, which the column's name tells, never as 0.00."""
    if isinstance(value, float):
        return probability(value) if column.endswith(P_VALUES) else f"{value:.2f}"
    return "" if value is None else str(value)
