"""Curves behind a single AP: precision against recall, and AP against the score threshold.

Shapes: I images, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from agropest.statistics.accuracy.image_weights import ImageWeights
from agropest.statistics.accuracy.weighted import RECALL_POINTS, class_precisions
from agropest.statistics.detections.boxes import lowest_score
from agropest.statistics.detections.matching import ALL, IGNORED, IOU_THRESHOLDS, TRUE, Matches

Array = npt.NDArray[np.float64]

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(20))


def class_precision_recall(matches: Matches, iou: float = 0.5) -> Array:
    """Returns COCO's interpolated precision at the 101 recall points, [K, 101] in [0, 1].

    NaN for a class without annotations. Its mean over recall points and classes is AP at this IoU.

    Args:
        iou: one of ``IOU_THRESHOLDS``.
    """
    outcome = matches.outcome[ALL][int(np.argmin(np.abs(IOU_THRESHOLDS - iou)))]
    positives = matches.targets.positives[0].sum(axis=1)
    result = np.full((len(positives), len(RECALL_POINTS)), np.nan)
    for index, number in enumerate(positives):
        if number:
            own = outcome[matches.starts[index] : matches.starts[index + 1]]
            right = np.cumsum(own[own != IGNORED] == TRUE)
            precision = right / np.arange(1, len(right) + 1)
            best = np.maximum.accumulate(precision[::-1])[::-1]
            at = np.searchsorted(right / number, RECALL_POINTS, side="left")
            result[index] = np.r_[best, 0.0][np.minimum(at, len(best))]
    return result


def precision_recall(matches: Matches, iou: float = 0.5) -> Array:
    """Returns the mean of :func:`class_precision_recall` over the classes that have annotations, [101]."""
    curves = class_precision_recall(matches, iou)
    exists = ~np.isnan(curves[:, 0])
    mean: Array = curves[exists].mean(axis=0) if exists.any() else np.full(len(RECALL_POINTS), np.nan)
    return mean


def ap_by_threshold(matches: Matches, thresholds: Sequence[float] = THRESHOLDS) -> list[float | None]:
    """Returns AP in percent from the boxes that reach each score threshold; None without ground truth."""
    once = ImageWeights(matches.targets, np.ones((1, matches.targets.num_images), np.uint16))
    values = []
    for threshold in thresholds:
        by_class = class_precisions(matches, once, min_score=float(lowest_score(threshold)))[:, 0]
        known = by_class[~np.isnan(by_class)]
        values.append(float(known.mean()) * 100 if known.size else None)
    return values
