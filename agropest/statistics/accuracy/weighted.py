"""COCO's metrics when each image counts a whole number of times: the bootstrap's inner loop, exact.

An image of weight 3 counts as three copies that follow one another, as in the COCO evaluation of a set in which it
really stands three times. Verified against pycocotools on such sets (tests/statistics/test_weighted.py).

How: along the boxes of a class by falling score, cumulative sums of weights give true positives and boxes so far;
precision only needs to be known where a run of true positives of an IoU threshold ends, because it rises along the
run and falls behind it; the 101 recall points are counted, not looked for: a table says how many of them lie at or
below recall k/n.

Shapes: I images, K classes, D boxes of a class, P true positives, E ends of their runs, T IoU thresholds, R weightings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agropest.statistics.accuracy.image_weights import ImageWeights
from agropest.statistics.detections.matching import ALL, FALSE, IGNORED, IOU_THRESHOLDS, TRUE, Matches

Array = npt.NDArray[Any]

EVERY_IOU = tuple(range(len(IOU_THRESHOLDS)))
RECALL_POINTS = np.linspace(0.0, 1.0, 101)
# Resamples are taken in blocks whose arrays stay in the cache.
BLOCK_CELLS, LEAST_BLOCK = 2**16, 4


def class_precisions(
    matches: Matches,
    weights: ImageWeights,
    area: str = ALL,
    ious: Sequence[int] = EVERY_IOU,
    min_score: float | None = None,
) -> Array:
    """Returns AP of each class, in [0, 1], [K, R]; NaN where a class has no annotation that counts.

    Args:
        weights: R of them, of the targets that were matched with.
        ious: indices into ``IOU_THRESHOLDS``; their AP is averaged.
        min_score: leaves out boxes below it.
    """
    counts = weights.positives(area)
    result = np.full(counts.shape, np.nan)
    for index in np.flatnonzero(counts.any(axis=1)).tolist():
        if matches.starts[index] == matches.starts[index + 1]:
            result[index] = np.where(counts[index] > 0, 0.0, np.nan)
            continue
        curve = _curve(matches, index, area, ious, min_score, weights.copies)
        block = max(LEAST_BLOCK, BLOCK_CELLS // max(len(curve.image), 1))
        reached = PointsReached(counts[index])
        for start in range(0, len(weights.rows), block):
            part = slice(start, start + block)
            result[index, part] = _mean_precision(curve, weights.rows[part], counts[index, part], reached)
    return result


def class_recalls(matches: Matches, weights: ImageWeights, max_detections: int) -> Array:
    """Returns the recall of each class with so many boxes per image, mean over the IoU thresholds, [K, R]."""
    counts = weights.positives()
    result = np.full(counts.shape, np.nan)
    for index, number in enumerate(counts):
        part = slice(matches.starts[index], matches.starts[index + 1])
        hits = (matches.outcome[ALL][:, part] == TRUE).sum(axis=0) * (matches.rank[part] < max_detections)
        found = weights.rows @ np.bincount(matches.image[part], hits, minlength=matches.targets.num_images)
        np.divide(found / len(IOU_THRESHOLDS), number, out=result[index], where=number > 0)
    return result


def f1(matches: Matches, weights: ImageWeights, min_score: float, iou: int = 0) -> Array:
    """Returns 2 TP / (boxes + annotations) of the boxes from ``min_score`` up, all classes pooled, in [0, 1], [R]."""
    shown = matches.score >= min_score
    outcome = matches.outcome[ALL][iou]
    per_image = [
        weights.rows @ np.bincount(matches.image[shown & mask], minlength=matches.targets.num_images)
        for mask in (outcome == TRUE, outcome != IGNORED)
    ]
    total = per_image[1] + weights.positives().sum(axis=0)
    result = np.full(total.shape, np.nan)
    np.divide(2.0 * per_image[0], total, out=result, where=total > 0)
    return result


@dataclass(frozen=True)
class _Curve:
    """The boxes of a class along falling score, up to the last one that is right at some threshold: D boxes.

    Attributes:
        image: [D], of each box: an image, or from I on a single copy of one.
        copy_of, copy: which copy of which image I + c stands for, for each c (see :func:`_mixed_runs`).
        counted: of each threshold, the boxes that count; one for all where they agree.
        right: of each threshold, the boxes that are right, [P].
        ends: of each threshold, which of these are followed by a wrong one, or by none, [E].
        end_ranks: of each threshold, how many boxes that count stand before these, [E].
    """

    image: Array
    copy_of: Array
    copy: Array
    counted: tuple[Array, ...]
    right: tuple[Array, ...]
    ends: tuple[Array, ...]
    end_ranks: tuple[Array, ...]


def _curve(
    matches: Matches, index: int, area: str, ious: Sequence[int], min_score: float | None, copies: int
) -> _Curve:
    start, stop = matches.starts[index], matches.starts[index + 1]
    if min_score is not None:
        stop = start + np.searchsorted(-matches.score[start:stop], -min_score, side="right")
    outcome = matches.outcome[area][list(ious), start:stop]
    image, num_images = matches.image[start:stop], matches.targets.num_images
    runs = _mixed_runs(image, matches.score[start:stop], outcome)
    order, copy = _repeat_runs(runs, len(image), copies)
    image, outcome, single = image[order], outcome[:, order], copy >= 0
    copy_of, copy = image[single], copy[single]
    image[single] = num_images + np.arange(len(copy))

    last = int(np.flatnonzero((outcome == TRUE).any(axis=0)).max(initial=-1))
    image, outcome = image[: last + 1], outcome[:, : last + 1]
    counts = outcome != IGNORED
    counted = [np.flatnonzero(row) for row in counts]
    is_right = [row[boxes] == TRUE for row, boxes in zip(outcome, counted, strict=True)]
    is_end = [row & ~np.r_[row[1:], False] for row in is_right]
    return _Curve(
        image,
        copy_of,
        copy,
        tuple(counted[:1] if (counts == counts[:1]).all() else counted),
        tuple(boxes[row] for boxes, row in zip(counted, is_right, strict=True)),
        tuple(np.flatnonzero(end[row]) for end, row in zip(is_end, is_right, strict=True)),
        tuple(np.flatnonzero(end) for end in is_end),
    )


def _mixed_runs(image: Array, score: Array, outcome: Array) -> list[tuple[int, int]]:
    """Returns where boxes of one image share a score and some are right, some wrong: (start, stop).

    Among the copies of that image these boxes stand copy by copy: right, wrong, right, wrong. Anywhere else the
    order among equal scores is that of the images, and weights say it all.
    """
    same = (image[1:] == image[:-1]) & (score[1:] == score[:-1])
    if not same.any():
        return []
    starts = np.flatnonzero(np.r_[True, ~same])
    right, wrong = (np.add.reduceat(outcome == kind, starts, axis=1) for kind in (TRUE, FALSE))
    mixed = ((right > 0) & (wrong > 0)).any(axis=0)
    stops = np.r_[starts[1:], len(image)]
    return list(zip(starts[mixed].tolist(), stops[mixed].tolist(), strict=True))


def _repeat_runs(runs: list[tuple[int, int]], size: int, copies: int) -> tuple[Array, Array]:
    """Returns box indices with every run repeated copy by copy, and which copy each stands for (-1: all of them)."""
    order, copy, at = [], [], 0
    for start, stop in runs:
        order += [np.arange(at, start), np.tile(np.arange(start, stop), copies)]
        copy += [np.full(start - at, -1), np.repeat(np.arange(copies), stop - start)]
        at = stop
    return np.concatenate([*order, np.arange(at, size)]), np.concatenate([*copy, np.full(size - at, -1)])


def _mean_precision(curve: _Curve, weights: Array, counts: Array, reached: PointsReached) -> Array:
    """Returns interpolated precision, mean over recall points and IoU thresholds, [R]; NaN where nothing counts.

    Args:
        weights: [R, I].
        counts: annotations that count, [R].
        reached: covers the counts.
    """
    if len(curve.copy):
        weights = np.concatenate([weights, weights[:, curve.copy_of] > curve.copy], axis=1)
    by_box = weights.take(curve.image, axis=1)
    rows = reached.rows(counts)[:, None]
    total = np.zeros(len(counts))
    seen: Array = np.zeros(0)
    for index, (right, ends, end_ranks) in enumerate(zip(curve.right, curve.ends, curve.end_ranks, strict=True)):
        if index < len(curve.counted):
            counted = curve.counted[index]
            of_counted = by_box if len(counted) == len(curve.image) else by_box.take(counted, axis=1)
            seen = np.cumsum(of_counted, axis=1, dtype=np.int32) + np.spacing(1)  # as pycocotools divides
        if not len(right):
            continue
        found = np.cumsum(by_box.take(right, axis=1), axis=1, dtype=np.int32).take(ends, axis=1)
        precision = found / seen.take(end_ranks, axis=1)
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        total += np.einsum("re,re->r", best, reached.newly(found, rows))
    return np.where(counts > 0, total / (len(RECALL_POINTS) * len(curve.right)), np.nan)


class PointsReached:
    """How many of the recall points lie at or below k/n, for each n that there is; 0 for k = 0.

    Recall 0 is read at the first true positive, as where precision is highest.

    Args:
        counts: n, of all resamples.
    """

    def __init__(self, counts: Array) -> None:
        self._known = np.unique(counts)
        self._width = int(self._known[-1]) + 1
        n = np.maximum(self._known, 1)[:, None]
        least = (RECALL_POINTS * n).astype(np.int64) - 1  # a point is reached within three steps from here
        for _ in range(3):
            # The points are rounded: where k/n is one of them, only comparing tells on which side it lies.
            least += least / n < RECALL_POINTS
        table = np.zeros((len(self._known), self._width), dtype=np.uint8)
        row = np.arange(len(table))
        for column in np.maximum(least, 1).T:
            there = column < self._width
            table[row[there], column[there]] += 1
        self._table = np.cumsum(table, axis=1, dtype=np.uint8, out=table).ravel()

    def rows(self, counts: Array) -> Array:
        """Returns where the table of each n begins."""
        return np.searchsorted(self._known, counts) * self._width

    def newly(self, found: Array, rows: Array) -> Array:
        """Returns how many points are reached at each end of a run and not before its run, as floats, [R, E].

        Args:
            found: k, [R, E].
            rows: of :meth:`rows`, [R, 1].
        """
        points: Array = self._table.take(found + rows)
        before = points[:, :-1].copy()
        points[:, 1:] -= before
        return points.astype(np.float64)
