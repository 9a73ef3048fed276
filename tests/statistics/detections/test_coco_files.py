"""COCO files as other tools write them: what is put right, and what is refused with its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agropest.errors import DataError
from agropest.statistics.accuracy.average_precision import evaluate, evaluate_with_pycocotools
from agropest.statistics.detections.boxes import Boxes, GroundTruth
from agropest.statistics.detections.matching import read_targets

Content = dict[str, list[dict[str, Any]]]
SIDES = (30.0, 60.0, 100.0)


def coco() -> Content:
    """Three images with one box each: a small, a medium and a large one (COCO: 32 and 96 pixels)."""
    boxes = [{"image_id": i, "category_id": 1, "bbox": [5.0, 5.0, side, side]} for i, side in enumerate(SIDES, start=1)]
    images = [{"id": i, "file_name": f"{i}.jpg"} for i in range(1, 4)]
    return {"images": images, "categories": [{"id": 1, "name": "ant"}], "annotations": boxes}


def write(folder: Path, content: object) -> Path:
    path = folder / "file.json"
    path.write_text(json.dumps(content))
    return path


def results() -> list[dict[str, Any]]:
    return [{**box, "score": 0.9} for box in coco()["annotations"]]


@pytest.mark.parametrize("ids", [[1, 1, 1], ["a", "b", "c"], [0, 1, 2], [2**70, None, -1]])
def test_ids_of_annotations_do_not_matter(tmp_path: Path, ids: list[object]) -> None:
    content = coco()
    for annotation, key in zip(content["annotations"], ids, strict=True):
        annotation["id"] = key
    truth = GroundTruth.from_coco(write(tmp_path, content))
    found = Boxes.from_coco_results(write(tmp_path, results()))
    assert [annotation["id"] for annotation in truth.annotations] == [1, 2, 3]
    for metrics in (evaluate(truth, found), evaluate_with_pycocotools(truth, found)):
        assert metrics["AP"] == pytest.approx(100)


@pytest.mark.parametrize("area", [{}, {"area": None}])
def test_an_area_that_is_missing_is_that_of_the_box(tmp_path: Path, area: dict[str, None]) -> None:
    content = coco()
    content["annotations"] = [{**annotation, **area} for annotation in content["annotations"]]
    truth = GroundTruth.from_coco(write(tmp_path, content))
    assert [annotation["area"] for annotation in truth.annotations] == [900.0, 3600.0, 10000.0]
    assert read_targets(truth).num_boxes == 3
    metrics = evaluate(truth, Boxes.from_coco_results(write(tmp_path, results())))
    assert (metrics["APs"], metrics["APm"], metrics["APl"]) == pytest.approx((100, 100, 100))


def test_a_given_area_counts(tmp_path: Path) -> None:
    content = coco()
    content["annotations"][0]["area"] = 5000
    assert read_targets(GroundTruth.from_coco(write(tmp_path, content))).in_area("small").sum() == 0


def test_what_is_not_used_may_be_anything(tmp_path: Path) -> None:
    content = coco()
    content["images"][0] |= {"width": "wide", "license": []}
    content["annotations"][0] |= {"segmentation": "none", "keypoints": 3, "iscrowd": True}
    content["categories"][0] |= {"supercategory": None}
    truth = GroundTruth.from_coco(write(tmp_path, content))
    assert evaluate(truth, Boxes.from_coco_results(write(tmp_path, results())))["AP"] == pytest.approx(100)
    assert read_targets(truth).num_boxes == 2  # one is a crowd


FAULTS: list[tuple[Callable[[Content], object], str, str]] = [
    (lambda c: c["images"].clear(), "images", "one or more"),
    (lambda c: c["images"][0].update(id="1"), "images[0].id", "whole number from 0 to 2^53, got '1'"),
    (lambda c: c["images"][0].update(id=[1]), "images[0].id", "got [1]"),
    (lambda c: c["images"][0].update(id=True), "images[0].id", "got True"),
    (lambda c: c["images"][2].update(id=2**63), "images[2].id", "got 9223372036854775808"),
    (lambda c: c["images"].append({"id": 1}), "images[3].id", "each once, got 1; list every image once"),
    (lambda c: c["images"][1].update(file_name=5), "images[1].file_name", "text, got 5"),
    (lambda c: c["images"][1].update(file_name=None), "images[1].file_name", "got None"),
    (lambda c: c["images"][1].update(source=[1]), "images[1].source", "got [1]"),
    (lambda c: c["images"].append(7), "images[3]", "a mapping with id"),  # type: ignore[arg-type]
    (lambda c: c["categories"][0].pop("id"), "categories[0].id", "got {'name': 'ant'}"),
    (lambda c: c["categories"].append({"id": "2", "name": "bee"}), "categories[1].id", "got '2'"),
    (lambda c: c["categories"].append({"id": 1, "name": "bee"}), "categories[1].id", "each once, got 1"),
    (lambda c: c["categories"].append({"id": 2, "name": "ant"}), "categories[1].name", "each once, got 'ant'"),
    (lambda c: c["categories"][0].update(name=7), "categories[0].name", "text, got 7"),
    (lambda c: c["categories"][0].update(name="\ud800"), "categories[0].name", r"got '\ud800'"),
    (lambda c: c["annotations"][1].update(image_id=9), "annotations[1].image_id", "one of the file's images, got 9"),
    (lambda c: c["annotations"][1].update(category_id=9), "annotations[1].category_id", "file's categories, got 9"),
    (lambda c: c["annotations"][1].update(bbox=[1, 2, 3]), "annotations[1].bbox", "got [1, 2, 3]"),
    (lambda c: c["annotations"][1].update(bbox=[9, 9, -5, 5]), "annotations[1].bbox", "not below 0, got [9, 9, -5, 5]"),
    (lambda c: c["annotations"][1].update(bbox=[0, 0, 1e300, 1]), "annotations[1].bbox", "up to 1e9"),
    (lambda c: c["annotations"][1].update(area="big"), "annotations[1].area", "got 'big'; leave it out"),
    (lambda c: c["annotations"][1].update(area=float("nan")), "annotations[1].area", "got nan"),
    (lambda c: c["annotations"][1].update(iscrowd="0"), "annotations[1].iscrowd", "0 or 1, got '0'"),
    (lambda c: c["annotations"][1].update(iscrowd=None), "annotations[1].iscrowd", "0 or 1, got None"),
]


@pytest.mark.parametrize(("spoil", "where", "told"), FAULTS)
def test_what_is_no_annotation_is_named(
    tmp_path: Path, spoil: Callable[[Content], object], where: str, told: str
) -> None:
    content = coco()
    spoil(content)
    with pytest.raises(DataError) as caught:
        GroundTruth.from_coco(write(tmp_path, content))
    [line] = caught.value.faults
    assert line.startswith(f"{tmp_path / 'file.json'}: {where}: expected ")
    assert told in line


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"image_id": "1"}, "entry 0.image_id: expected a whole number"),
        ({"image_id": 2**63}, "entry 0.image_id: expected a whole number"),
        ({"category_id": 1.0}, "entry 0.category_id: expected a whole number"),
        ({"score": 10**400}, "entry 0.score: expected scores from 0 to 1"),
        ({"score": -0.1}, "entry 0.score: expected scores from 0 to 1, got -0.1; write probabilities"),
        ({"score": True}, "entry 0.score"),
        ({"bbox": [0, 0, 5, 10**400]}, "entry 0.bbox: expected [x, y, width, height]"),
        ({"bbox": [0, 0, 5, -5]}, "entry 0.bbox: expected [x, y, width, height]"),
    ],
)
def test_what_is_no_prediction_is_named(tmp_path: Path, change: dict[str, object], told: str) -> None:
    content = results()
    content[0] |= change
    with pytest.raises(DataError) as caught:
        Boxes.from_coco_results(write(tmp_path, content))
    [line] = caught.value.faults
    assert line.startswith(f"{tmp_path / 'file.json'}: {told}")


@pytest.mark.parametrize("text", ["[" * 100_000, "\x00", "[" * 900 + "]" * 900, "[1" + "0" * 5000 + "]"])
def test_text_that_is_no_coco_file_is_one_fault(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(text)
    for read in (GroundTruth.from_coco, Boxes.from_coco_results):
        with pytest.raises(DataError) as caught:
            read(path)
        [line] = caught.value.faults
        assert line.startswith(f"{path}: ")


def test_of_many_faults_the_first_five_are_printed(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        Boxes.from_coco_results(write(tmp_path, [{**entry, "score": 7} for entry in results() * 3]))
    assert [line.split(": ")[1] for line in caught.value.faults[:5]] == [f"entry {i}.score" for i in range(5)]
    assert caught.value.faults[5:] == (f"{tmp_path / 'file.json'}: and 4 more",)


def test_scores_that_float32_would_tie_keep_their_order(tmp_path: Path) -> None:
    """A detector that is sure of everything: 16 digits tell right from wrong, 8 do not. pycocotools ranks by 16."""
    content = coco()
    wrong = [{"image_id": i, "category_id": 1, "bbox": [500.0, 500.0, 20.0, 20.0], "score": 0.99999999} for i in (1, 2)]
    right = [{**box, "score": 0.999999999} for box in coco()["annotations"]]
    truth = GroundTruth.from_coco(write(tmp_path, content))
    found = Boxes.from_coco_results(write(tmp_path, [*wrong, *right]))
    assert evaluate(truth, found)["AP"] == pytest.approx(100)
    assert evaluate_with_pycocotools(truth, found)["AP"] == pytest.approx(100)


@pytest.mark.parametrize("threshold", [0.05, 0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_score_at_the_threshold_is_shown_however_it_was_read(threshold: float) -> None:
    where = (np.array([1, 1]), np.array([1, 1]), np.zeros((2, 4), np.float32))
    for dtype in (np.float32, np.float64):
        scores = np.array([threshold, np.nextafter(np.float32(threshold), np.float32(0))], dtype=dtype)
        assert len(Boxes(*where, scores).at_threshold(threshold)) == 1
