from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agropest.data.convert import convert
from agropest.data.source import find_source
from agropest.errors import DataError

Fixture = Callable[..., Any]


def xml(*objects: tuple[str, tuple[object, ...]], size: tuple[int, int] = (160, 120), head: str = "") -> str:
    parts = [
        f"<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{b[0]}</xmin><ymin>{b[1]}</ymin>"
        f"<xmax>{b[2]}</xmax><ymax>{b[3]}</ymax></bndbox></object>"
        for name, b in objects
    ]
    sides = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    return f"{head}<annotation><filename>C:\\x\\old.jpg</filename>{sides}{''.join(parts)}</annotation>"


def voc(some: Any, images: str, annotations: str, lists: bool = False) -> None:
    for split in ("train", "val"):
        for i in range(4):
            name = f"{split}{i}"
            some.image(f"{images.format(split)}/{name}.jpg")
            some.text(f"{annotations.format(split)}/{name}.xml", xml(("bee" if i else "ant", (10, 20, 40, 50.5))))
        if lists:
            some.text(f"ImageSets/Main/{split}.txt", "".join(f"{split}{i}\n" for i in range(4)))
            some.text(f"ImageSets/Main/ant_{split}.txt", f"{split}0 1\n")
    if lists:
        some.text("ImageSets/Main/trainval.txt", "train0\nval0\n")


@pytest.mark.parametrize(
    ("images", "annotations", "lists"),
    [
        ("JPEGImages", "Annotations", True),
        ("VOC/JPEGImages", "VOC/Annotations", True),
        ("{}", "{}", False),
        ("{}/images", "{}/annotations", False),
        ("images/{}", "annotations/{}", False),
    ],
)
def test_layouts(some: Any, boxes_of: Fixture, images: str, annotations: str, lists: bool) -> None:
    voc(some, images, annotations, lists and "VOC" not in images)
    if "VOC" in images:
        for split in ("train", "val"):
            some.text(f"VOC/ImageSets/Main/{split}.txt", "".join(f"{split}{i}\n" for i in range(4)))
    conversion = convert(find_source(some.root.resolve()), processes=1)
    assert (list(conversion.contents), conversion.findings, conversion.faults) == (["train", "valid"], (), ())
    assert conversion.contents["valid"]["categories"] == [{"id": 1, "name": "ant"}, {"id": 2, "name": "bee"}]
    folder = images.format("val")
    assert boxes_of(conversion, "valid")[:2] == [
        (f"{folder}/val0.jpg", 1, [10.0, 20.0, 30.0, 30.5]),
        (f"{folder}/val1.jpg", 2, [10.0, 20.0, 30.0, 30.5]),
    ]


def test_one_folder_without_splits_is_refused(some: Any) -> None:
    some.image("images/a.jpg")
    some.text("annotations/a.xml", xml(("ant", (1, 2, 30, 40))))
    rule = "expected VOC annotations that say which split each image is in"
    with pytest.raises(DataError, match=f"{rule}, got '1 XML files in"):
        find_source(some.root.resolve())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (xml(("ant", (5, 5, 5, 50))), {("train/train0.xml", "no-size"), ("train/train0.jpg", "no-box-left")}),
        (xml(("ant", ("a", 5, 50, 50))), {("train/train0.xml", "no-bbox"), ("train/train0.jpg", "no-box-left")}),
        (xml(("ant", (10, 10, 20, 20)), size=(80, 60)), {("train/train0.xml", "size-scaled")}),
        (xml(("ant", (10, 10, 20, 20)), size=(80, 80)), {("train/train0.xml", "size-differs")}),
        (xml(("ant", (10, 10, 20, 20)), size=(0, 0)), set()),
        ("<annotation>", {("train/train0.jpg", "label-unreadable")}),
        (
            xml(("&x;", (1, 1, 9, 9)), head='<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'),
            {("train/train0.jpg", "label-unreadable")},
        ),
        ("<html></html>", {("train/train0.jpg", "label-missing")}),
        (None, {("train/train0.jpg", "label-missing")}),
    ],
)
def test_what_a_file_can_lack(some: Any, content: str | None, told: set[tuple[str, str]]) -> None:
    voc(some, "{}", "{}")
    (some.root / "train/train0.xml").unlink()
    if content is not None:
        some.text("train/train0.xml", content)
    conversion = convert(find_source(some.root.resolve()), processes=1)
    assert {(f.file, f.rule) for f in conversion.findings} == told


def test_scaled_pictures(some: Any, boxes_of: Fixture) -> None:
    voc(some, "{}", "{}")
    some.text("train/train0.xml", xml(("ant", (10, 10, 20, 30)), size=(80, 60)))
    assert boxes_of(convert(find_source(some.root.resolve()), processes=1))[0] == (
        "train/train0.jpg", 1, [20.0, 20.0, 20.0, 40.0],
    )  # fmt: skip


def test_sizes_in_place_of_corners_are_refused(some: Any) -> None:
    voc(some, "{}", "{}")
    for path in some.root.rglob("*.xml"):
        path.write_text(xml(("ant", (100, 60, 40, 50))))
    [one, two] = convert(find_source(some.root.resolve()), processes=1).faults
    assert one[0] == "train"
    assert one[3].startswith("they look like the left upper corner and the size: export them as two corners")
    assert two[0] == "valid"
