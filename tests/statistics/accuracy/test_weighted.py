"""Weighted images against COCO's evaluation of a set in which they really stand several times."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agropest.errors import DataError
from agropest.statistics.accuracy.average_precision import evaluate_with_pycocotools
from agropest.statistics.accuracy.image_weights import ImageWeights
from agropest.statistics.accuracy.weighted import RECALL_POINTS, PointsReached, class_precisions, f1
from agropest.statistics.bootstrap import weighted_metrics
from agropest.statistics.detections.boxes import Boxes, GroundTruth
from agropest.statistics.detections.matching import image_groups, match, read_targets


def duplicated(truth: GroundTruth, boxes: Boxes, weights: list[int]) -> tuple[GroundTruth, Boxes]:
    """Returns the set in which image i stands ``weights[i]`` times, copies side by side, under ids of their own."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    picked: list[Boxes] = []
    ids = sorted(image["id"] for image in truth.images)
    for source, times in zip(ids, weights, strict=True):
        for _ in range(times):
            number = len(images) + 1
            images.append({"id": number})
            for annotation in truth.annotations:
                if annotation["image_id"] == source:
                    annotations.append({**annotation, "image_id": number, "id": len(annotations) + 1})
            copy = boxes.where(boxes.image_id == source)
            picked.append(replace(copy, image_id=np.full(len(copy), number)))
    columns = ("image_id", "category_id", "bbox_xywh", "score")
    joined = [np.concatenate([getattr(part, name) for part in picked]) for name in columns]
    return GroundTruth(images, truth.categories, annotations), Boxes(*joined)


def random_set(random: np.random.Generator, num_images: int, ties: bool) -> tuple[GroundTruth, Boxes]:
    """Returns boxes of all sizes, some crowds, some doubled predictions; with ``ties`` only five different scores."""
    annotations: list[dict[str, Any]] = []
    rows: list[tuple[int, int, list[float], float]] = []
    ids = (random.permutation(5 * num_images)[:num_images] + 1).tolist()
    for image in ids:
        for _ in range(int(random.integers(0, 5))):
            bbox = [float(n) for n in (*random.integers(0, 60, 2), *random.integers(8, 140, 2))]
            area = bbox[2] * bbox[3] * float(random.choice([1.0, 0.7]))
            category, crowd = int(random.integers(2, 5)), int(random.random() < 0.15)
            annotation = {"id": len(annotations) + 1, "image_id": image, "category_id": category, "bbox": bbox}
            annotations.append({**annotation, "area": area, "iscrowd": crowd, "ignore": int(random.random() < 0.1)})
            for _ in range(int(random.choice([0, 1, 1, 2, 9]))):
                near = (np.array(bbox) + random.integers(-3, 4, 4)).clip(1).tolist()
                rows.append((image, category if random.random() < 0.9 else 2, near, score(random, ties)))
        for _ in range(int(random.integers(0, 3))):
            rows.append((image, int(random.integers(2, 6)), [5.0, 5.0, 40.0, 40.0], score(random, ties)))
    random.shuffle(annotations)
    categories = [{"id": c, "name": f"class{c}"} for c in (2, 3, 4, 5)]
    columns = [np.array([row[i] for row in rows]) for i in range(4)]
    boxes = Boxes(
        columns[0].astype(np.int64),
        columns[1].astype(np.int64),
        columns[2].astype(np.float32).reshape(-1, 4),
        columns[3].astype(np.float32),
    )
    return GroundTruth([{"id": i} for i in ids], categories, annotations), boxes


def score(random: np.random.Generator, ties: bool) -> float:
    return float(random.choice([0.2, 0.4, 0.5, 0.6, 0.9])) if ties else float(random.uniform())


def assert_equal_to_pycocotools(truth: GroundTruth, boxes: Boxes, weights: list[int], max_detections: int) -> int:
    """Compares every metric; returns how many there were to compare."""
    column = np.array(weights)[:, None]
    matches = match(read_targets(truth), boxes, max_detections)
    ours = weighted_metrics(matches, column)
    real, predicted = duplicated(truth, boxes, weights)
    theirs = evaluate_with_pycocotools(real, predicted, max_detections)
    deployed = evaluate_with_pycocotools(real, predicted.at_threshold(0.5), max_detections)
    theirs |= {f"{name}_deployed": deployed[name] for name in ("AP", "AP50", "AP75", "APs", "APm", "APl")}
    assert set(theirs) <= set(ours)
    for name, value in theirs.items():
        expected = np.nan if value is None else value
        assert ours[name][0] == pytest.approx(expected, abs=1e-12 * 100, nan_ok=True), name
    return sum(value is not None and value > 0 for value in theirs.values())


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    weights=st.lists(st.integers(0, 4), min_size=1, max_size=7).filter(any),
    ties=st.booleans(),
    max_detections=st.sampled_from([5, 10, 100]),
)
def test_weights_are_copies(seed: int, weights: list[int], ties: bool, max_detections: int) -> None:
    truth, boxes = random_set(np.random.default_rng(seed), len(weights), ties)
    assert_equal_to_pycocotools(truth, boxes, weights, max_detections)


