"""What a box is, worked by hand, and all of them against TIDE's own counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agropest.statistics.detections.boxes import Boxes, GroundTruth
from agropest.statistics.diagnosis.box_kinds import (
    CONFUSED,
    DUPLICATE,
    FALSE,
    IGNORED,
    MISPLACED,
    RIGHT,
    box_kinds,
)
from agropest.statistics.diagnosis.error_types import error_types


def annotation(x: float, category: int = 1, iscrowd: int = 0) -> dict[str, Any]:
    return {"bbox": [x, 0.0, 10.0, 10.0], "category_id": category, "iscrowd": iscrowd}


def kinds(boxes: list[tuple[float, int, float]], annotations: list[dict[str, Any]]) -> Any:
    xywh = np.array([[x, 0, 10, 10] for x, _, _ in boxes], dtype=float).reshape(-1, 4)
    return box_kinds(xywh, np.array([c for _, c, _ in boxes]), np.array([s for _, _, s in boxes]), annotations)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0.0, 1, 0.9), RIGHT),
        ((3.0, 1, 0.9), RIGHT),  # 7 of 13
        ((5.0, 1, 0.9), MISPLACED),  # 5 of 15
        ((0.0, 2, 0.9), CONFUSED),
        ((5.0, 2, 0.9), MISPLACED),
        ((9.0, 1, 0.9), FALSE),  # 1 of 19
        ((50.0, 1, 0.9), FALSE),
    ],
)
def test_one_box(box: tuple[float, int, float], expected: int) -> None:
    assert kinds([box], [annotation(0.0)]).kind.tolist() == [expected]


def test_the_more_confident_has_the_annotation() -> None:
    told = kinds([(1.0, 1, 0.6), (0.0, 1, 0.8), (0.0, 1, 0.7)], [annotation(0.0), annotation(40.0)])
    assert told.kind.tolist() == [DUPLICATE, RIGHT, DUPLICATE]
    assert told.found_at.tolist() == [0.8, 0.0]


def test_a_threshold_changes_nothing_above_it() -> None:
    random = np.random.default_rng(1)
    annotations = [annotation(float(x), int(c)) for x, c in zip(range(0, 100, 8), random.integers(1, 3, 13))]  # noqa: B905
    boxes = [(float(random.uniform(0, 100)), int(random.integers(1, 3)), float(random.uniform())) for _ in range(40)]
    whole, high = kinds(boxes, annotations), [one for one in boxes if one[2] >= 0.5]
    part = kinds(high, annotations)
    assert part.kind.tolist() == [k for one, k in zip(boxes, whole.kind.tolist(), strict=True) if one[2] >= 0.5]
    np.testing.assert_array_equal(part.found_at, np.where(whole.found_at >= 0.5, whole.found_at, 0))


def test_crowds_are_not_looked_for_and_make_no_box_wrong() -> None:
    told = kinds([(0.0, 1, 0.9), (0.0, 2, 0.9)], [annotation(0.0, iscrowd=1)])
    assert told.kind.tolist() == [IGNORED, FALSE]
    assert told.found_at.tolist() == [2.0]


def test_nothing_there() -> None:
    assert kinds([(0.0, 1, 0.9)], []).kind.tolist() == [FALSE]
    assert kinds([], [annotation(0.0)]).found_at.tolist() == [0.0]


def test_the_counts_are_those_of_tide() -> None:
    random = np.random.default_rng(0)
    images = [{"id": number} for number in range(1, 41)]
    annotations: list[dict[str, Any]] = []
    rows: list[list[float]] = []
    for image in images:
        for _ in range(4):
            bbox = [float(v) for v in (*random.uniform(0, 150, 2), *random.uniform(20, 60, 2))]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image["id"], "category_id": int(random.integers(1, 4)),
                 "bbox": bbox, "area": bbox[2] * bbox[3], "iscrowd": 0}
            )  # fmt: skip
            for _ in range(2):
                moved = np.maximum(np.array(bbox) + random.normal(0, 9, 4), 1)
                rows.append([image["id"], int(random.integers(1, 4)), *moved, float(random.uniform(0.1, 1))])
    truth = GroundTruth(images, [{"id": n, "name": str(n)} for n in (1, 2, 3)], annotations)
    table = np.array(rows)
    boxes = Boxes(
        table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:6].astype(np.float32),
        table[:, 6].astype(np.float32),
    )  # fmt: skip
    counted = np.zeros(6, dtype=int)
    for image in images:
        own = boxes.where(boxes.image_id == image["id"])
        its = [one for one in annotations if one["image_id"] == image["id"]]
        counted += np.bincount(box_kinds(own.bbox_xywh, own.category_id, own.score, its).kind, minlength=6)
    told = error_types(truth, boxes).counts
    assert counted[CONFUSED] == told["Cls"] > 20
    assert counted[MISPLACED] == told["Loc"] + told["Both"] > 20
    assert counted[DUPLICATE] == told["Dupe"] > 0
    assert counted[FALSE] == told["Bkg"] > 0
