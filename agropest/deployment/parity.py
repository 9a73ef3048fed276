"""Whether two runs of one model find the same boxes.

A box whose score is within the tolerance of the lowest score that is kept may be in one run and not in the other; so
may the box that takes its place among the most confident. Such boxes are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
# Of a coordinate: some eight units in the last place of float32, in which boxes are computed and stored.
OF_COORDINATE = 1e-6


@dataclass(frozen=True)
class Found:
    """Boxes of one picture.

    Attributes:
        corners: x0 y0 x1 y1, [N, 4], in pixels.
        scores: [N].
        classes: [N], indices from 0.
    """

    corners: Array
    scores: Array
    classes: Array

    @staticmethod
    def of(instances: Any) -> Found:
        """Returns Detectron2's ``Instances`` as arrays."""
        return Found(
            instances.pred_boxes.tensor.cpu().numpy(),
            instances.scores.cpu().numpy(),
            instances.pred_classes.cpu().numpy().astype(np.int64),
        )


@dataclass(frozen=True)
class Parity:
    """How far two runs are apart.

    Attributes:
        num_boxes: that were compared.
        box_px: largest difference of a coordinate, in pixels.
        score: largest difference of a score.
        unmatched: boxes of one run that the other lacks.
        extent_px: largest coordinate among the boxes that were compared.
    """

    num_boxes: int = 0
    box_px: float = 0.0
    score: float = 0.0
    unmatched: int = 0
    extent_px: float = 0.0

    def __add__(self, other: Parity) -> Parity:
        return Parity(
            self.num_boxes + other.num_boxes,
            max(self.box_px, other.box_px),
            max(self.score, other.score),
            self.unmatched + other.unmatched,
            max(self.extent_px, other.extent_px),
        )

    def holds(self, tolerance: float) -> bool:
        """Returns whether every box has its like, and none is further apart than ``tolerance`` (pixels, score).

        Pixels may be as far apart as float32 tells large coordinates apart: on large pictures that is more.
        """
        is_near = self.box_px <= max(tolerance, OF_COORDINATE * self.extent_px)
        return not self.unmatched and is_near and self.score <= tolerance

    def in_words(self) -> str:
        """Returns it for people."""
        if self.unmatched:
            return f"{self.unmatched} of {self.num_boxes + self.unmatched} boxes are in one of the two alone"
        if not self.num_boxes:
            return "neither has a box there"
        return f"{self.num_boxes} boxes, at most {self.box_px:.1g} px and {self.score:.1g} in score apart"


def compare_found(one: Found, other: Found, lowest: float, most: int, tolerance: float) -> Parity:
    """Returns how far two runs on one picture are apart.

    Args:
        lowest: score from which boxes are kept.
        most: boxes that are kept of a picture; where there are as many, the last may be another.
        tolerance: of a score.
    """
    edge = lowest + tolerance
    if max(len(one.scores), len(other.scores)) >= most:
        edge = max(edge, float(min(one.scores.min(), other.scores.min())) + tolerance)
    pairs, left = _pairs(one, other, edge)
    if not pairs:
        return Parity(unmatched=left)
    mine, theirs = (np.array(side) for side in zip(*pairs, strict=True))
    return Parity(
        len(pairs),
        float(np.abs(one.corners[mine].astype(np.float64) - other.corners[theirs]).max()),
        float(np.abs(one.scores[mine].astype(np.float64) - other.scores[theirs]).max()),
        left,
        float(np.abs(one.corners[mine]).max()),
    )


def _pairs(one: Found, other: Found, edge: float) -> tuple[list[tuple[int, int]], int]:
    """Returns the indices of boxes that are each other's like, and how many above ``edge`` have none."""
    free = set(range(len(other.scores)))
    pairs, missing = [], 0
    for i in np.argsort(-one.scores, kind="stable"):
        same = [j for j in free if other.classes[j] == one.classes[i]]
        gaps = {
            j: float(np.abs(one.corners[i] - other.corners[j]).max() + abs(one.scores[i] - other.scores[j]))
            for j in same
        }
        nearest = min(gaps, key=lambda j: gaps[j]) if gaps else None
        if nearest is not None and gaps[nearest] < 1.0:
            free.discard(nearest)
            pairs.append((int(i), nearest))
        elif one.scores[i] > edge:
            missing += 1
    return pairs, missing + sum(other.scores[j] > edge for j in free)
