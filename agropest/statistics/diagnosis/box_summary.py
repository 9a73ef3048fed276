"""What can be said of predicted boxes without any ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agropest.statistics.detections.boxes import Boxes

CONFIDENT = 0.8
HISTOGRAM_BINS = 10


@dataclass(frozen=True)
class BoxSummary:
    """Counts of predicted boxes.

    Attributes:
        num_images: images with at least one box.
        share_confident: share of the boxes with a score above ``CONFIDENT``, in [0, 1]; None without boxes.
        by_class: category id to number of boxes; every category of the ground truth, where there is one.
        histogram: boxes by score, ``HISTOGRAM_BINS`` equal bins of [0, 1]; a score on an edge is in the upper bin.
    """

    num_boxes: int
    num_images: int
    num_confident: int
    share_confident: float | None
    by_class: Mapping[int, int]
    histogram: tuple[int, ...]


def summarize_boxes(boxes: Boxes, class_names: Mapping[int, str] | None = None) -> BoxSummary:
    """Returns the counts; ``class_names`` adds classes without a box."""
    categories, counts = np.unique(boxes.category_id, return_counts=True)
    by_class = dict.fromkeys(class_names or {}, 0)
    by_class.update(dict(zip(categories.tolist(), counts.tolist(), strict=True)))
    confident = int((boxes.score > np.float32(CONFIDENT)).sum())
    edges = np.linspace(0.0, 1.0, HISTOGRAM_BINS + 1).astype(np.float32)
    histogram, _ = np.histogram(boxes.score, bins=edges)
    return BoxSummary(
        num_boxes=len(boxes),
        num_images=len(np.unique(boxes.image_id)),
        num_confident=confident,
        share_confident=confident / len(boxes) if len(boxes) else None,
        by_class=dict(sorted(by_class.items())),
        histogram=tuple(histogram.tolist()),
    )
