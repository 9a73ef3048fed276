"""COCO's metrics when each image counts a whole number of times: the bootstrap's inner loop, exact.

An image of weight 3 counts as three copies that follow one another, as in the COCO evaluation of a set in which it
really stands three times. Verified against pycocotools on such sets (tests/results/test_weighted.py).

How: along the boxes of a class by falling score, cumulative sums of weights give true positives and boxes so far;
precision only needs to be known at true positives, because between two of them it falls; the 101 recall points are
counted, not looked for: a table says how many of them lie at or below recall k/n.

Shapes: I images, K classes, D boxes of a class, P true positives, T IoU thresholds, R weightings.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from agropest.results.matching import ALL, AREA_RANGES, FALSE, IGNORED, IOU_THRESHOLDS, TRUE, Matches

Array = npt.NDArray[Any]

EVERY_IOU = tuple(range(len(IOU_THRESHOLDS)))
RECALL_POINTS = np.linspace(0.0, 1.0, 101)
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
    weights = np.ascontiguousarray(weights, dtype=np.int32)
    result = np.full(counts.shape, np.nan)
    for index, number in enumerate(counts):
        if number.any():
            sums = _precision_sums(*_items(matches, index, weights, area, ious, min_score), number)
            exists = number > 0
            result[index, exists] = sums[exists] / (len(RECALL_POINTS) * len(ious))
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


def _items(
    matches: Matches, index: int, weights: Array, area: str, ious: Sequence[int], min_score: float | None
) -> tuple[Array, Array]:
    """Returns the weight of each box of a class, [D, R], and its outcome, [T, D]."""
    start, stop = matches.starts[index], matches.starts[index + 1]
    if min_score is not None:
        stop = start + np.searchsorted(-matches.score[start:stop], -min_score, side="right")
    outcome = matches.outcome[area][list(ious), start:stop]
    last = np.flatnonzero((outcome == TRUE).any(axis=0))
    if not len(last):  # nothing right: AP 0, whatever the order
        return np.zeros((0, weights.shape[1]), dtype=np.int32), outcome[:, :0]
    image = matches.image[start:stop]
    runs = _mixed_runs(image, matches.score[start:stop], outcome)
    size = max([last[-1] + 1, *(end for _, end in runs[-1:])])  # what stands behind the last right box is not read
    image, outcome = image[:size], outcome[:, :size]
    if not runs:
        return weights[image], outcome
    order, copy = _repeat_runs(runs, len(image), int(weights[image].max()))
    items = weights[image[order]]
    copies = copy >= 0
    items[copies] = items[copies] > copy[copies, None]
    return items, outcome[:, order]


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


def _precision_sums(items: Array, outcome: Array, counts: Array) -> Array:
    """Returns the sum of interpolated precision over recall points and IoU thresholds, [R].

    Args:
        items: weight of each box, [D, R].
        outcome: [T, D].
        counts: annotations that count, [R].
    """
    where = [np.flatnonzero(row == TRUE) for row in outcome]
    edges = np.cumsum([0, *map(len, where)])
    found = items[np.concatenate(where)] if edges[-1] else items[:0]
    seen = np.empty(found.shape)
    so_far = None
    for row, index, start, stop in zip(outcome, where, edges[:-1], edges[1:], strict=True):
        np.cumsum(found[start:stop], axis=0, out=found[start:stop])
        ignored = row == IGNORED
        if ignored.any():
            seen[start:stop] = np.cumsum(np.where(ignored[:, None], 0, items), axis=0)[index]
        else:
            so_far = np.cumsum(items, axis=0, dtype=np.float64) if so_far is None else so_far
            seen[start:stop] = so_far[index]
    seen += np.spacing(1)  # as pycocotools divides
    precision = np.divide(found, seen, out=seen)
    low = int(counts.min())
    reached = _points_reached(low, int(counts.max())).take(found + ((counts - low) * (int(counts.max()) + 1))[None])
    sums = np.zeros(items.shape[1])
    for start, stop in pairwise(edges):
        best = np.maximum.accumulate(precision[start:stop][::-1], axis=0)[::-1]
        gained = np.diff(reached[start:stop], axis=0, prepend=0)
        sums += np.einsum("pr,pr->r", best, gained)
    return sums


@lru_cache(maxsize=512)
def _points_reached(low: int, high: int) -> Array:
    """Returns how many recall points lie at or below k/n, n from ``low`` to ``high``, k from 0 to ``high``; flat.

    0 for k = 0: recall 0 is read at the first true positive, as where precision is highest.
    """
    n = np.maximum(np.arange(low, high + 1), 1)[:, None]
    table = np.searchsorted(RECALL_POINTS, np.arange(high + 1)[None] / n, side="right").astype(np.float32)
    table[:, 0] = 0
    return table.ravel()
