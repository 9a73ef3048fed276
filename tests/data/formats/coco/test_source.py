from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from agropest.data.convert import convert
from agropest.data.formats.coco.layout import find_coco_files
from agropest.data.source import find_source
from agropest.errors import DataError

Fixture = Callable[..., Any]
CATEGORIES = [{"id": 3, "name": "Bees"}, {"id": 1, "name": "Ants"}]


def write(root: Path, content: Any, split: str = "train", folder: str = "images") -> Path:
    (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "annotations").mkdir(exist_ok=True)
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (100, 50), (len(name), 9, 9)).save(root / folder / name)
    (root / "annotations" / f"{split}.json").write_text(json.dumps(content))
    return root.resolve()


def content(annotations: list[Any], images: list[Any] | None = None, categories: list[Any] | None = None) -> Any:
    listed = [{"id": 7, "file_name": "b.jpg", "width": 100, "height": 50}, {"id": 9, "file_name": "a.jpg"}]
    return {
        "images": listed if images is None else images,
        "annotations": annotations,
        "categories": CATEGORIES if categories is None else categories,
    }


def annotation(bbox: Any, image: Any = 7, category: Any = 3, **more: Any) -> dict[str, Any]:
    return {"id": 5, "image_id": image, "category_id": category, "bbox": bbox, **more}


def test_a_coco_folder(tmp_path: Path, told: Fixture) -> None:
    records = [annotation([10, 5, 20, 10]), annotation([0, 0, 5.5, 6], image=9, category=1, iscrowd=1)]
    conversion = convert(find_source(write(tmp_path, content(records))))
    assert conversion.contents["train"] == {
        "images": [
            {"id": 1, "file_name": "images/a.jpg", "width": 100, "height": 50, "source": "a"},
            {"id": 2, "file_name": "images/b.jpg", "width": 100, "height": 50, "source": "b"},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0.0, 0.0, 5.5, 6.0], "area": 33.0, "iscrowd": 1},
            {"id": 2, "image_id": 2, "category_id": 3, "bbox": [10.0, 5.0, 20.0, 10.0], "area": 200.0, "iscrowd": 0},
        ],
        "categories": [{"id": 1, "name": "Ants"}, {"id": 3, "name": "Bees"}],
    }
    assert told(conversion.findings) == [("annotations/train.json", 0, "size-differs", "kept")]  # a.jpg has no size


def test_ids_from_zero_move_up(tmp_path: Path) -> None:
    categories = [{"id": 0, "name": "Ants"}, {"id": 2, "name": "Bees"}]
    records = [annotation([10, 5, 20, 10], category=2)]
    conversion = convert(find_source(write(tmp_path, content(records, categories=categories))))
    assert [c["id"] for c in conversion.contents["train"]["categories"]] == [1, 3]
    assert conversion.contents["train"]["annotations"][0]["category_id"] == 3


@pytest.mark.parametrize(
    ("record", "rule", "action"),
    [
        (annotation([90, 40, 20, 20]), "over-border", "clipped"),
        (annotation([10, 5, 0, 10]), "no-size", "dropped"),
        (annotation([10, 5, -4, 10]), "no-size", "dropped"),
        (annotation([10, 5, 0.5, 10]), "sub-pixel", "dropped"),
        (annotation([200, 5, 10, 10]), "outside", "dropped"),
        (annotation([10, 5, float("nan"), 10]), "not-a-number", "dropped"),
        (annotation([10, 5, "20", 10]), "not-a-number", "dropped"),
        (annotation([10, 5, 20]), "not-a-number", "dropped"),
        (annotation(None), "no-bbox", "dropped"),
        (annotation([10, 5, 20, 10], category=2), "class-out-of-range", "dropped"),
        (annotation([10, 5, 20, 10], category="3"), "class-out-of-range", "dropped"),
        (annotation([10, 5, 20, 10], image=1), "orphan-annotation", "dropped"),
        ({"id": 5}, "annotation-record", "dropped"),
        ("x", "annotation-record", "dropped"),
    ],
)
def test_the_same_checks_as_for_label_lines(tmp_path: Path, told: Fixture, record: Any, rule: str, action: str) -> None:
    good = annotation([10, 5, 30, 10])
    conversion = convert(find_source(write(tmp_path, content([good, record]))))
    assert told(conversion.findings, "size-differs") == [("annotations/train.json", 0, rule, action)]
    assert len(conversion.contents["train"]["annotations"]) == (2 if action == "clipped" else 1)


