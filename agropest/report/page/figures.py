"""The figures of a sweep's page: what is known of the sweep in, SVG out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agropest.analysis.compared import Comparison
from agropest.analysis.ranking import RankedTrial
from agropest.report.page.charts import IntervalRow, Line, interval_chart, line_chart
from agropest.report.page.details import Detail
from agropest.report.page.svg import WIDE
from agropest.statistics.accuracy.metric import metric_value
from agropest.statistics.accuracy.weighted import RECALL_POINTS
from agropest.statistics.diagnosis.curves import THRESHOLDS
from agropest.statistics.inference import BETTER, WORSE, Difference
from agropest.store.losses import LossLine
from agropest.store.records import EvaluationRecord, TrialState

VERDICT_MARKS = {BETTER: ("better", "up"), WORSE: ("worse", "down")}
MOST_POINTS = 120  # of a loss curve
NO_VERDICT_MARK = ("unclear", "circle")  # inconclusive, or nothing is known of seeds


def ranking_chart(comparison: Comparison, width: int = WIDE) -> str:
    """Returns every variant's metric with its interval."""
    rows = [
        IntervalRow(
            label=one.label,
            value=one.estimate.value,
            low=one.estimate.interval.low if one.estimate.interval else None,
            high=one.estimate.interval.high if one.estimate.interval else None,
            class_="baseline" if one.label == comparison.baseline else "tied" if one.ties_with_best else "mark",
            shape="square" if one.label == comparison.baseline else "circle" if one.rank else "cross",
            note="baseline" if one.label == comparison.baseline else one.status if one.rank is None else "",
        )
        for one in comparison.variants
        if one.estimate.value is not None
    ]
    base = next((one.estimate.value for one in comparison.variants if one.label == comparison.baseline), None)
    return interval_chart(rows, f"validation {comparison.metric}, 95 % interval", base, comparison.baseline, width)


def difference_chart(comparison: Comparison, width: int = WIDE) -> str:
    """Returns every variant's difference to the baseline; empty where there is none."""
    there = [(one, one.difference) for one in comparison.variants if one.difference is not None]
    there.sort(key=lambda pair: (pair[0].rank is None, -pair[1].value))
    rows = [difference_row(one.label, difference, "" if one.rank else f" ({one.status})") for one, difference in there]
    label = f"{comparison.metric} minus that of {comparison.baseline}, percentage points, 95 % interval"
    return interval_chart(rows, label, 0.0, comparison.baseline, width) if rows else ""


def effects_chart(comparison: Comparison, width: int = WIDE) -> str:
    """Returns what each factor does; empty where the sweep has no factors, or their variants have not finished."""
    rows = [
        difference_row(" x ".join(effect.factors), effect.difference, f" ({effect.kind})")
        for effect in comparison.effects
    ]
    label = f"{comparison.metric}, percentage points, 95 % interval"
    return interval_chart(rows, label, 0.0, "no effect", width) if rows else ""


def difference_row(label: str, difference: Difference, remark: str = "") -> IntervalRow:
    """Returns a difference as a row of an interval chart, its verdict as mark and in words."""
    class_, shape = VERDICT_MARKS.get(difference.verdict, NO_VERDICT_MARK)
    interval = difference.interval
    return IntervalRow(label, difference.value, interval.low, interval.high, class_, shape, difference.verdict + remark)


def learning_curves(
    rows: Sequence[tuple[RankedTrial, Sequence[EvaluationRecord]]],
    metric: str,
    shown: Sequence[str],
    width: int = WIDE,
) -> str:
    """Returns validation metric over iterations; the variants in ``shown`` stand out, in that order."""
    styles = {label: number for number, label in enumerate(shown)}
    several = len({row.seed for row, _ in rows}) > 1
    lines = [
        Line(
            f"{row.label} (seed {row.seed})" if several else row.label,
            [(float(record.iteration), metric_value(record.metrics, metric)) for record in records],
            styles.get(row.label),
            row.status == TrialState.STOPPED,
            row.label,
        )
        for row, records in rows
        if records
    ]
    lines.sort(key=lambda line: (line.style is None, line.style or 0))
    return line_chart(lines, "iterations", f"validation {metric}", width=width) if lines else ""


def loss_curves(
    rows: Sequence[RankedTrial], losses: Mapping[str, Sequence[LossLine]], shown: Sequence[str], width: int = WIDE
) -> str:
    """Returns the training loss over iterations; empty where none was stored.

    Args:
        losses: by the signature of the trial.
        shown: as for :func:`learning_curves`.
    """
    styles = {label: number for number, label in enumerate(shown)}
    several = len({row.seed for row in rows}) > 1
    lines = [
        Line(
            f"{row.label} (seed {row.seed})" if several else row.label,
            _thinned([(float(line.iteration), line.total) for line in losses[row.signature]]),
            styles.get(row.label),
            row.status == TrialState.STOPPED,
            row.label,
        )
        for row in rows
        if losses.get(row.signature)
    ]
    lines.sort(key=lambda line: (line.style is None, line.style or 0))
    return line_chart(lines, "iterations", "training loss", marks=False, width=width) if lines else ""


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float | None]]:
    """Returns at most ``MOST_POINTS`` points, each the mean of its neighbours."""
    step = -(-len(points) // MOST_POINTS) or 1
    parts = [points[start : start + step] for start in range(0, len(points), step)]
    return [(part[-1][0], sum(y for _, y in part) / len(part)) for part in parts]


def precision_chart(details: Sequence[Detail], width: int = WIDE) -> str:
    """Returns precision over recall at IoU 0.5."""
    lines = [
        Line(detail.name, list(zip(RECALL_POINTS.tolist(), detail.precision.tolist(), strict=True)), style)
        for style, detail in enumerate(details)
    ]
    y_label = "precision, IoU 0.5, mean of classes"
    return line_chart(lines, "recall", y_label, (0, 1), (0, 1.02), marks=False, width=width)


def threshold_chart(details: Sequence[Detail], width: int = WIDE) -> str:
    """Returns AP over the score threshold."""
    lines = [
        Line(detail.name, list(zip(THRESHOLDS, detail.by_threshold, strict=True)), style)
        for style, detail in enumerate(details)
    ]
    x_label = "score threshold: only boxes at or above it count"
    return line_chart(lines, x_label, "validation AP", marks=False, width=width)
