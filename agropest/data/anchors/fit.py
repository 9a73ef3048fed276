"""Anchors against boxes: how much of the data an anchor generator can match, and anchors fitted to the data.

Shapes: N boxes, A anchors. Widths and heights are in pixels of the resized image, as the network sees it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

THRESHOLDS = (0.5, 0.7)
MAX_FITTED_BOXES = 5000


@dataclass(frozen=True)
class AnchorGrid:
    """Anchors as Detectron2's ``DefaultAnchorGenerator`` lays them out.

    Attributes:
        sizes: for each level, square roots of anchor areas in pixels.
        ratios: for each level, height over width.
        strides: for each level, pixels between neighbouring anchors.
        offset: of the first anchor, as a share of the stride.
    """

    sizes: tuple[tuple[float, ...], ...]
    ratios: tuple[tuple[float, ...], ...]
    strides: tuple[int, ...]
    offset: float = 0.0


@dataclass(frozen=True)
class AnchorCoverage:
    """How well boxes are met.

    Attributes:
        best_iou: IoU of each box with the best anchor, shape (N,).
        best_level: index of that anchor's level, shape (N,).
    """

    best_iou: np.ndarray
    best_level: np.ndarray

    def share(self, threshold: float, among: np.ndarray | None = None) -> float | None:
        """Returns the share of boxes (of those where ``among`` is true) whose best anchor reaches ``threshold``."""
        iou = self.best_iou if among is None else self.best_iou[among]
        return float((iou >= threshold).mean()) if len(iou) else None


def cell_anchors(sizes: Sequence[float], ratios: Sequence[float]) -> np.ndarray:
    """Returns width and height of the anchors at one position, shape (A, 2)."""
    return np.array([(size / np.sqrt(ratio), size * np.sqrt(ratio)) for size in sizes for ratio in ratios], float)


def anchor_coverage(
    boxes_wh: np.ndarray,
    sizes: Sequence[Sequence[float]],
    ratios: Sequence[Sequence[float]],
    strides: Sequence[int],
    centres: np.ndarray | None = None,
    image_wh: np.ndarray | None = None,
    offset: float = 0.0,
) -> AnchorCoverage:
    """Returns the best anchor of every box, over all levels and all positions of the anchor grid.

    The best position of an anchor is the one nearest to the box's centre in x and in y: what they share along an axis
    only shrinks with the distance of the centres.

    Args:
        boxes_wh: shape (N, 2), at the network's input scale.
        sizes: as ``MODEL.ANCHOR_GENERATOR.SIZES``; a single list stands for all levels.
        ratios: as ``MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS``; likewise.
        strides: of the levels.
        centres: x and y of the boxes' centres, shape (N, 2). None: every box lies in the middle between four positions,
            the worst case; that is a lower bound.
        image_wh: size of each box's resized image, shape (N, 2): the grid ends with it. None: it does not end.
        offset: as ``MODEL.ANCHOR_GENERATOR.OFFSET``.
    """
    best = np.zeros(len(boxes_wh))
    level_of = np.zeros(len(boxes_wh), int)
    for level, stride in enumerate(strides):
        anchors = cell_anchors(_of_level(sizes, level), _of_level(ratios, level))
        distance = _grid_distance(len(boxes_wh), stride, centres, image_wh, offset)
        for anchor in anchors:
            iou = _iou_at_distance(boxes_wh, anchor, distance)
            level_of[iou > best] = level
            np.maximum(best, iou, out=best)
    return AnchorCoverage(best, level_of)


def _of_level(lists: Sequence[Sequence[float]], level: int) -> Sequence[float]:
    return lists[0] if len(lists) == 1 else lists[level]


def _grid_distance(
    num_boxes: int, stride: int, centres: np.ndarray | None, image_wh: np.ndarray | None, offset: float
) -> np.ndarray:
    """Returns the distance in x and y from each box's centre to the nearest anchor position, shape (N, 2)."""
    if centres is None:
        return np.full((num_boxes, 2), stride / 2)
    cell = np.rint(centres / stride - offset)
    last = np.ceil(image_wh / stride) - 1 if image_wh is not None else np.inf
    position: np.ndarray = (np.clip(cell, 0, last) + offset) * stride
    distance: np.ndarray = np.abs(centres - position)
    return distance


