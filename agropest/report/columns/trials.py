"""The columns of a sweep's trials, each seed by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agropest.analysis.ranking import Metrics, RankedTrial
from agropest.durations import duration
from agropest.report.columns.column import COUNT, FILES, NO_TRUTH, PAGE, PERCENT, SECONDS, Column
from agropest.report.verdicts import EvaluationKey
from agropest.statistics.accuracy.average_precision import (
    AP50,
    AP50_DEPLOYED,
    AP75,
    AP75_DEPLOYED,
    AP_DEPLOYED,
    AP_NAMES,
    APL,
    APM,
    APS,
)
from agropest.statistics.accuracy.metric import metric_value
from agropest.statistics.inference import Estimate, Interval

# What tables show of every trial.
METRICS = (*AP_NAMES, AP_DEPLOYED, AP50_DEPLOYED, AP75_DEPLOYED)
OF_SIZES = (APS, APM, APL)
# The page leaves these out where it is narrow, the lowest number first.
FOLDS = {APS: 1, APM: 1, APL: 1, AP75_DEPLOYED: 2, AP50_DEPLOYED: 3, AP75: 4, AP50: 6, AP_DEPLOYED: 9}
SPLITS = (("val", "valid"), ("test", "test"))
BOTH, ONLY_FILES, ONLY_PAGE = frozenset({FILES, PAGE}), frozenset({FILES}), frozenset({PAGE})


@dataclass(frozen=True)
class TrialRow:
    """A trial and the metric that it is ranked by; its interval, and the seconds it still trains, where known."""

    trial: RankedTrial
    metric: str
    interval: Interval | None = None
    left_s: float | None = None


def trial_rows(
    trials: Sequence[RankedTrial],
    metric: str,
    intervals: Mapping[EvaluationKey, Interval] | None = None,
    left_s: Mapping[str, float] | None = None,
) -> list[TrialRow]:
    """Returns a row for each trial.

    Args:
        intervals: see :func:`agropest.report.verdicts.seed_intervals`.
        left_s: of the trials that run, by signature.
    """
    known, left = intervals or {}, left_s or {}
    return [
        TrialRow(one, metric, known.get((one.label, one.seed, one.val_iteration)), left.get(one.signature))
        for one in trials
    ]


def trial_columns(metric: str) -> tuple[Column[TrialRow], ...]:
    """Returns the columns in the order of the files; see :func:`page_order` for the page's.

    Args:
        metric: that the trials are ranked by.
    """
    return (
        Column("rank", "#", lambda row: row.trial.rank, COUNT, BOTH, always=True),
        Column("label", "trial", lambda row: row.trial.label, shown=BOTH, always=True, style=lambda _: "name"),
        Column("seed", "seed", lambda row: row.trial.seed, COUNT, BOTH, always=True, folds=14),
        Column("status", "status", lambda row: row.trial.status, shown=BOTH, always=True, style=_status),
        Column("iteration", "iterations", lambda row: row.trial.iteration, COUNT, BOTH, always=True, folds=13),
        Column("max_iter", "of", lambda row: row.trial.max_iter, COUNT, ONLY_PAGE, always=True, folds=5),
        *(_metric_column(short, split, name, metric) for short, split in SPLITS for name in METRICS),
        *((_other_test(metric),) if metric not in METRICS else ()),
        Column("metric", "", lambda row: row.metric, shown=ONLY_FILES),
        Column("val", f"val {_quoted(metric)}", _ranked, PERCENT, BOTH, spread="95 %", spread_folds=12, always=True),
        Column("val_iteration", "at", lambda row: row.trial.val_iteration, COUNT, BOTH, always=True, folds=10),
        Column("time_s", "time", lambda row: row.trial.time_s, SECONDS, BOTH, always=True, folds=8),
        Column("left", "left", _left, shown=ONLY_PAGE, style=lambda _: "number"),
        Column("remark", "remark", _remark, shown=ONLY_PAGE, style=lambda _: "remark", folds=7),
        Column("signature", "", lambda row: row.trial.signature, shown=ONLY_FILES),
        Column("folder", "", lambda row: row.trial.folder, shown=ONLY_FILES),
        Column("checkpoint", "", lambda row: row.trial.checkpoint, shown=ONLY_FILES),
    )


def page_order(columns: Sequence[Column[TrialRow]]) -> list[Column[TrialRow]]:
    """Returns the columns with the metric that ranks, and where it was evaluated, before all other metrics."""
    first = [column for column in columns if column.key in ("val", "val_iteration")]
    others = [column for column in columns if column not in first]
    at = next(i for i, column in enumerate(others) if column.key.startswith("val_"))
    return [*others[:at], *first, *others[at:]]


def measured(metrics: Metrics, name: str) -> float | str | None:
    """Returns a metric in percent; None where it was not computed, ``NO_TRUTH`` where there is no ground truth."""
    if name not in metrics:
        return None
    value = metrics[name]
    return NO_TRUTH if value is None else value


def _metric_column(short: str, split: str, name: str, metric: str) -> Column[TrialRow]:
    """Returns one of ``METRICS`` on a split; the page has the one that ranks already, and no sizes of test."""
    on_page = name != metric if short == "val" else name not in OF_SIZES or name == metric
    return Column(
        f"{short}_{name}",
        f"{short} {name}",
        lambda row: measured(getattr(row.trial, split), name),
        PERCENT,
        BOTH if on_page else ONLY_FILES,
        always=True,
        folds=FOLDS.get(name, 11),
    )


def _other_test(metric: str) -> Column[TrialRow]:
    """Returns the metric that ranks on test, where it is none of ``METRICS``."""

    def value(row: TrialRow) -> float | None:
        return metric_value(row.trial.test, metric)

    return Column("test", f"test {_quoted(metric)}", value, PERCENT, ONLY_PAGE, always=True)


def _quoted(name: str) -> str:
    """Returns a name in which braces are no places to be filled: a class may be called anything."""
    return name.replace("{", "{{").replace("}", "}}")


def _ranked(row: TrialRow) -> Estimate | None:
    return Estimate(metric_value(row.trial.valid, row.metric), row.interval) if row.trial.valid else None


def _left(row: TrialRow) -> str | None:
    return None if row.left_s is None else duration(row.left_s)


def _remark(row: TrialRow) -> str:
    return "; ".join(text for text in (row.trial.reason, *row.trial.notes) if text)


def _status(row: TrialRow) -> str:
    return row.trial.status
