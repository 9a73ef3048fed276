from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from agropest.data.convert import source_stem
from agropest.data.source import find_source
from agropest.errors import DataError

BOX = "0 0.5 0.5 0.2 0.4\n"
XYWH = [40.0, 15.0, 20.0, 20.0]
Fixture = Callable[..., Any]


def test_a_clean_set_is_taken_as_it_stands(write_set: Fixture, converted: Fixture, told: Fixture) -> None:
    root = write_set({"train/b": BOX, "train/a": "1 0.5 0.5 0.2 0.4", "valid/c": ""})
    conversion = converted(root)
    assert told(conversion.findings) == []
    assert conversion.contents["train"] == {
        "images": [
            {"id": 1, "file_name": "train/images/a.jpg", "width": 100, "height": 50, "source": "a"},
            {"id": 2, "file_name": "train/images/b.jpg", "width": 100, "height": 50, "source": "b"},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 2, "bbox": XYWH, "area": 400.0, "iscrowd": 0},
            {"id": 2, "image_id": 2, "category_id": 1, "bbox": XYWH, "area": 400.0, "iscrowd": 0},
        ],
        "categories": [{"id": 1, "name": "Ants"}, {"id": 2, "name": "Bees"}],
    }
    assert conversion.contents["valid"]["annotations"] == []
    assert len(conversion.contents["valid"]["images"]) == 1


def test_one_bad_line_costs_that_line(write_set: Fixture, converted: Fixture, told: Fixture, boxes_of: Fixture) -> None:
    conversion = converted(write_set({"train/a": BOX + "\nmoth 0.5 0.5 0.1 0.1\n1 0.5 0.5 0.4 0.4\n"}))
    assert told(conversion.findings) == [("train/labels/a.txt", 3, "class-not-a-number", "dropped")]
    assert boxes_of(conversion) == [
        ("train/images/a.jpg", 1, XYWH),
        ("train/images/a.jpg", 2, [30.0, 15.0, 40.0, 20.0]),
    ]


def test_detection_and_segmentation_lines_mix(write_set: Fixture, converted: Fixture, boxes_of: Fixture) -> None:
    conversion = converted(write_set({"train/a": BOX + "1 0.4 0.3 0.6 0.3 0.6 0.7 0.4 0.7\n"}))
    assert [(category, bbox) for _, category, bbox in boxes_of(conversion)] == [(1, XYWH), (2, XYWH)]
    assert {f.rule for f in conversion.findings} >= {"polygon", "same-box-two-classes"}


def test_exact_duplicates_count_once(write_set: Fixture, converted: Fixture, told: Fixture, boxes_of: Fixture) -> None:
    conversion = converted(write_set({"train/a": BOX + "0 0.50 0.50 0.20 0.40\n"}))
    assert len(boxes_of(conversion)) == 1
    assert told(conversion.findings) == [("train/labels/a.txt", 2, "duplicate-box", "dropped")]


def test_background_is_reported_when_its_label_is_missing(
    write_set: Fixture, converted: Fixture, told: Fixture
) -> None:
    conversion = converted(write_set({"train/a": None, "train/b": "", "train/c": "\n\n", "train/d": "9 0 0 1 1\n"}))
    assert [image["file_name"][-5:] for image in conversion.contents["train"]["images"]] == [
        "a.jpg", "b.jpg", "c.jpg", "d.jpg",
    ]  # fmt: skip
    assert told(conversion.findings) == [
        ("train/images/a.jpg", 0, "label-missing", "kept"),
        ("train/images/d.jpg", 0, "no-box-left", "kept"),
        ("train/labels/d.txt", 1, "class-out-of-range", "dropped"),
    ]


def test_an_unreadable_label_costs_its_image(write_set: Fixture, converted: Fixture, told: Fixture) -> None:
    root = write_set({"train/a": BOX, "train/b": BOX})
    source = find_source(root.resolve())
    (root / "train/labels/a.txt").unlink()
    from agropest.data.convert import convert

    conversion = convert(source, processes=1)
    assert [image["file_name"] for image in conversion.contents["train"]["images"]] == ["train/images/b.jpg"]
    assert told(conversion.findings) == [("train/images/a.jpg", 0, "label-unreadable", "dropped")]


