"""What is in a split: classes, sizes, repeat factors. From the COCO JSON alone, so it is quick."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agropest import files
from agropest.data.dataset import Dataset

# COCO's limits of small, medium and large, in square pixels of the image as it is stored.
SMALL_BELOW, MEDIUM_BELOW = 32.0**2, 96.0**2


@dataclass(frozen=True)
class ClassRow:
    """One class in one split.

    Attributes:
        instances: its boxes.
        images: that hold it.
        image_fraction: f(c), the share of images that hold it.
        instance_fraction: its share of all boxes.
        small: of its boxes below 32x32 px, as ``medium`` (below 96x96) and ``large``.
    """

    category_id: int
    name: str
    instances: int
    images: int
    image_fraction: float
    instance_fraction: float
    small: int
    medium: int
    large: int


@dataclass(frozen=True)
class ClassStatistics:
    """One split.

    Attributes:
        image_class_sets: for each image the class indices (from 0, in the order of category ids) in it.
    """

    split: str
    num_images: int
    num_boxes: int
    num_empty_images: int
    rows: tuple[ClassRow, ...]
    image_class_sets: tuple[frozenset[int], ...]


@dataclass(frozen=True)
class RepeatFactors:
    """How often an epoch repeats what.

    Attributes:
        classes: r(c) by class index; 1.0 for a class that never occurs.
        images: r(I) by image, shape (images,).
        epoch_size: expected number of images an epoch shows; without repeats, the number of images.
    """

    classes: tuple[float, ...]
    images: np.ndarray
    epoch_size: float


@dataclass(frozen=True)
class Boxes:
    """The boxes of a split as arrays.

    Attributes:
        wh: width and height in image pixels, shape (boxes, 2).
        xy: left top corner, likewise.
        class_index: from 0, in the order of category ids, shape (boxes,).
        image_wh: displayed size of each box's image, shape (boxes, 2).
    """

    wh: np.ndarray
    xy: np.ndarray
    class_index: np.ndarray
    image_wh: np.ndarray

    def at(self, index: np.ndarray) -> Boxes:
        """Returns the boxes at ``index``."""
        return Boxes(self.wh[index], self.xy[index], self.class_index[index], self.image_wh[index])


def read_split(dataset: Dataset, split: str) -> dict[str, Any]:
    """Returns the COCO content of a split."""
    content: dict[str, Any] = files.read_json(dataset.split(split).annotations)
    return content


def class_statistics(dataset: Dataset, split: str) -> ClassStatistics:
    """Returns what is in a split, class by class."""
    content = read_split(dataset, split)
    boxes = _boxes(content)
    ids = sorted(category["id"] for category in content["categories"])
    names = {category["id"]: category["name"] for category in content["categories"]}
    classes = _image_class_sets(content, ids)
    num_images, num_boxes = len(classes), len(boxes.wh)
    area = boxes.wh.prod(axis=1)
    images_of = Counter(index for held in classes for index in held)
    rows = []
    for index, category_id in enumerate(ids):
        own = area[boxes.class_index == index]
        images = images_of[index]
        small, medium = int((own < SMALL_BELOW).sum()), int(((own >= SMALL_BELOW) & (own < MEDIUM_BELOW)).sum())
        rows.append(
            ClassRow(
                category_id=category_id,
                name=names[category_id],
                instances=len(own),
                images=images,
                image_fraction=images / max(num_images, 1),
                instance_fraction=len(own) / max(num_boxes, 1),
                small=small,
                medium=medium,
                large=len(own) - small - medium,
            )
        )
    num_empty = sum(not held for held in classes)
    return ClassStatistics(split, num_images, num_boxes, num_empty, tuple(rows), classes)


def _image_class_sets(content: dict[str, Any], ids: list[int]) -> tuple[frozenset[int], ...]:
    index = {category_id: i for i, category_id in enumerate(ids)}
    held: dict[int, set[int]] = {image["id"]: set() for image in content["images"]}
    for annotation in content["annotations"]:
        held[annotation["image_id"]].add(index[annotation["category_id"]])
    return tuple(frozenset(held[image["id"]]) for image in content["images"])


def repeat_factors(
    image_class_sets: Sequence[Collection[int]], threshold: float, num_classes: int | None = None
) -> RepeatFactors:
    """Returns repeat factors as Detectron2's RepeatFactorTrainingSampler has them (Gupta et al., "LVIS", 2019, 4.1).

    1. f(c): the share of images that hold class c
    2. r(c) = max(1, sqrt(threshold / f(c)))
    3. r(I) = max of r(c) over the classes in image I; 1 for an image without boxes

    Args:
        image_class_sets: class indices of each image. Detectron2 filters images without boxes before it counts
            (``DATALOADER.FILTER_EMPTY_ANNOTATIONS``): leave them out to get its numbers.
        threshold: ``DATALOADER.REPEAT_THRESHOLD``.
        num_classes: None: as many as occur.
    """
    if num_classes is None:
        num_classes = max((c for held in image_class_sets for c in held), default=-1) + 1
    counts = np.zeros(num_classes)
    for held in image_class_sets:
        counts[list(set(held))] += 1
    frequency = counts / max(len(image_class_sets), 1)
    factors = np.ones(num_classes)
    present = frequency > 0
    factors[present] = np.maximum(1.0, np.sqrt(threshold / frequency[present]))
    images = np.array([max((factors[c] for c in held), default=1.0) for held in image_class_sets])
    return RepeatFactors(tuple(factors.tolist()), images, float(images.sum()))


def read_boxes(dataset: Dataset, split: str) -> Boxes:
    """Returns all boxes of a split."""
    return _boxes(read_split(dataset, split))


def _boxes(content: dict[str, Any]) -> Boxes:
    ids = {c: i for i, c in enumerate(sorted(category["id"] for category in content["categories"]))}
    size = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    bbox = np.array([annotation["bbox"] for annotation in content["annotations"]], float).reshape(-1, 4)
    index = np.array([ids[annotation["category_id"]] for annotation in content["annotations"]], int)
    image_wh = np.array([size[annotation["image_id"]] for annotation in content["annotations"]], float).reshape(-1, 2)
    return Boxes(bbox[:, 2:], bbox[:, :2], index, image_wh)


def resize_factors(image_wh: np.ndarray, short_side: int, max_size: int) -> np.ndarray:
    """Returns what Detectron2's ``ResizeShortestEdge`` multiplies x and y by, shape (N, 2).

    Args:
        image_wh: width and height of the images, shape (N, 2).
        short_side: one of ``INPUT.MIN_SIZE_TRAIN``; 0 leaves the image as it is.
        max_size: ``INPUT.MAX_SIZE_TRAIN``.
    """
    if short_side == 0:
        return np.ones_like(image_wh)
    scale = short_side / image_wh.min(axis=1)
    scale = np.minimum(scale, max_size / image_wh.max(axis=1))
    pixels: np.ndarray = np.floor(image_wh * scale[:, None] + 0.5)
    factors: np.ndarray = pixels / image_wh
    return factors


def box_scales(dataset: Dataset, split: str, short_sides: Sequence[int], max_size: int) -> np.ndarray:
    """Returns width and height of every box as the network sees it, shape (short sides, boxes, 2)."""
    boxes = read_boxes(dataset, split)
    return np.stack([boxes.wh * resize_factors(boxes.image_wh, side, max_size) for side in short_sides])
