from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agropest.__main__ import main
from agropest.errors import DataError
from agropest.statistics.detections.boxes import Boxes
from agropest.statistics.detections.doubts import doubts, read_ground_truth, read_predictions

Content = dict[str, Any]


def truth(low: int = 1, number: int = 40) -> Content:
    """Returns images of 640x480 with one object each, of three categories in turn."""
    images = [{"id": i + 1, "file_name": f"{i}.jpg", "width": 640, "height": 480} for i in range(number)]
    boxes = [[20 + 9 * i, 30 + 5 * i, 60 + i, 60] for i in range(number)]
    annotations = [
        {"id": i + 1, "image_id": i + 1, "category_id": low + i % 3, "bbox": box, "area": box[2] * box[3]}
        for i, box in enumerate(boxes)
    ]
    categories = [{"id": low + c, "name": name} for c, name in enumerate(("ant", "bee", "moth"))]
    return {"images": images, "annotations": annotations, "categories": categories}


def predicted(content: Content, change: Callable[[Content], object] = lambda entry: None) -> list[Content]:
    draw = random.Random(1)
    keys = ("image_id", "category_id", "bbox")
    entries = [{key: one[key] for key in keys} | {"score": draw.uniform(0.5, 1)} for one in content["annotations"]]
    for entry in entries:
        change(entry)
    return entries


@pytest.fixture
def read(tmp_path: Path) -> Callable[[Content, list[Content]], Boxes]:
    """Reads predictions as ``compare`` and ``summarize`` read them."""

    def of(content: Content, entries: list[Content]) -> Boxes:
        (tmp_path / "truth.json").write_text(json.dumps(content))
        (tmp_path / "a.json").write_text(json.dumps(entries))
        return read_predictions(tmp_path / "a.json", read_ground_truth(tmp_path / "truth.json"))

    return of


def set_box(form: Callable[..., list[float]]) -> Callable[[Content], object]:
    return lambda entry: entry.update(bbox=form(*entry["bbox"]))


IMPOSSIBLE = [
    (lambda e: e.update(category_id=e["category_id"] + 1), "the best box has category id \\+1'; the ids look shifted"),
    (lambda e: e.update(category_id=e["category_id"] - 1), "the best box has category id -1'; the ids look shifted"),
    (lambda e: e.update(image_id=e["image_id"] - 1), "image_id: expected .*, got 'the stems of their file names'"),
    (lambda e: e.update(file_name="7.jpg"), "expected the file that image 1 has in the ground truth, '0', got '7.jpg'"),
    (
        set_box(lambda x, y, w, h: [x / 640, y / 480, w / 640, h / 480]),
        "no number above 1 in 100% of the boxes: shares",
    ),
    (set_box(lambda x, y, w, h: [x, y, x + w, y + h]), "inside if they are two corners"),
    (set_box(lambda x, y, w, h: [x + 100, y + 30, x, y]), "inside if they are the centre and the size"),
]


@pytest.mark.parametrize(("change", "part"), IMPOSSIBLE)
def test_what_cannot_be_meant_is_refused(read: Any, change: Callable[[Content], object], part: str) -> None:
    content = truth()
    read(content, predicted(content))
    with pytest.raises(DataError, match=part):
        read(content, predicted(content, change))


def test_the_same_of_a_ground_truth(read: Any) -> None:
    content = truth()
    entries = predicted(content)
    for one in content["annotations"]:
        x, y, w, h = one["bbox"]
        one["bbox"] = [x, y, x + w, y + h]
    with pytest.raises(DataError, match=r"truth.json: bbox: expected pixels from the left upper corner"):
        read(content, entries)


def test_numbers_of_files_that_are_ids_are_taken(read: Any) -> None:
    content = truth()
    for image in content["images"]:
        image["file_name"] = f"{image['id']:06d}.jpg"
    assert len(read(content, predicted(content, lambda e: e.update(file_name=f"x/{e['image_id']:06d}.png")))) == 40


def test_a_detector_that_confuses_classes_is_not_shifted(read: Any) -> None:
    content = truth()
    few = read(content, predicted(content, lambda e: e.update(category_id=min(e["category_id"] + 1, 3))))
    assert list(doubts(few, read_ground_truth_of(content))) == []


def read_ground_truth_of(content: Content) -> Any:
    from agropest.statistics.detections.boxes import GroundTruth

    annotations = [{"iscrowd": 0, **one} for one in content["annotations"]]
    return GroundTruth(content["images"], content["categories"], annotations)


def test_what_is_doubtful_is_a_note(read: Any) -> None:
    content = truth()
    ground_truth = read_ground_truth_of(content)
    twice = Boxes.from_entries(predicted(content) * 2)
    assert list(doubts(twice, ground_truth)) == ["40 of 80 boxes appear twice, with the same score"]
    order = {1: 2, 2: 3, 3: 1}
    mixed = read(content, predicted(content, lambda e: e.update(category_id=order[e["category_id"]])))
    [told] = doubts(mixed, ground_truth)
    assert told.startswith("on 40 of 40 objects that were found, the best box is of another class")
    far = Boxes.from_entries(predicted(content, set_box(lambda x, y, w, h: [2 * x + 650, y, w, h])))
    assert list(doubts(far, ground_truth)) == [
        "40 of 40 boxes reach far outside their images: are they of another image size?"
    ]


@pytest.mark.parametrize(("area", "noted"), [(1.0, True), (0, True), (None, False)])
def test_an_area_that_is_a_constant_is_not_taken(tmp_path: Path, area: float | None, noted: bool) -> None:
    content = truth()
    for one in content["annotations"]:
        one["area"] = one["bbox"][2] * one["bbox"][3] if area is None else area
    (tmp_path / "truth.json").write_text(json.dumps(content))
    ground_truth = read_ground_truth(tmp_path / "truth.json")
    assert [one["area"] for one in ground_truth.annotations] == [(60 + i) * 60 for i in range(40)]
    assert [note.split(",")[0] for note in ground_truth.notes] == (
        [f"every annotation has the area {area:g}"] if noted else []
    )


def test_areas_of_masks_are_taken_and_larger_ones_are_not(tmp_path: Path) -> None:
    for factor, noted in ((0.6, False), (2.0, True)):
        content = truth()
        for one in content["annotations"]:
            one["area"] *= factor
        (tmp_path / "truth.json").write_text(json.dumps(content))
        ground_truth = read_ground_truth(tmp_path / "truth.json")
        assert ground_truth.annotations[0]["area"] == (3600 if noted else 2160)
        assert bool(ground_truth.notes) == noted


def test_summarize_and_compare_say_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = truth()
    for one in content["annotations"]:
        one["area"] = 1
    content["images"].append({"id": 99, "file_name": "0.jpg"})
    (tmp_path / "truth.json").write_text(json.dumps(content))
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(json.dumps(predicted(content)))
    paths = [str(tmp_path / f"{name}.json") for name in ("truth", "a", "b")]
    for words in (["compare", *paths, "--resamples", "100"], ["summarize", "--gt", *paths[:2]]):
        assert main(words) == 0
        told = capsys.readouterr().out
        assert "every annotation has the area 1" in told
        assert "1 of 40 files are listed under several image ids (0.jpg, ...)" in told
    (tmp_path / "b.json").write_text(json.dumps(predicted(content, IMPOSSIBLE[0][0])))
    assert main(["compare", *paths]) == 2
    assert "b.json: category_id: expected the ground truth's category ids" in capsys.readouterr().err
