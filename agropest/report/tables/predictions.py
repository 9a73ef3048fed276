"""What one file of predictions holds, for a console and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from agropest.statistics.accuracy.average_precision import AP_NAMES, AR_NAMES, CLASS_PREFIX, Metrics, evaluate
from agropest.statistics.detections.boxes import Boxes, GroundTruth
from agropest.statistics.detections.matching import match, read_targets
from agropest.statistics.diagnosis.box_summary import CONFIDENT, BoxSummary, summarize_boxes
from agropest.statistics.diagnosis.calibration import Calibration, calibration
from agropest.statistics.diagnosis.confusion import BACKGROUND, ConfusionMatrix, confusion_matrix
from agropest.statistics.diagnosis.error_types import ErrorTypes, error_types

BAR = 40
MOST_CLASSES, MOST_PAIRS = 15, 15  # a wider matrix fits no console


@dataclass(frozen=True)
class Evaluated:
    """What needs ground truth.

    Attributes:
        num_images: of the ground truth.
        metrics: COCO's, percent.
        deployed: the same of the boxes at or above the confusion matrix's threshold.
        unknown: predicted boxes of categories that the ground truth lacks; left out of everything here.
    """

    num_images: int
    metrics: Metrics
    deployed: Metrics
    calibration: Calibration
    errors: ErrorTypes
    confusion: ConfusionMatrix
    unknown: int


@dataclass(frozen=True)
class PredictionSummary:
    """Counts of the boxes, and what ground truth adds; ``class_names`` by category id."""

    boxes: BoxSummary
    class_names: Mapping[int, str]
    evaluated: Evaluated | None = None


def summarize_predictions(boxes: Boxes, ground_truth: GroundTruth | None, threshold: float) -> PredictionSummary:
    """Returns what can be said of some boxes.

    Args:
        threshold: that the detector is deployed with: of the confusion matrix and the deployed metrics.

    Raises:
        DataError: a box is on an image that the ground truth lacks.
    """
    if ground_truth is None:
        summary = summarize_boxes(boxes)
        return PredictionSummary(summary, {category_id: f"category {category_id}" for category_id in summary.by_class})
    matches = match(read_targets(ground_truth), boxes)  # first: refuses boxes of another split
    summary = summarize_boxes(boxes, ground_truth.class_names)
    names = {
        key: ground_truth.class_names.get(key, f"category {key} (not in the ground truth)") for key in summary.by_class
    }
    known = boxes.where(np.isin(boxes.category_id, list(ground_truth.class_names)))
    evaluated = Evaluated(
        num_images=len(ground_truth.images),
        metrics=evaluate(ground_truth, known),
        deployed=evaluate(ground_truth, known.at_threshold(threshold)),
        calibration=calibration(matches),
        errors=error_types(ground_truth, boxes),
        confusion=confusion_matrix(ground_truth, boxes, threshold),
        unknown=len(boxes) - len(known),
    )
    return PredictionSummary(summary, names, evaluated)


def summary_content(summary: PredictionSummary) -> dict[str, Any]:
    """Returns the summary as JSON: shares in [0, 1], AP in percent, null where there is no ground truth."""
    counts = asdict(summary.boxes)
    counts["by_class"] = {summary.class_names[key]: number for key, number in summary.boxes.by_class.items()}
    content: dict[str, Any] = {"boxes": counts}
    if summary.evaluated is not None:
        on_truth = summary.evaluated
        content |= {
            "num_images": on_truth.num_images,
            "metrics": on_truth.metrics,
            "metrics_deployed": on_truth.deployed,
            "calibration": asdict(on_truth.calibration),
            "error_types": asdict(on_truth.errors),
            "confusion": {
                "class_names": [*on_truth.confusion.class_names, BACKGROUND],
                "threshold": on_truth.confusion.threshold,
                "counts": on_truth.confusion.counts.tolist(),
            },
            "num_boxes_of_unknown_categories": on_truth.unknown,
        }
    return content


def summary_tables(summary: PredictionSummary) -> list[tuple[str, Table]]:
    """Returns the summary for a console, each table with its heading."""
    tables = [_counts(summary), _histogram(summary.boxes)]
    if summary.evaluated is not None:
        evaluated = summary.evaluated
        tables += [
            _metrics(evaluated),
            _reliability(evaluated.calibration),
            _errors(evaluated.errors),
            _confusion(evaluated.confusion),
        ]
    return tables


def _counts(summary: PredictionSummary) -> tuple[str, Table]:
    boxes = summary.boxes
    share = "n/a" if boxes.share_confident is None else f"{boxes.share_confident:.1%}"
    images = f" of {summary.evaluated.num_images}" if summary.evaluated else ""
    heading = f"{boxes.num_boxes} boxes on {boxes.num_images}{images} images, "
    heading += f"{boxes.num_confident} ({share}) above {CONFIDENT}"
    table = _table("class", "boxes")
    columns = {}
    if summary.evaluated:
        threshold = summary.evaluated.confusion.threshold
        columns = {"AP": summary.evaluated.metrics, f"AP at score >= {threshold:g}": summary.evaluated.deployed}
    for heading_of_column in columns:
        table.add_column(heading_of_column, justify="right")
    for key, number in boxes.by_class.items():
        name = summary.class_names[key]
        shown = [_percent(metrics.get(CLASS_PREFIX + name)) for metrics in columns.values()]
        table.add_row(Text(name), str(number), *shown)
    return heading, table


def _histogram(boxes: BoxSummary) -> tuple[str, Table]:
    table = _table("score", "boxes", "")
    table.columns[-1].justify = "left"
    most, bins = max(boxes.histogram, default=0), len(boxes.histogram)
    for number, count in enumerate(boxes.histogram):
        bar = "#" * (round(BAR * count / most) or (count > 0)) if most else ""
        table.add_row(f"{number / bins:.1f} to {(number + 1) / bins:.1f}", str(count), bar)
    return "Scores", table


def _metrics(evaluated: Evaluated) -> tuple[str, Table]:
    table = _table("boxes", *AP_NAMES, *AR_NAMES)
    for name, metrics in (
        ("all", evaluated.metrics),
        (f"score >= {evaluated.confusion.threshold:g}", evaluated.deployed),
    ):
        table.add_row(name, *(_percent(metrics[metric]) for metric in (*AP_NAMES, *AR_NAMES)))
    return "COCO metrics, percent", table


def _reliability(calibration: Calibration) -> tuple[str, Table]:
    error = "n/a" if calibration.ece is None else f"{calibration.ece:.3f}"
    table = _table("score", "boxes", "mean score", "share right")
    for one in calibration.bins:
        shares = ["n/a" if value is None else f"{value:.3f}" for value in (one.mean_score, one.precision)]
        table.add_row(f"{one.low:.1f} to {one.high:.1f}", str(one.num_boxes), *shares)
    return f"Calibration: expected error {error}", table


def _errors(errors: ErrorTypes) -> tuple[str, Table]:
    table = _table("type", "number", "AP50 if mended")
    for name, number in errors.counts.items():
        table.add_row(name, str(number), f"{errors.delta_ap[name]:+.2f}")
    return f"Error types (TIDE), AP50 {_percent(errors.ap50)}", table


def _confusion(confusion: ConfusionMatrix) -> tuple[str, Table]:
    names = (*confusion.class_names, BACKGROUND)
    if len(confusion.class_names) > MOST_CLASSES:
        heading = f"Confusion at score >= {confusion.threshold:g}: the {MOST_PAIRS} most frequent"
        table = _table("truth", "predicted", "number")
        for number, row, column in most_confused(confusion, MOST_PAIRS):
            table.add_row(Text(names[row]), Text(names[column]), str(number))
        return heading, table
    table = _table("truth \\ predicted", *names)
    for name, row in zip(names, confusion.counts.tolist(), strict=True):
        table.add_row(Text(name), *(str(number) if number else "." for number in row))
    return f"Confusion at score >= {confusion.threshold:g} (row: truth, column: predicted)", table


def most_confused(confusion: ConfusionMatrix, most: int) -> list[tuple[int, int, int]]:
    """Returns (number, row, column) of the most frequent confusions, background left out."""
    size = len(confusion.class_names)
    pairs = [
        (int(confusion.counts[row, column]), row, column)
        for row in range(size)
        for column in range(size)
        if row != column and confusion.counts[row, column]
    ]
    return sorted(pairs, key=lambda pair: (-pair[0], pair[1:]))[:most]


def _table(first: str, *others: str) -> Table:
    table = Table()
    table.add_column(Text(first))
    for name in others:
        table.add_column(Text(name), justify="right", no_wrap=True)
    return table


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"