def test_two_images_with_one_stem(write_set: Fixture, converted: Fixture, told: Fixture, boxes_of: Fixture) -> None:
    root = write_set({"train/a": BOX})
    Image.new("RGB", (10, 10)).save(root / "train/images/a.png")
    conversion = converted(root)
    assert boxes_of(conversion) == [("train/images/a.jpg", 1, XYWH)]
    assert told(conversion.findings) == [("train/images/a.png", 0, "same-stem", "dropped")]


def test_files_that_are_no_part_of_the_set(write_set: Fixture, converted: Fixture, told: Fixture) -> None:
    root = write_set({"train/a": BOX})
    for name in ("images/Thumbs.db", "images/._a.jpg", "labels/.DS_Store", "labels/classes.txt", "labels.cache"):
        (root / "train" / name).write_bytes(b"x")
    (root / "train/images/notes.pdf").write_bytes(b"x")
    (root / "train/labels/gone.txt").write_text(BOX)
    (root / "train/images/__MACOSX").mkdir()
    (root / "train/images/__MACOSX/a.jpg").write_bytes(b"x")
    conversion = converted(root)
    assert len(conversion.contents["train"]["images"]) == 1
    assert told(conversion.findings) == [
        ("train/images/._a.jpg", 0, "junk-file", "dropped"),
        ("train/images/Thumbs.db", 0, "junk-file", "dropped"),
        ("train/images/__MACOSX", 0, "junk-file", "dropped"),
        ("train/images/notes.pdf", 0, "not-an-image", "dropped"),
        ("train/labels/.DS_Store", 0, "junk-file", "dropped"),
        ("train/labels/classes.txt", 0, "junk-file", "dropped"),
        ("train/labels/gone.txt", 0, "orphan-label", "dropped"),
    ]


def test_links_do_not_leave_the_data_set(write_set: Fixture, converted: Fixture, told: Fixture, tmp_path: Path) -> None:
    root = write_set({"train/a": BOX})
    Image.new("RGB", (10, 10)).save(tmp_path / "outside.jpg")
    (tmp_path / "folder").mkdir()
    images = root / "train/images"
    (images / "leaves.jpg").symlink_to(tmp_path / "outside.jpg")
    (images / "stays.jpg").symlink_to("a.jpg")
    (images / "broken.jpg").symlink_to("nowhere.jpg")
    (images / "ring.jpg").symlink_to("ring.jpg")
    (images / "folder").symlink_to(tmp_path / "folder")
    os.mkfifo(images / "pipe.jpg")
    conversion = converted(root)
    assert [image["file_name"] for image in conversion.contents["train"]["images"]] == [
        "train/images/a.jpg",
        "train/images/stays.jpg",
    ]
    rules = {file: (rule, action) for file, _, rule, action in told(conversion.findings)}
    assert rules == {
        "train/images/leaves.jpg": ("link-leaves-data-set", "dropped"),
        "train/images/folder": ("link-to-folder", "dropped"),
        "train/images/broken.jpg": ("not-a-file", "dropped"),
        "train/images/ring.jpg": ("link-leaves-data-set", "dropped"),
        "train/images/pipe.jpg": ("not-a-file", "dropped"),
        "train/images/stays.jpg": ("label-missing", "kept"),
    }


def test_a_label_that_leaves_the_data_set_is_not_read(
    write_set: Fixture, converted: Fixture, told: Fixture, tmp_path: Path
) -> None:
    root = write_set({"train/a": None})
    (tmp_path / "secret.txt").write_text(BOX)
    (root / "train/labels/a.txt").symlink_to(tmp_path / "secret.txt")
    conversion = converted(root)
    assert conversion.contents["train"]["annotations"] == []
    assert told(conversion.findings) == [
        ("train/images/a.jpg", 0, "label-missing", "kept"),
        ("train/labels/a.txt", 0, "link-leaves-data-set", "dropped"),
    ]


