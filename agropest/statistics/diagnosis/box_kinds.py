"""What each box of a picture is, and which annotations are found: TIDE's kinds (see ``error_types``), box by box.

Boxes take annotations in the order of their scores, so that what a box is does not depend on boxes below it: whoever
looks from a score threshold on leaves out the lower boxes and changes nothing else. An annotation is found at a
threshold where the box that has it scores as much.

Shapes: N boxes, M annotations of one picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agropest.statistics.detections.matching import box_iou

RIGHT, CONFUSED, MISPLACED, DUPLICATE, FALSE, IGNORED = range(6)
FOUND_IOU, SEEN_IOU = 0.5, 0.1

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class PictureKinds:
    """One detector on one picture.

    Attributes:
        kind: [N], of ``RIGHT`` to ``IGNORED`` (on a crowd), in the order of the boxes.
        found_at: [M], score of the box that has the annotation; 0 where none has. Crowds are not looked for: 2.
    """

    kind: Array
    found_at: Array


def box_kinds(
    bbox_xywh: Array, category_id: Array, score: Array, annotations: Sequence[Mapping[str, Any]]
) -> PictureKinds:
    """Returns what each box is, and from which score each annotation is found.

    ``CONFUSED`` is TIDE's Cls (IoU of at least 0.5 with another class), ``MISPLACED`` its Loc and Both (0.1 to 0.5),
    ``DUPLICATE`` its Dupe, ``FALSE`` its Bkg.

    Args:
        bbox_xywh: [N, 4].
        category_id: [N].
        score: [N].
        annotations: of the picture.
    """
    kind = np.full(len(score), FALSE)
    crowd = np.array([bool(one.get("iscrowd", 0)) for one in annotations], dtype=bool)
    found_at = np.where(crowd, 2.0, 0.0)
    if not annotations or not len(score):
        return PictureKinds(kind, found_at)
    targets = np.array([one["bbox"] for one in annotations], dtype=np.float64)
    classes = np.array([one["category_id"] for one in annotations])
    for i in np.argsort(-score, kind="stable"):
        pairs = np.repeat(np.asarray(bbox_xywh[i : i + 1], dtype=np.float64), len(annotations), axis=0)
        iou = box_iou(pairs, targets, crowd)
        own = classes == category_id[i]
        free = np.where(own & ~crowd & (found_at == 0), iou, 0.0)
        if free.max() >= FOUND_IOU:
            kind[i] = RIGHT
            found_at[free.argmax()] = float(score[i])
        else:
            kind[i] = _wrong(iou, own, crowd)
    return PictureKinds(kind, found_at)


def _wrong(iou: Array, own: Array, crowd: Array) -> int:
    """Returns what a box is that has no annotation, by its overlap with all of them."""
    highest = [float(np.where(mask, iou, 0.0).max()) for mask in (own & crowd, own & ~crowd, ~own & ~crowd)]
    if highest[0] >= FOUND_IOU:
        return IGNORED
    if SEEN_IOU <= highest[1] < FOUND_IOU:  # tidecv asks in this order
        return MISPLACED
    if highest[2] >= FOUND_IOU:
        return CONFUSED
    if highest[1] >= FOUND_IOU:
        return DUPLICATE
    return MISPLACED if highest[2] >= SEEN_IOU else FALSE