def test_images_twice_missing_unlisted_and_leaving(tmp_path: Path, told: Fixture) -> None:
    (tmp_path / "out").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "out/secret.jpg")
    names = ["a.jpg", "a.jpg", "no.jpg", "../../out/secret.jpg", str(tmp_path / "out/secret.jpg")]
    images = [{"id": i, "file_name": name, "width": 100, "height": 50} for i, name in enumerate(names)]
    conversion = convert(find_source(write(tmp_path / "set", content([], [*images, {"id": 8}]))))
    assert [image["file_name"] for image in conversion.contents["train"]["images"]] == ["images/a.jpg"]
    rules = sorted(rule for _, _, rule, _ in told(conversion.findings))
    assert rules == ["image-missing"] * 3 + ["image-not-listed", "image-record", "image-twice"]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "expected JSON"),
        ("[]", "expected lists 'images', 'annotations', 'categories'"),
        ('{"images": [], "annotations": {}, "categories": []}', "expected lists"),
        ('{"images": [], "annotations": [], "categories": []}', "expected a category"),
        ('{"images": [], "annotations": [], "categories": [{"id": "1", "name": "a"}]}', "expected a whole number 'id'"),
    ],
)
def test_what_is_no_coco_file(tmp_path: Path, text: str, part: str) -> None:
    root = write(tmp_path, {})
    (root / "annotations/train.json").write_text(text)
    with pytest.raises(DataError, match=part):
        find_source(root)


def test_splits_must_agree_on_the_classes(tmp_path: Path) -> None:
    write(tmp_path, content([]))
    root = write(tmp_path, content([], categories=[{"id": 3, "name": "Wasps"}]), "valid")
    with pytest.raises(DataError, match="expected one name for id 3, got 'Wasps'"):
        find_source(root)


def test_where_coco_files_may_be(tmp_path: Path) -> None:
    for name in (
        "annotations/instances_val2017.json",
        "annotations/captions_train2017.json",
        "train/_annotations.coco.json",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    found = {split: file.name for split, file in find_coco_files(tmp_path).by_split.items()}
    assert found == {"train": "_annotations.coco.json", "valid": "instances_val2017.json"}


@pytest.mark.parametrize("folder", ["images", "images/train", "train", "train/images", "."])
def test_where_images_may_be(tmp_path: Path, folder: str) -> None:
    conversion = convert(find_source(write(tmp_path, content([]), folder=folder)))
    prefix = "" if folder == "." else f"{folder}/"
    assert [i["file_name"] for i in conversion.contents["train"]["images"]] == [f"{prefix}a.jpg", f"{prefix}b.jpg"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 120) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=6,
)
RECORD = st.fixed_dictionaries(
    {
        "image_id": st.just(7) | JSON,
        "category_id": st.just(3) | JSON,
        "bbox": st.lists(st.floats(-20, 150), min_size=4, max_size=4) | JSON,
    }
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(records=st.lists(RECORD | JSON, max_size=4))
def test_any_annotations_give_a_valid_file(tmp_path: Path, records: list[Any]) -> None:
    conversion = convert(find_source(write(tmp_path, content(records))))
    json.dumps(conversion.contents, allow_nan=False)
    for a in conversion.contents["train"]["annotations"]:
        x, y, w, h = a["bbox"]
        assert 0 <= x < x + w <= 100 + 1e-9
        assert 0 <= y < y + h <= 50 + 1e-9
        assert a["category_id"] in (1, 3)
