"""Which boxes are right: COCO's matching of predicted boxes with ground truth, done once and kept as arrays.

What no resampling of images changes is computed here: the matching of an image's boxes does not depend on any other
image. ``statistics.accuracy.weighted`` then weighs the images.

Shapes: I images, K classes, M annotations, D predicted boxes, T IoU thresholds, A area ranges.

Source: ``evaluateImg`` of pycocotools' cocoeval.py, for all images, thresholds and area ranges at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from agropest.statistics.detections.boxes import Boxes, GroundTruth, require_known_images

Array = npt.NDArray[Any]

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
# Both ends belong to a range, as in pycocotools.
AREA_RANGES = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
ALL = "all"

FALSE, TRUE, IGNORED = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Targets:
    """Ground truth as arrays, images and classes in the order of their ids; two are equal only if they are one object.

    Attributes:
        image_ids: [I].
        category_ids: [K].
        class_names: [K].
        group: [I], which source each image is a copy of, 0 to G-1: images of one source are resampled together.
        cell: [M], image index * K + class index of each annotation, ascending.
        bbox_xywh: [M, 4].
        area: [M].
        crowd: [M].
        positives: [A, K, I], annotations that count in each area range.
    """

    image_ids: Array
    category_ids: Array
    class_names: tuple[str, ...]
    group: Array
    cell: Array
    bbox_xywh: Array
    area: Array
    crowd: Array
    positives: Array

    @cached_property
    def fingerprint(self) -> str:
        """A hash of everything here that decides a resampled metric."""
        digest = hashlib.sha256(repr(self.class_names).encode())
        for array in (self.image_ids, self.category_ids, self.group, self.cell, self.bbox_xywh, self.area, self.crowd):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    @property
    def num_images(self) -> int:
        """Images of the split, those without annotations included."""
        return len(self.image_ids)

    @property
    def num_groups(self) -> int:
        """Number of sources: the size of the sample that an interval is about."""
        return int(self.group.max()) + 1 if len(self.group) else 0

    @property
    def num_boxes(self) -> int:
        """Annotations that count; crowds do not."""
        return int(self.positives[0].sum())

    def sources_by_class(self, area: str) -> Array:
        """Returns how many sources hold something of each class that counts in an area range, [K]."""
        present = self.positives[list(AREA_RANGES).index(area)] > 0
        return np.array([len(np.unique(self.group[images])) for images in present], dtype=np.int64)

    def in_area(self, area: str) -> Array:
        """Returns which annotations count in an area range, [M]."""
        low, high = AREA_RANGES[area]
        return ~self.crowd & (self.area >= low) & (self.area <= high)


@dataclass(frozen=True)
class Matches:
    """The boxes of one detector with what they turned out to be, by class, then by falling score.

    Equal scores stand in COCO's order: by image, and within an image as they were predicted.

    Attributes:
        targets: what they were matched with.
        image: [D], image index.
        starts: [K + 1], where each class begins.
        score: [D].
        rank: [D], place among the boxes of the same image and class, from 0.
        outcome: area range to [T, D]: ``FALSE``, ``TRUE`` or ``IGNORED``.
    """

    targets: Targets
    image: Array
    starts: Array
    score: Array
    rank: Array
    outcome: dict[str, Array]


def read_targets(ground_truth: GroundTruth) -> Targets:
    """Returns ground truth as arrays."""
    image_ids = np.array(sorted({image["id"] for image in ground_truth.images}), dtype=np.int64)
    names = dict(sorted(ground_truth.class_names.items()))
    category_ids = np.array(list(names), dtype=np.int64)
    annotations = ground_truth.annotations
    image = np.searchsorted(image_ids, np.array([a["image_id"] for a in annotations], dtype=np.int64))
    category = np.searchsorted(category_ids, np.array([a["category_id"] for a in annotations], dtype=np.int64))
    cell = image * len(names) + category
    order = np.argsort(cell, kind="stable")
    bbox = np.array([a["bbox"] for a in annotations], dtype=np.float64).reshape(-1, 4)
    targets = Targets(
        image_ids=image_ids,
        category_ids=category_ids,
        class_names=tuple(names.values()),
        group=image_groups(ground_truth),
        cell=cell[order],
        bbox_xywh=bbox[order],
        area=np.array([a["area"] for a in annotations], dtype=np.float64)[order],
        crowd=np.array([bool(a.get("iscrowd", 0)) for a in annotations], dtype=bool)[order],
        positives=np.zeros((len(AREA_RANGES), len(names), len(image_ids)), dtype=np.int32),
    )
    for number, area in enumerate(AREA_RANGES):
        counts = np.bincount(targets.cell[targets.in_area(area)], minlength=len(image_ids) * len(names))
        targets.positives[number] = counts.reshape(len(image_ids), len(names)).T
    return targets


def image_groups(ground_truth: GroundTruth) -> Array:
    """Returns the source of each image as a number from 0, images in the order of their ids, [I].

    Copies of one source share ``source`` (a converted data set has it) or the stem before ``.rf.`` of their file name
    (Roboflow's augmented copies). Any other image is its own source: equal stems in two folders mean nothing.
    """
    by_id = {image["id"]: image for image in ground_truth.images}
    sources = [_source(by_id[key]) for key in sorted(by_id)]
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(source, len(numbers)) for source in sources], dtype=np.int64)


def _source(image: Any) -> Any:
    name = str(image.get("file_name", "")).rsplit("/", 1)[-1]
    if ".rf." in name:
        return name.split(".rf.")[0]
    source = image.get("source")
    return source if source is not None and source != name.rsplit(".", 1)[0] else ("image", image["id"])


def match(
    targets: Targets, boxes: Boxes, max_detections: int | None = 100, areas: Sequence[str] = tuple(AREA_RANGES)
) -> Matches:
    """Returns what each box turned out to be.

    Args:
        targets: from :func:`read_targets`.
        boxes: of one detector; those of categories that the ground truth lacks are left out, as COCO does.
        max_detections: per image and class; None: all.
        areas: the area ranges wanted, of ``AREA_RANGES``.

    Raises:
        DataError: a box is on an image that the ground truth lacks.
    """
    boxes = boxes.where(np.isin(boxes.category_id, targets.category_ids))
    require_known_images(boxes, targets.image_ids, "predictions")
    image = np.searchsorted(targets.image_ids, boxes.image_id)
    category = np.searchsorted(targets.category_ids, boxes.category_id)
    num_classes = max(len(targets.category_ids), 1)
    cell = image * num_classes + category
    score = boxes.score.astype(np.float64)
    order = np.lexsort((-score, cell))  # stable: equal scores stay as predicted
    rank = _place(cell[order])
    if max_detections is not None:
        order, rank = order[rank < max_detections], rank[rank < max_detections]
    bbox = boxes.bbox_xywh[order].astype(np.float64)
    outcome = _outcomes(targets, cell[order], bbox, areas)
    # Ties across images stand in the order of the images, which `order` has already.
    by_class = np.lexsort((-score[order], category[order]))
    starts = np.searchsorted(category[order][by_class], np.arange(num_classes + 1))
    return Matches(
        targets=targets,
        image=image[order][by_class],
        starts=starts,
        score=score[order][by_class],
        rank=rank[by_class],
        outcome={area: outcome[number][:, by_class] for number, area in enumerate(areas)},
    )


def _place(sorted_keys: Array) -> Array:
    """Returns each element's place among its equals, from 0."""
    if not len(sorted_keys):
        return np.zeros(0, dtype=np.int64)
    starts = np.flatnonzero(np.r_[True, sorted_keys[1:] != sorted_keys[:-1]])
    return np.arange(len(sorted_keys)) - np.repeat(starts, np.diff(np.r_[starts, len(sorted_keys)]))


def _outcomes(targets: Targets, cell: Array, bbox: Array, areas: Sequence[str]) -> Array:
    """Returns the outcome of boxes that are sorted by cell, then by falling score, [A, T, D]."""
    box_area = bbox[:, 2] * bbox[:, 3]
    limits = [AREA_RANGES[area] for area in areas]
    outside = np.array([(box_area < low) | (box_area > high) for low, high in limits]).reshape(len(areas), 1, -1)
    shape = (len(areas), len(IOU_THRESHOLDS), len(cell))
    outcome = np.where(outside, IGNORED, FALSE).astype(np.uint8) * np.ones(shape, dtype=np.uint8)
    detection, target, iou = _pairs(targets, cell, bbox)
    counts = np.array([targets.in_area(area) for area in areas]).reshape(len(areas), -1)
    taken = np.zeros((len(areas), len(IOU_THRESHOLDS), len(targets.cell)), dtype=bool)
    # In turns: the first box of every image and class that overlaps anything, then the second, ...
    first = np.flatnonzero(np.r_[True, detection[1:] != detection[:-1]]) if len(detection) else detection
    turn = _place(cell[detection[first]])
    width = np.diff(np.r_[first, len(detection)])
    for number in range(int(turn.max()) + 1 if len(turn) else 0):
        start, size = first[turn == number], width[turn == number]
        slots = start[:, None] + np.arange(size.max())[None]
        real = slots < (start + size)[:, None]
        slots = np.where(real, slots, start[:, None])
        _take_turn(detection[start], target[slots], iou[slots], real, counts, targets.crowd, taken, outcome)
    return outcome


def _take_turn(
    detection: Array, target: Array, iou: Array, real: Array, counts: Array, crowd: Array, taken: Array, outcome: Array
) -> None:
    """Gives each of n boxes the best free target, [n, P] candidates by rising IoU, in all areas and thresholds.

    A target that counts is preferred to one that does not; a crowd is never used up; of equal IoUs the last is taken.
    """
    enough: Array = real & (iou >= np.minimum(IOU_THRESHOLDS, 1 - 1e-10)[:, None, None])  # [T, n, P]
    free: Array = enough[None] & (~taken[:, :, target] | crowd[target])  # [A, T, n, P]
    preferred: Array = free & counts[:, target][:, None]
    any_preferred: Array = np.any(preferred, axis=-1)
    candidates: Array = np.where(any_preferred[..., None], preferred, free)
    found: Array = np.any(candidates, axis=-1)
    chosen = candidates.shape[-1] - 1 - candidates[..., ::-1].argmax(axis=-1)  # [A, T, n]
    a, t, n = np.nonzero(found)
    outcome[a, t, detection[n]] = np.where(any_preferred[a, t, n], TRUE, IGNORED)
    taken[a, t, target[n, chosen[a, t, n]]] = True


def _pairs(targets: Targets, cell: Array, bbox: Array) -> tuple[Array, Array, Array]:
    """Returns (box, target, IoU) wherever the IoU reaches the lowest threshold; by box, then by rising IoU."""
    low, high = (np.searchsorted(targets.cell, cell, side=side) for side in ("left", "right"))
    counts = high - low
    detection = np.repeat(np.arange(len(cell)), counts)
    target = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(low, counts)
    iou = box_iou(bbox[detection], targets.bbox_xywh[target], targets.crowd[target])
    near = iou >= IOU_THRESHOLDS[0]
    detection, target, iou = detection[near], target[near], iou[near]
    order = np.lexsort((target, iou, detection))
    return detection[order], target[order], iou[order]


def box_iou(boxes: Array, targets: Array, crowd: Array) -> Array:
    """Returns the IoU of N pairs of boxes [N, 4] in xywh; with a crowd, the share of the box inside it.

    Source: ``bbIou`` in pycocotools' maskApi.c, in the same order of operations.
    """
    width, height = (
        np.minimum(boxes[:, 2 + i] + boxes[:, i], targets[:, 2 + i] + targets[:, i])
        - np.maximum(boxes[:, i], targets[:, i])
        for i in (0, 1)
    )
    inter = np.where((width > 0) & (height > 0), width * height, 0.0)
    area = boxes[:, 2] * boxes[:, 3]
    union = np.where(crowd, area, area + targets[:, 2] * targets[:, 3] - inter)
    return np.divide(inter, union, out=np.zeros_like(inter), where=inter > 0)
