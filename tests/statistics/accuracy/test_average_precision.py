"""COCO's metrics: worked by hand where that is possible, by pycocotools where it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agropest.statistics.accuracy.average_precision import evaluate, evaluate_with_pycocotools
from agropest.statistics.accuracy.evaluation import evaluate_all
from agropest.statistics.detections.boxes import Boxes, GroundTruth


def truth(*boxes: tuple[int, int, list[float]], classes: int = 2, images: int = 3) -> GroundTruth:
    """Ground truth from (image, category, bbox)."""
    annotations: list[dict[str, Any]] = [
        {"id": i, "image_id": image, "category_id": c, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for i, (image, c, box) in enumerate(boxes, start=1)
    ]
    categories = [{"id": c, "name": f"class{c}"} for c in range(1, classes + 1)]
    return GroundTruth([{"id": i} for i in range(1, images + 1)], categories, annotations)


def found(*rows: tuple[int, int, list[float], float]) -> Boxes:
    """Predictions from (image, category, bbox, score)."""
    return Boxes(
        np.array([row[0] for row in rows], dtype=np.int64),
        np.array([row[1] for row in rows], dtype=np.int64),
        np.array([row[2] for row in rows], dtype=np.float32).reshape(-1, 4),
        np.array([row[3] for row in rows], dtype=np.float32),
    )


LARGE = [0.0, 0.0, 100.0, 100.0]
MEDIUM = [10.0, 10.0, 40.0, 40.0]


def test_perfect_boxes_are_100_percent_and_absent_sizes_and_classes_none() -> None:
    metrics = evaluate(truth((1, 1, LARGE)), found((1, 1, LARGE, 0.9)))
    for name in ("AP", "AP50", "APl", "AP-class1"):
        assert metrics[name] == pytest.approx(100.0, abs=1e-9)
    assert metrics["APs"] is metrics["APm"] is metrics["AP-class2"] is None


def test_half_found_is_the_share_of_recall_points_reached() -> None:
    """Two boxes, one found first, nothing else: precision 1 up to recall 0.5, that is at 51 of 101 points."""
    metrics = evaluate(truth((1, 1, LARGE), (2, 1, LARGE)), found((1, 1, LARGE, 0.9)))
    assert metrics["AP"] == pytest.approx(100 * 51 / 101, abs=1e-9)


def test_a_false_positive_above_halves_the_precision() -> None:
    metrics = evaluate(truth((1, 1, LARGE)), found((2, 1, LARGE, 0.95), (1, 1, LARGE, 0.9)))
    assert metrics["AP"] == pytest.approx(50.0, abs=1e-9)


def test_no_boxes_are_zero_where_there_is_ground_truth() -> None:
    metrics = evaluate(truth((1, 1, MEDIUM)), found())
    assert metrics["AP"] == metrics["AP50"] == metrics["APm"] == metrics["AP-class1"] == metrics["AR100"] == 0.0
    assert metrics["APs"] is metrics["APl"] is metrics["AP-class2"] is None


def test_every_ap_is_stored_at_the_deployed_threshold_too() -> None:
    """Of two boxes of a class one has a score below it: precision 1 at all recalls, and at 51 of 101 points."""
    ground_truth = truth((1, 1, LARGE), (2, 1, LARGE), (3, 2, MEDIUM))
    boxes = found((1, 1, LARGE, 0.9), (2, 1, LARGE, 0.4), (3, 2, MEDIUM, 0.5))
    metrics = evaluate_all(ground_truth, boxes, deployed_threshold=0.5)
    half = 100 * 51 / 101
    for name in ("AP", "AP50", "AP75"):
        assert metrics[name] == pytest.approx(100.0)
        assert metrics[f"{name}_deployed"] == pytest.approx((half + 100) / 2)
    assert metrics["AP_deployed-class1"] == metrics["APl_deployed"] == pytest.approx(half)
    assert metrics["AP_deployed-class2"] == metrics["APm_deployed"] == pytest.approx(100.0)
    assert metrics["APs_deployed"] is None
    assert metrics["AP_worst"] == pytest.approx(100.0)  # of the classes at all scores


@pytest.mark.parametrize("seed", range(6))
def test_hotcoco_and_pycocotools_agree(seed: int) -> None:
    random = np.random.default_rng(seed)
    boxes = [
        (
            int(random.integers(1, 9)),
            int(random.integers(1, 5)),
            [*random.uniform(0, 50, 2), *random.uniform(8, 150, 2)],
        )
        for _ in range(40)
    ]
    ground_truth = truth(*boxes, classes=5, images=8)
    rows = [
        (image, c, (np.array(box) + random.normal(0, 4, 4)).tolist(), float(random.uniform()))
        for image, c, box in boxes * 2
    ]
    ours, theirs = evaluate(ground_truth, found(*rows)), evaluate_with_pycocotools(ground_truth, found(*rows))
    assert list(ours) == list(theirs)
    assert len([value for value in ours.values() if value]) > 10
    for name, value in theirs.items():
        assert ours[name] == (None if value is None else pytest.approx(value, abs=1e-10)), name