def _iou_at_distance(boxes_wh: np.ndarray, anchor_wh: np.ndarray, distance: np.ndarray) -> np.ndarray:
    shared = np.clip((boxes_wh + anchor_wh) / 2 - distance, 0, np.minimum(boxes_wh, anchor_wh)).prod(axis=1)
    iou: np.ndarray = shared / (boxes_wh.prod(axis=1) + anchor_wh.prod() - shared)
    return iou


def fit_anchors(
    boxes_wh: np.ndarray, num_levels: int = 5, sizes_per_level: int = 1, num_ratios: int = 3, seed: int = 0
) -> tuple[tuple[tuple[float, ...], ...], tuple[tuple[float, ...], ...]]:
    """Returns SIZES and ASPECT_RATIOS fitted to boxes: k-means with the distance 1 - IoU of centred boxes.

    Detectron2 combines every size of a level with every ratio, so the two are fitted one after the other.

    1. Sizes: k-means of width and height into ``num_levels * sizes_per_level`` clusters (Redmon and Farhadi,
       "YOLO9000", CVPR 2017, section 2); square roots of the centres' areas, the smallest to the finest level.
    2. Ratios: k-means of the boxes scaled to area 1 into ``num_ratios`` clusters; height over width of the centres.

    Args:
        boxes_wh: shape (N, 2), N at least 1, at the network's input scale.
    """
    rng = np.random.default_rng(seed)
    boxes = np.asarray(boxes_wh, float)
    if len(boxes) > MAX_FITTED_BOXES:
        boxes = boxes[rng.choice(len(boxes), MAX_FITTED_BOXES, replace=False)]
    centres = iou_kmeans(boxes, num_levels * sizes_per_level, rng)
    sides = np.sort(np.sqrt(centres.prod(axis=1)))
    shapes = iou_kmeans(boxes / np.sqrt(boxes.prod(axis=1, keepdims=True)), num_ratios, rng)
    ratios = np.sort(shapes[:, 1] / shapes[:, 0])
    sizes = tuple(tuple(round(float(side), 1) for side in row) for row in sides.reshape(num_levels, sizes_per_level))
    return sizes, (tuple(round(float(ratio), 2) for ratio in ratios),)


def iou_kmeans(boxes_wh: np.ndarray, k: int, rng: np.random.Generator, restarts: int = 5) -> np.ndarray:
    """Returns ``k`` widths and heights, shape (k, 2): of some seeded runs the one with the greatest mean IoU."""
    runs = [_one_kmeans(boxes_wh, k, rng) for _ in range(restarts)]
    return max(runs, key=lambda run: run[1])[0]


def _one_kmeans(boxes_wh: np.ndarray, k: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    centres = _spread_start(boxes_wh, k, rng)
    best, best_iou = centres, -1.0
    for _ in range(100):
        iou = _centred_iou(boxes_wh, centres)
        score = float(iou.max(axis=1).mean())
        if score <= best_iou + 1e-6:
            break
        best, best_iou = centres, score
        nearest = iou.argmax(axis=1)
        groups = [boxes_wh[nearest == i] for i in range(k)]
        centres = np.stack([np.median(own, axis=0) if len(own) else c for own, c in zip(groups, best, strict=True)])
    return best, best_iou


def _spread_start(boxes_wh: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Returns k-means++ starting centres: each drawn with the square of its distance to those before."""
    centres = rng.choice(boxes_wh, 1)
    while len(centres) < k:
        weight = (1 - _centred_iou(boxes_wh, centres).max(axis=1)) ** 2
        total = weight.sum()
        drawn = rng.choice(boxes_wh, 1, p=weight / total if total > 0 else None)
        centres = np.concatenate([centres, drawn])
    return centres


def _centred_iou(boxes_wh: np.ndarray, centres_wh: np.ndarray) -> np.ndarray:
    """Returns the IoU of boxes and centres laid on one another, shape (N, k)."""
    shared = np.minimum(boxes_wh[:, None], centres_wh[None]).prod(axis=2)
    iou: np.ndarray = shared / (boxes_wh.prod(axis=1)[:, None] + centres_wh.prod(axis=1)[None] - shared)
    return iou
