"""What cannot be meant in files of any origin: said once, or refused, before a number is computed from it.

N predicted boxes, M annotated objects. A fault is sought in how all boxes lie, never in a single one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agropest.errors import DataError, fault
from agropest.statistics.detections.boxes import Boxes, GroundTruth, require_known_images
from agropest.statistics.detections.coco_files import read_results
from agropest.statistics.detections.matching import box_iou

Array = npt.NDArray[Any]

# From so many boxes on, a majority is no chance.
FEWEST = 10
# What is wrong with the ids of a file shows on so many of its images.
IMAGES_LOOKED_AT = 1000
SOME, MOST, NEARLY_ALL = 0.1, 0.5, 0.95
SAME_OBJECT_IOU = 0.5
# A detector that is not clipped reaches over the border by a little; by this part of the image, many boxes do not.
OVERHANG = 0.05
LARGE_SIDE_PX = 2.0


def read_predictions(path: Path, ground_truth: GroundTruth) -> Boxes:
    """Returns the boxes of a COCO results file, refused where they cannot be of this ground truth.

    Raises:
        DataError: the file is missing or something else, its boxes are on other images, or their coordinates, image ids
            or categories are of another kind than the ground truth's.
    """
    entries = read_results(path)
    boxes = Boxes.from_entries(entries)
    _refuse_other_files(entries, ground_truth, path)
    _refuse_stems(boxes, ground_truth, path)
    require_known_images(boxes, [image["id"] for image in ground_truth.images], str(path))
    refuse_other_boxes(boxes.bbox_xywh, boxes.image_id, ground_truth, str(path))
    _refuse_shifted(boxes, ground_truth, path)
    return boxes


def read_ground_truth(path: Path) -> GroundTruth:
    """Returns the annotations of a COCO file; its ``notes`` say what in them is doubtful.

    Raises:
        DataError: the file is missing or something else, or its boxes are not in pixels from the left upper corner.
    """
    ground_truth = GroundTruth.from_coco(path)
    annotations = ground_truth.annotations
    corners = np.array([one["bbox"] for one in annotations], float).reshape(-1, 4)
    refuse_other_boxes(corners, np.array([one["image_id"] for one in annotations]), ground_truth, str(path))
    return ground_truth


def refuse_other_boxes(bbox_xywh: Array, image_id: Array, ground_truth: GroundTruth, where: str) -> None:
    """Raises DataError where boxes [N, 4] are shares of the image, corners or centres instead of xywh in pixels."""
    if len(bbox_xywh) < FEWEST:
        return
    cause = _is_shares(bbox_xywh, ground_truth) or _other_form(bbox_xywh, image_id, ground_truth)
    if cause:
        fix = "write [x, y, width, height] in pixels, x and y of the left upper corner"
        raise DataError(fault(f"{where}: bbox", "expected pixels from the left upper corner, and the size", cause, fix))


def _is_shares(bbox_xywh: Array, ground_truth: GroundTruth) -> str:
    sides = [side for image in ground_truth.images for side in _size(image)]
    objects = [side for one in ground_truth.annotations for side in one["bbox"][2:]]
    are_pixels = max(sides, default=0) > LARGE_SIDE_PX or max(objects, default=0) > LARGE_SIDE_PX
    share = float((bbox_xywh <= 1).all(axis=1).mean())
    return f"no number above 1 in {share:.0%} of the boxes: shares of the image" if are_pixels and share > MOST else ""


def _other_form(bbox_xywh: Array, image_id: Array, ground_truth: GroundTruth) -> str:
    """Returns how boxes are written instead of xywh, where that explains nearly all that reach over the border."""
    known = {image["id"]: _size(image) for image in ground_truth.images if _size(image)}
    rows = np.array([i for i, index in enumerate(image_id.tolist()) if index in known], int)
    if len(rows) < FEWEST:
        return ""
    size = np.array([known[index] for index in image_id[rows].tolist()], float)
    a, b = bbox_xywh[rows, :2], bbox_xywh[rows, 2:]
    forms = {"": (a, a + b), "two corners": (a, b), "the centre and the size": (a - b / 2, a + b / 2)}
    inside = {
        form: float(((low >= -OVERHANG * size) & (high <= (1 + OVERHANG) * size) & (high > low)).all(axis=1).mean())
        for form, (low, high) in forms.items()
    }
    outside = 1 - inside.pop("")
    best = max(inside, key=lambda form: inside[form])
    if outside > SOME and inside[best] >= NEARLY_ALL:
        return f"{outside:.0%} of the boxes outside their images, {inside[best]:.0%} inside if they are {best}"
    return ""


def _size(image: Mapping[str, Any]) -> tuple[float, ...]:
    return (image["width"], image["height"]) if "width" in image and "height" in image else ()


def _refuse_other_files(entries: Sequence[Mapping[str, Any]], ground_truth: GroundTruth, path: Path) -> None:
    """Raises DataError where a prediction names another file than its image has."""
    names = {image["id"]: _stem(image["file_name"]) for image in ground_truth.images if "file_name" in image}
    for number, entry in enumerate(entries):
        stated_name, known = entry.get("file_name"), names.get(entry["image_id"])
        if isinstance(stated_name, str) and known is not None and _stem(stated_name) != known:
            rule = f"expected the file that image {entry['image_id']} has in the ground truth, {known!r}"
            fix = "the ids are of another list of images: give each prediction its image's id in the ground truth"
            raise DataError(fault(f"{path}: entry {number}.file_name", rule, stated_name, fix))


def _stem(file_name: str) -> str:
    return file_name.replace("\\", "/").rpartition("/")[2].rpartition(".")[0] or file_name


def _refuse_stems(boxes: Boxes, ground_truth: GroundTruth, path: Path) -> None:
    """Raises DataError where image ids are file names read as numbers, as Ultralytics writes them."""
    stems = {
        int(_stem(image["file_name"])): image["id"]
        for image in ground_truth.images
        if _stem(image.get("file_name", "")).isdecimal() and len(_stem(image["file_name"])) < 16
    }
    used = set(boxes.image_id.tolist())
    if len(boxes) < FEWEST or not stems or not used <= stems.keys() or all(stems[i] == i for i in used):
        return
    known = {image["id"] for image in ground_truth.images}
    as_stems = Boxes(
        np.array([stems[i] for i in boxes.image_id.tolist()], np.int64), boxes.category_id, boxes.bbox_xywh, boxes.score
    )
    found, found_by_stem = (len(_pairs(some, ground_truth)) for some in (boxes, as_stems))
    if not used <= known or found_by_stem > 2 * found:
        rule, got = "expected ids of images in the ground truth", "the stems of their file names"
        fix = "Ultralytics writes ids so: give each prediction its image's id in the ground truth"
        raise DataError(fault(f"{path}: image_id", rule, got, fix))


def _refuse_shifted(boxes: Boxes, ground_truth: GroundTruth, path: Path) -> None:
    """Raises DataError where the best box on most objects has the next category (or the one before), some unknown."""
    pairs = _pairs(boxes, ground_truth)
    shifts = Counter(predicted - true for predicted, true in pairs)
    if len(pairs) < FEWEST or not shifts:
        return
    shift, number = shifts.most_common(1)[0]
    is_unknown = not np.isin(boxes.category_id, list(ground_truth.class_names)).all()
    if is_unknown and shift and number > MOST * len(pairs) and shifts[0] < SOME * len(pairs):
        rule = "expected the ground truth's category ids"
        got = f"on {number} of {len(pairs)} objects that were found, the best box has category id {shift:+d}"
        fix = "the ids look shifted: number the categories as in the ground truth"
        raise DataError(fault(f"{path}: category_id", rule, got, fix))


def _pairs(boxes: Boxes, ground_truth: GroundTruth) -> list[tuple[int, int]]:
    """Returns (predicted, true category id) of each object on which a box lies, of its boxes the best-scored.

    Of so many images only as are enough to see what is wrong with all of them.
    """
    found: list[tuple[int, int]] = []
    objects: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for one in ground_truth.annotations:
        if not one["iscrowd"]:
            objects[one["image_id"]].append(one)
    if not len(boxes):
        return found
    order = np.argsort(boxes.image_id, kind="stable")
    ids, starts = np.unique(boxes.image_id[order], return_index=True)
    looked_at = 0
    for index, rows in zip(ids.tolist(), np.split(order, starts[1:]), strict=True):
        true = objects.get(index, [])
        if not true:
            continue
        looked_at += 1
        if looked_at > IMAGES_LOOKED_AT:
            break
        iou = _iou(boxes.bbox_xywh[rows].astype(float), np.array([one["bbox"] for one in true], float))
        score = np.where(iou >= SAME_OBJECT_IOU, boxes.score[rows][:, None], -1.0)
        best = score.argmax(axis=0)
        for column, one in enumerate(true):
            if score[best[column], column] >= 0:
                found.append((int(boxes.category_id[rows[best[column]]]), one["category_id"]))
    return found


def _iou(boxes: Array, objects: Array) -> Array:
    """Returns the IoU of every box with every object, [N, M]."""
    pairs = np.indices((len(boxes), len(objects))).reshape(2, -1)
    no_crowd = np.zeros(pairs.shape[1], bool)
    return box_iou(boxes[pairs[0]], objects[pairs[1]], no_crowd).reshape(len(boxes), len(objects))


def doubts(boxes: Boxes, ground_truth: GroundTruth) -> Iterator[str]:
    """Yields what is doubtful in some boxes although it can be computed with."""
    if len(boxes) < FEWEST:
        return
    known = {image["id"]: _size(image) for image in ground_truth.images if _size(image)}
    rows = [i for i, index in enumerate(boxes.image_id.tolist()) if index in known]
    if rows:
        size = np.array([known[index] for index in boxes.image_id[rows].tolist()], float)
        low, high = boxes.bbox_xywh[rows, :2], boxes.bbox_xywh[rows, :2] + boxes.bbox_xywh[rows, 2:]
        outside = int(((low < -OVERHANG * size) | (high > (1 + OVERHANG) * size)).any(axis=1).sum())
        if outside > MOST * len(rows):
            yield f"{outside} of {len(rows)} boxes reach far outside their images: are they of another image size?"
    table = np.column_stack([boxes.image_id, boxes.category_id, boxes.bbox_xywh, boxes.score])
    twice = len(table) - len(np.unique(table, axis=0))
    if twice > SOME * len(table):
        yield f"{twice} of {len(table)} boxes appear twice, with the same score"
    pairs = _pairs(boxes, ground_truth)
    same = sum(predicted == true for predicted, true in pairs)
    if len(pairs) >= FEWEST and same < SOME * len(pairs):
        yield (
            f"on {len(pairs) - same} of {len(pairs)} objects that were found, the best box is of another class: "
            "are the categories in the same order?"
        )