@pytest.mark.parametrize("ties", [False, True])
def test_weights_are_copies_on_a_set_that_has_all_metrics(ties: bool) -> None:
    random = np.random.default_rng(7)
    truth, boxes = random_set(random, 30, ties)
    weights = random.multinomial(30, np.full(30, 1 / 30)).tolist()
    assert assert_equal_to_pycocotools(truth, boxes, weights, 100) >= 12


def one_class(rows: list[tuple[int, list[float], float]]) -> tuple[GroundTruth, Boxes]:
    """Two images with one object of 100 px each; predictions from (image, bbox, score)."""
    annotations = [{"id": i, "image_id": i, "category_id": 1, "bbox": LARGE, "area": 1e4, "iscrowd": 0} for i in (1, 2)]
    truth = GroundTruth([{"id": 1}, {"id": 2}], [{"id": 1, "name": "ant"}], annotations)
    image, bbox, scores = (np.array([row[i] for row in rows]) for i in range(3))
    return truth, Boxes(image, np.ones(len(rows), np.int64), bbox.astype(np.float32), scores.astype(np.float32))


LARGE, AWAY = [0.0, 0.0, 100.0, 100.0], [500.0, 500.0, 100.0, 100.0]


def test_equal_scores_in_one_image_alternate_between_its_copies() -> None:
    """Right, wrong, right, wrong: precision 1 up to recall 1/2 (51 points), then 2/3 (50 points); not 1 throughout."""
    truth, boxes = one_class([(1, LARGE, 0.9), (1, AWAY, 0.9)])
    matches = match(read_targets(truth), boxes)
    ap = weighted_metrics(matches, np.array([[2], [0]]))["AP"][0]
    assert ap == pytest.approx(100 * (51 * 1 + 50 * 2 / 3) / 101, abs=1e-10)


def test_f1_by_hand() -> None:
    """Image 1 three times (right), image 2 once (wrong, and one too low to be shown): 2 * 3 / (4 boxes + 4 objects)."""
    truth, boxes = one_class([(1, LARGE, 0.9), (2, AWAY, 0.5), (2, LARGE, 0.4)])
    matches = match(read_targets(truth), boxes)
    weights = ImageWeights(matches.targets, np.array([[3, 1]]))
    assert f1(matches, weights, 0.5)[0] == pytest.approx(0.75)
    assert f1(matches, weights, 0.95)[0] == 0.0


def test_recall_points_are_counted_as_they_are_rounded() -> None:
    """29/100 lies below the point 0.29 as numpy rounds it; every k/n is compared with every point."""
    known = np.array([0, 1, 7, 29, 100, 101, 300, 1000])
    reached = PointsReached(known)
    for n, row in zip(known[1:].tolist(), reached.rows(known[1:]).tolist(), strict=True):
        newly = reached.newly(np.arange(n + 1)[None], np.array([[row]]))[0]
        expected = ((np.arange(n + 1) / n)[:, None] >= RECALL_POINTS).sum(axis=1)
        expected[0] = 0  # recall 0 is read at the first true positive
        assert np.cumsum(newly).tolist() == expected.tolist()


def test_a_class_of_many_objects_needs_little_memory() -> None:
    """20,000 objects and 200 weightings: a table of floats for each k/n would take a hundred times as much."""
    random, number = np.random.default_rng(0), 20_000
    annotations = [
        {"id": i, "image_id": i % 1000 + 1, "category_id": 1, "bbox": LARGE, "area": 1e4, "iscrowd": 0}
        for i in range(1, number + 1)
    ]
    truth = GroundTruth([{"id": i} for i in range(1, 1001)], [{"id": 1, "name": "ant"}], annotations)
    image = np.repeat(np.arange(1, 1001), 20)
    boxes = Boxes(image, np.ones(number, np.int64), np.tile(np.float32(LARGE), (number, 1)), random.random(number))
    matches = match(read_targets(truth), boxes, areas=["all"])
    weights = ImageWeights(matches.targets, random.multinomial(1000, np.full(1000, 1e-3), size=200).astype(np.uint16))
    tracemalloc.start()
    assert class_precisions(matches, weights).tolist() == [[1.0] * 200]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 2**20


def test_copies_of_one_source_are_one_group() -> None:
    names = ("a/x_jpg.rf.01.jpg", "a/x_jpg.rf.02.jpg", "a/y_jpg.rf.01.jpg", "a/z.jpg", "b/z.jpg")
    images = [{"id": 9 - i, "file_name": name} for i, name in enumerate(names)]
    images += [{"id": 20, "source": "s"}, {"id": 21, "source": "s"}, {"id": 22}]
    assert image_groups(GroundTruth(images, [], [])).tolist() == [0, 1, 2, 3, 3, 4, 4, 5]


def test_a_box_on_an_unknown_image_is_refused_and_an_unknown_class_left_out() -> None:
    truth, boxes = one_class([(1, LARGE, 0.9), (7, LARGE, 0.9)])
    with pytest.raises(DataError, match="image_id 7"):
        match(read_targets(truth), boxes)
    strange = replace(boxes, image_id=np.array([1, 1]), category_id=np.array([1, 5]))
    assert len(match(read_targets(truth), strange).score) == 1