def test_nfc_and_nfd_names_meet(write_set: Fixture, converted: Fixture, told: Fixture, boxes_of: Fixture) -> None:
    nfc, nfd = (unicodedata.normalize(form, "é蚂蚁") for form in ("NFC", "NFD"))
    root = write_set({f"train/{nfd}": None})
    (root / f"train/labels/{nfc}.txt").write_text(BOX)
    conversion = converted(root)
    assert boxes_of(conversion) == [(f"train/images/{nfd}.jpg", 1, XYWH)]
    assert told(conversion.findings) == [(f"train/labels/{nfc}.txt", 0, "label-name-differs", "kept")]


def test_names_that_are_no_utf8(write_set: Fixture, converted: Fixture, told: Fixture) -> None:
    root = write_set({"train/a": BOX})
    (root / "train/images" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    assert told(converted(root).findings) == [("train/images/caf\\xe9.jpg", 0, "name-not-utf8", "dropped")]


def test_suffixes_in_upper_case(write_set: Fixture, converted: Fixture, told: Fixture, boxes_of: Fixture) -> None:
    root = write_set({"train/a": BOX, "train/b": BOX})
    (root / "train/images/a.jpg").rename(root / "train/images/a.JPG")
    (root / "train/labels/b.txt").rename(root / "train/labels/b.TXT")
    conversion = converted(root)
    assert [file for file, _, _ in boxes_of(conversion)] == ["train/images/a.JPG", "train/images/b.jpg"]
    assert told(conversion.findings) == [("train/labels/b.TXT", 0, "label-name-differs", "kept")]


@pytest.mark.parametrize("layout", ["images/train", "train"])
def test_other_layouts(write_set: Fixture, converted: Fixture, boxes_of: Fixture, layout: str) -> None:
    root = write_set({"train/sub/a": BOX, "train/b": BOX}, f"train: {layout}\nnames: [Ants]\n")
    if layout == "images/train":
        for kind in ("images", "labels"):
            (root / kind).mkdir()
            (root / "train" / kind).rename(root / kind / "train")
    conversion = converted(root)
    assert [Path(file).name for file, _, _ in boxes_of(conversion)] == ["b.jpg", "a.jpg"]


def test_sources_of_augmented_copies() -> None:
    assert source_stem("train/images/ants-1-_jpg.rf.0123.jpg") == "ants-1-_jpg"
    assert source_stem("a/b.c.png") == "b.c"


def test_the_input_is_never_modified(write_set: Fixture, converted: Fixture) -> None:
    root = write_set({"train/a": BOX + "x", "train/b": None, "valid/c": "0 2 2 9 9"})
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in root.rglob("*")}
    converted(root)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in root.rglob("*")} == before


def test_a_split_without_a_usable_image_is_a_fault(write_set: Fixture, converted: Fixture) -> None:
    root = write_set({"train/a": BOX, "valid/b": BOX})
    (root / "valid/images/b.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"images that decode in valid.*image-empty"):
        converted(root)


def work_to_list(root: Path, num_pictures: int) -> int:
    """Returns how many lines of Python are run while a set of so many pictures is listed."""
    for folder, suffix in (("images", "jpg"), ("labels", "txt")):
        (root / "train" / folder).mkdir(parents=True)
        for i in range(num_pictures):
            (root / "train" / folder / f"{i:04d}.{suffix}").touch()
    (root / "data.yaml").write_text("train: train/images\nnames: [Ants]\n")
    lines = 0

    def count(*_: object) -> Any:
        nonlocal lines
        lines += 1
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        source = find_source(root.resolve())
    finally:
        sys.settrace(before)
    assert len(source.pictures) == num_pictures
    return lines


def test_a_large_set_is_listed_in_linear_time(tmp_path: Path) -> None:
    few, many = (work_to_list(tmp_path / str(number), number) for number in (100, 400))
    assert many < 4.5 * few  # a search of a list for each file makes it up to 16 times as many
