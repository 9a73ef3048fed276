"""A split and detectors of AgroPest-12's size, drawn from random numbers: what the statistics' benchmarks work on."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from agropest.data.demo.insects import CLASS_NAMES
from agropest.statistics.detections.boxes import Boxes, GroundTruth

Array = npt.NDArray[Any]
TRAIN_BOXES = np.array([2231, 1596, 1058, 1740, 1083, 1182, 1071, 1062, 918, 1199, 1167, 975])
IMAGE_SIDE_PX = 640
BOXES_PER_IMAGE = 689 / 546


def draw_split(random: np.random.Generator, num_images: int) -> GroundTruth:
    """Returns pictures of one species each, with 1.26 objects on average, classes as frequent as in AgroPest-12."""
    species = random.choice(len(CLASS_NAMES), num_images, p=TRAIN_BOXES / TRAIN_BOXES.sum())
    image = np.repeat(np.arange(num_images), 1 + random.poisson(BOXES_PER_IMAGE - 1, num_images))
    size = random.uniform(60, 400, (len(image), 2))
    corner = random.uniform(0, 1, (len(image), 2)) * (IMAGE_SIDE_PX - size)
    annotations = [
        {
            "id": i,
            "image_id": int(image[i - 1]) + 1,
            "category_id": int(species[image[i - 1]]) + 1,
            "bbox": [*corner[i - 1].tolist(), *size[i - 1].tolist()],
            "area": float(size[i - 1].prod()),
            "iscrowd": 0,
        }
        for i in range(1, len(image) + 1)
    ]
    categories = [{"id": i, "name": name} for i, name in enumerate(CLASS_NAMES, start=1)]
    return GroundTruth([{"id": i} for i in range(1, num_images + 1)], categories, annotations)


def draw_detector(random: np.random.Generator, truth: GroundTruth, noise: float = 0.12, false: float = 3.0) -> Boxes:
    """Returns predictions: most objects found, off by ``noise`` of their size, and ``false`` wrong boxes an image.

    With the defaults AP is about 40 and AP50 about 70.
    """
    bbox = np.array([a["bbox"] for a in truth.annotations])
    image = np.array([a["image_id"] for a in truth.annotations])
    category = np.array([a["category_id"] for a in truth.annotations])
    off = np.abs(random.normal(0, noise, len(bbox)))
    moved = bbox + random.normal(0, 1, bbox.shape) * off[:, None] * bbox[:, [2, 3, 2, 3]]
    score = 1 / (1 + np.exp(-(1.5 - 8 * off + random.normal(0, 1, len(bbox)))))
    found = random.random(len(bbox)) < 0.95
    wrong = np.repeat([picture["id"] for picture in truth.images], random.poisson(false, len(truth.images)))
    size = random.uniform(60, 400, (len(wrong), 2))
    elsewhere = np.concatenate([random.uniform(0, 1, size.shape) * (IMAGE_SIDE_PX - size), size], axis=1)
    low = 0.05 + 0.6 * random.beta(1, 4, len(wrong))
    return Boxes(
        np.concatenate([image[found], wrong]),
        np.concatenate([category[found], random.integers(1, len(truth.class_names) + 1, len(wrong))]),
        np.concatenate([moved[found].clip(1), elsewhere]).astype(np.float32),
        np.concatenate([score[found], low]).astype(np.float32),
    )
