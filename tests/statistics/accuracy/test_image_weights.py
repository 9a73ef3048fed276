"""What is computed of weightings once for all detectors, by hand."""

from __future__ import annotations

import numpy as np

from agropest.statistics.accuracy.image_weights import ImageWeights
from agropest.statistics.detections.boxes import GroundTruth
from agropest.statistics.detections.matching import read_targets

# (image, class, area): image 1 has two ants, one of them small; image 2 an ant and a bee; image 3 nothing.
ANNOTATIONS = [(1, 1, 100.0), (1, 1, 1e4), (2, 1, 1e4), (2, 2, 1e4)]


def test_annotations_are_counted_as_often_as_their_images() -> None:
    annotations = [
        {"id": i, "image_id": image, "category_id": category, "bbox": [0, 0, 10, 10], "area": area, "iscrowd": 0}
        for i, (image, category, area) in enumerate(ANNOTATIONS, start=1)
    ]
    categories = [{"id": 1, "name": "ant"}, {"id": 2, "name": "bee"}]
    targets = read_targets(GroundTruth([{"id": i} for i in (1, 2, 3)], categories, annotations))
    weights = ImageWeights(targets, np.array([[1, 1, 1], [3, 0, 5], [0, 2, 1]]))
    assert weights.copies == 5
    assert weights.positives().tolist() == [[3, 6, 2], [1, 0, 2]]
    assert weights.positives("small").tolist() == [[1, 3, 0], [0, 0, 0]]
    assert weights.positives("large").tolist() == [[2, 3, 2], [1, 0, 2]]
