"""Example pictures: a few of the validation split, small, with ground truth and the boxes of every trial."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from agropest.data.decoding import FORMATS
from agropest.statistics.detections.boxes import Boxes, GroundTruth
from agropest.statistics.detections.matching import box_iou

SIDE_PX = 320
JPEG_QUALITY = 72
EACH = 4
MOST_BOXES = 30
ORIENTATION = 0x0112  # EXIF
GAINED, LOST, DRAWN = "gained", "lost", "drawn"


@dataclass(frozen=True)
class Example:
    """One picture.

    Attributes:
        why: ``GAINED`` or ``LOST`` (by the second trial against the first), or ``DRAWN`` at random.
        jpeg: base64, at most ``SIDE_PX`` on its longer side.
        width, height: of the displayed picture, in whose pixels boxes are.
        truth: class index, x, y, w, h of each annotation.
        found: trial name to class index, x, y, w, h, score and whether it is right, of each box at or above the
            deployed threshold, the most confident first.
    """

    file_name: str
    why: str
    jpeg: str
    width: int
    height: int
    truth: Sequence[Sequence[float]]
    found: Mapping[str, Sequence[Sequence[float]]]


def choose_images(
    ground_truth: GroundTruth, first: Boxes, second: Boxes, thresholds: tuple[float, float]
) -> list[tuple[int, str]]:
    """Returns image ids and why: where the second has most more right less wrong boxes, most fewer, some drawn."""
    index = _by_image(ground_truth)
    scores = [_right_less_wrong(index, boxes, at) for boxes, at in zip((first, second), thresholds, strict=True)]
    change = {image_id: scores[1].get(image_id, 0) - scores[0].get(image_id, 0) for image_id in sorted(index)}
    gained = sorted((i for i in change if change[i] > 0), key=lambda i: (-change[i], i))[:EACH]
    lost = sorted((i for i in change if change[i] < 0), key=lambda i: (change[i], i))[:EACH]
    others = [i for i in change if i not in gained and i not in lost]
    drawn = np.random.default_rng(0).choice(others, min(EACH, len(others)), replace=False).tolist() if others else []
    return [(i, GAINED) for i in gained] + [(i, LOST) for i in lost] + [(i, DRAWN) for i in drawn]


def draw_examples(
    ground_truth: GroundTruth,
    image_root: Path,
    chosen: Sequence[tuple[int, str]],
    boxes: Mapping[str, tuple[Boxes, float]],
) -> list[Example]:
    """Returns the pictures that can be read; those that cannot are left out.

    Args:
        chosen: image ids and why.
        boxes: trial name to its boxes and the threshold it would be deployed with.
    """
    index = _by_image(ground_truth)
    images = {image["id"]: image for image in ground_truth.images}
    wanted = {image_id for image_id, _ in chosen}
    shown = {name: one.where(np.isin(one.image_id, list(wanted))).at_threshold(at) for name, (one, at) in boxes.items()}
    classes = {category_id: number for number, category_id in enumerate(ground_truth.class_names)}
    examples = []
    for image_id, why in chosen:
        picture = thumbnail(image_root, str(images[image_id].get("file_name", "")))
        if picture is None:
            continue
        jpeg, width, height = picture
        truth = index[image_id]
        found = {}
        for name, one in shown.items():
            own = one.where(one.image_id == image_id)
            right = _right(truth, own)
            order = np.argsort(-own.score, kind="stable")[:MOST_BOXES]
            found[name] = [
                [
                    classes.get(int(own.category_id[i]), -1),
                    *_rounded(own.bbox_xywh[i]),
                    round(float(own.score[i]), 2),
                    int(right[i]),
                ]
                for i in order
            ]
        truth_boxes = [[classes[a["category_id"]], *_rounded(a["bbox"])] for a in truth]
        examples.append(Example(str(images[image_id]["file_name"]), why, jpeg, width, height, truth_boxes, found))
    return examples


def thumbnail(root: Path, file_name: str) -> tuple[str, int, int] | None:
    """Returns a small JPEG as base64 with the picture's displayed size; None where it is not there or not a picture."""
    root = root.resolve()
    path = (root / file_name).resolve()
    if not file_name or not path.is_relative_to(root):
        return None
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if image.getexif().get(ORIENTATION, 1) >= 5:  # shown on its side
                width, height = height, width
            image.draft("RGB", (2 * SIDE_PX, 2 * SIDE_PX))  # a JPEG is decoded no larger than needed
            picture = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    picture.thumbnail((SIDE_PX, SIDE_PX))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return base64.b64encode(buffer.getvalue()).decode(), width, height


def _by_image(ground_truth: GroundTruth) -> dict[int, list[Mapping[str, Any]]]:
    index: dict[int, list[Mapping[str, Any]]] = {image["id"]: [] for image in ground_truth.images}
    for annotation in ground_truth.annotations:
        if not annotation.get("iscrowd", 0):
            index[annotation["image_id"]].append(annotation)
    return index


def _right_less_wrong(index: Mapping[int, list[Mapping[str, Any]]], boxes: Boxes, at: float) -> dict[int, int]:
    boxes = boxes.at_threshold(at)
    if not len(boxes):
        return {}
    order = np.argsort(boxes.image_id, kind="stable")
    ids, starts = np.unique(boxes.image_id[order], return_index=True)
    margins = {}
    for image_id, part in zip(ids.tolist(), np.split(order, starts[1:]), strict=True):
        mask = np.zeros(len(boxes), dtype=bool)
        mask[part] = True
        right = _right(index[image_id], boxes.where(mask))
        margins[image_id] = int(right.sum()) - int((~right).sum())
    return margins


def _right(truth: Sequence[Mapping[str, Any]], boxes: Boxes) -> npt.NDArray[np.bool_]:
    """Returns which boxes of an image match an annotation of their class at IoU 0.5, the most confident first."""
    right = np.zeros(len(boxes), dtype=bool)
    if not truth or not len(boxes):
        return right
    targets = np.array([a["bbox"] for a in truth], dtype=np.float64)
    category = np.array([a["category_id"] for a in truth])
    free = np.ones(len(truth), dtype=bool)
    for i in np.argsort(-boxes.score, kind="stable"):
        pairs = np.repeat(boxes.bbox_xywh[i : i + 1].astype(np.float64), len(truth), axis=0)
        iou = box_iou(pairs, targets, np.zeros(len(truth), dtype=bool)) * (free & (category == boxes.category_id[i]))
        if iou.max() >= 0.5:
            right[i] = True
            free[iou.argmax()] = False
    return right


def _rounded(values: Sequence[float] | npt.NDArray[Any]) -> list[float]:
    return [round(float(value), 1) for value in values]
