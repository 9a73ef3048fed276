"""COCO's metrics when each image counts a whole number of times: the bootstrap's inner loop, exact.

An image of weight 3 counts as three copies that follow one another, as in the COCO evaluation of a set in which it
really stands three times. Verified against pycocotools on such sets (tests/statistics/test_weighted.py).

How: along the boxes of a class by falling score, cumulative sums of weights give true positives and boxes so far;
precision only needs to be known at the true positives of an IoU threshold, because between two of them it falls; the
101 recall points are counted, not looked for: a table says how many of them lie at or below recall k/n.

Shapes: I images, K classes, D boxes of a class, P true positives, T IoU thresholds, R weightings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from agropest.statistics.detections.matching import ALL, AREA_RANGES, FALSE, IGNORED, IOU_THRESHOLDS, TRUE, Matches

Array = npt.NDArray[Any]

EVERY_IOU = tuple(range(len(IOU_THRESHOLDS)))
RECALL_POINTS = np.linspace(0.0, 1.0, 101)
# Resamples are taken in blocks whose arrays stay in the cache.
BLOCK_CELLS, LEAST_BLOCK = 2**16, 16
_AREAS = list(AREA_RANGES)


def positives(matches: Matches, weights: Array, area: str = ALL) -> Array:
    """Returns the number of annotations that count, [K, R].

    Args:
        weights: [I, R], whole numbers.
    """
    counts: Array = matches.targets.positives[_AREAS.index(area)] @ weights.astype(np.float64)
    return counts.astype(np.int64)  # whole numbers far below 2**53: exact


def class_precisions(
    matches: Matches,
    weights: Array,
    area: str = ALL,
    ious: Sequence[int] = EVERY_IOU,
    min_score: float | None = None,
) -> Array:
    """Returns AP of each class, in [0, 1], [K, R]; NaN where a class has no annotation that counts.

    Args:
        weights: [I, R], whole numbers from 0.
        ious: indices into ``IOU_THRESHOLDS``; their AP is averaged.
        min_score: leaves out boxes below it.
    """
    counts = positives(matches, weights, area)
    weights = weights.astype(np.float64)
    copies = int(weights.max(initial=0))
    result = np.full(counts.shape, np.nan)
    for index in np.flatnonzero(counts.any(axis=1)).tolist():
        if matches.starts[index] == matches.starts[index + 1]:
            result[index] = np.where(counts[index] > 0, 0.0, np.nan)
            continue
        curve = _curve(matches, index, area, ious, min_score, copies)
        block = max(LEAST_BLOCK, BLOCK_CELLS // max(len(curve.image), 1))
        reached = _PointsReached(int(counts[index].min()), int(counts[index].max()))
        for start in range(0, weights.shape[1], block):
            part = slice(start, start + block)
            result[index, part] = _mean_precision(curve, weights[:, part], counts[index, part], reached)
    return result


def class_recalls(matches: Matches, weights: Array, max_detections: int) -> Array:
    """Returns the recall of each class with so many boxes per image, mean over the IoU thresholds, [K, R]."""
    counts = positives(matches, weights)
    result = np.full(counts.shape, np.nan)
    for index, number in enumerate(counts):
        part = slice(matches.starts[index], matches.starts[index + 1])
        hits = (matches.outcome[ALL][:, part] == TRUE).sum(axis=0) * (matches.rank[part] < max_detections)
        found = np.bincount(matches.image[part], hits, minlength=len(weights)) @ weights
        np.divide(found / len(IOU_THRESHOLDS), number, out=result[index], where=number > 0)
    return result


def f1(matches: Matches, weights: Array, min_score: float, iou: int = 0) -> Array:
    """Returns 2 TP / (boxes + annotations) of the boxes from ``min_score`` up, all classes pooled, in [0, 1], [R]."""
    shown = matches.score >= min_score
    outcome = matches.outcome[ALL][iou]
    per_image = [
        np.bincount(matches.image[shown & mask], minlength=len(weights)) @ weights
        for mask in (outcome == TRUE, outcome != IGNORED)
    ]
    total = per_image[1] + positives(matches, weights).sum(axis=0)
    result = np.full(weights.shape[1], np.nan)
    np.divide(2.0 * per_image[0], total, out=result, where=total > 0)
    return result


@dataclass(frozen=True)
class _Curve:
    """The boxes of a class along falling score, cut behind each box that is right at some threshold: P places.

    Attributes:
        image: [P], of the box at each place: an image, or from I on a single copy of one.
        copy_of, copy: [E], which copy of which image I + e stands for (see :func:`_mixed_runs`).
        right: of each threshold, the places whose box is right.
        between: sparse [P, I + E]: of each image, how many boxes that count stand behind the place before, up to this
            one; one for each threshold where that depends on it, else one for all.
    """

    image: Array
    copy_of: Array
    copy: Array
    right: tuple[Array, ...]
    between: tuple[csr_array, ...]


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

    places = np.flatnonzero((outcome == TRUE).any(axis=0))
    place = np.searchsorted(places, np.arange(len(image)))  # of the first right box at or behind each box
    counted = (outcome != IGNORED) & (place < len(places))
    shape = (len(places), num_images + len(copy))
    differs = not (counted == counted[:1]).all()

    def between(counts: Array) -> csr_array:
        box = np.flatnonzero(counts)
        return csr_array((np.ones(len(box)), (place[box], image[box])), shape=shape)

    right = tuple(np.flatnonzero(row) for row in outcome[:, places] == TRUE)
    return _Curve(image[places], copy_of, copy, right, tuple(map(between, counted if differs else counted[:1])))


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


def _mean_precision(curve: _Curve, weights: Array, counts: Array, reached: _PointsReached) -> Array:
    """Returns interpolated precision, mean over recall points and IoU thresholds, [R]; NaN where nothing counts.

    Args:
        weights: [I, R].
        counts: annotations that count, [R].
        reached: covers the counts.
    """
    if len(curve.copy):
        weights = np.concatenate([weights, weights[curve.copy_of] > curve.copy[:, None]])
    by_place = weights.T.astype(np.int64).take(curve.image, axis=1)  # [R, P]
    total = np.zeros(len(counts))
    seen: list[Array] = []
    for index, right in enumerate(curve.right):
        if not len(right):
            continue
        if index < len(curve.between):
            # Along the rows: cumulative sums down the columns would go against the cache.
            seen = [np.cumsum(np.ascontiguousarray((curve.between[index] @ weights).T), axis=1)]
            seen[0] += np.spacing(1)  # as pycocotools divides
        all_right = len(right) == len(curve.image)
        found = np.cumsum(by_place if all_right else by_place.take(right, axis=1), axis=1)
        precision = found / (seen[0] if all_right else seen[0].take(right, axis=1))
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        points = reached.up_to(found, counts)
        points[:, 1:] -= points[:, :-1].copy()
        total += np.einsum("rp,rp->r", best, points)
    return np.where(counts > 0, total / (len(RECALL_POINTS) * len(curve.right)), np.nan)


class _PointsReached:
    """How many of the recall points lie at or below k/n; 0 for k = 0.

    Recall 0 is read at the first true positive, as where precision is highest.

    Args:
        low, high: the n that there are.
    """

    def __init__(self, low: int, high: int) -> None:
        self._low, self._width = low, high + 1
        n = np.maximum(np.arange(low, high + 1), 1)[:, None]
        recall = np.arange(high + 1)[None] / n
        # The points are as rounded as they are: where k/n is one of them, only comparing tells on which side it lies.
        below = np.minimum(recall * 100.0, 100.0).astype(np.uint8)
        table = below + (RECALL_POINTS[below] <= recall)
        table += RECALL_POINTS[np.minimum(below + 1, 100)] <= recall
        np.minimum(table, len(RECALL_POINTS), out=table)
        table[:, 0] = 0
        self._table = table.ravel()

    def up_to(self, found: Array, counts: Array) -> Array:
        """Returns the number of points, as floats, [R, P].

        Args:
            found: k, [R, P].
            counts: n, [R].
        """
        rows = (counts - self._low) * self._width
        points: Array = self._table.take(found + rows[:, None])
        return points.astype(np.float64)
