from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agropest.data.decoding import read_all, read_facts
from agropest.detectron2_ready import make_importable
from agropest.errors import DataError

Fixture = Callable[..., Any]


def picture(mode: str = "RGB", size: tuple[int, int] = (60, 40)) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def trainer_reads(path: Path) -> np.ndarray:
    """Returns the pixels as Detectron2's mapper reads them."""
    make_importable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Detectron2's own imports
        from detectron2.data import detection_utils
    return np.asarray(detection_utils.read_image(str(path), "BGR"))


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "png", "bmp", "webp", "tif", "JPG"])
def test_formats_and_suffixes(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    picture().save(path)
    facts = read_facts(path)
    assert (facts.width, facts.height, facts.remarks) == (60, 40, ())


@pytest.mark.parametrize(
    ("mode", "suffix", "rule"),
    [
        ("L", "png", None),
        ("1", "png", None),
        ("P", "png", None),
        ("RGBA", "png", "transparency"),
        ("LA", "png", "transparency"),
        ("CMYK", "jpg", "colour-space"),
        ("I;16", "png", "more-than-8-bits"),
        ("F", "tif", "more-than-8-bits"),
    ],
)
def test_modes_are_read_as_the_trainer_reads_them(tmp_path: Path, mode: str, suffix: str, rule: str | None) -> None:
    path = tmp_path / f"a.{suffix}"
    image = Image.fromarray(np.full((40, 60), 5000, np.uint16)) if mode == "I;16" else picture(mode)
    image.save(path)
    facts = read_facts(path)
    assert facts.readable
    assert [(r.rule, r.action) for r in facts.remarks] == ([(rule, "kept")] if rule else [])
    pixels = trainer_reads(path)
    assert pixels.shape == (facts.height, facts.width, 3)
    if mode == "I;16":
        assert (pixels == 255).all()  # that is why it is remarkable


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_decides_the_displayed_size(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture().save(path, exif=exif)
    facts = read_facts(path)
    assert (facts.width, facts.height) == ((40, 60) if orientation >= 5 else (60, 40))
    assert [r.rule for r in facts.remarks] == ([] if orientation == 1 else ["exif-orientation"])
    assert trainer_reads(path).shape == (facts.height, facts.width, 3)


def test_boxes_are_taken_in_the_displayed_picture(write_set: Fixture, converted: Fixture, boxes_of: Fixture) -> None:
    root = write_set({"train/a": "0 0.5 0.25 0.2 0.5\n"})
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(size=(100, 50)).save(root / "train/images/a.jpg", exif=exif)
    conversion = converted(root)
    image = conversion.contents["train"]["images"][0]
    assert (image["width"], image["height"]) == (50, 100)
    assert boxes_of(conversion)[0][2] == [20.0, 0.0, 10.0, 50.0]


def truncated() -> bytes:
    content = io.BytesIO()
    picture(size=(200, 200)).save(content, "JPEG")
    return content.getvalue()[: len(content.getvalue()) // 2]


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "image-empty"),
        (b"<html>not found</html>", "image-unreadable"),
        (b"\xff\xd8\xff\xe0" + bytes(200), "image-unreadable"),
        (truncated(), "image-unreadable"),
    ],
)
def test_what_does_not_decode_fully_is_dropped(tmp_path: Path, content: bytes, rule: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    facts = read_facts(path)
    assert not facts.readable
    assert [(r.rule, r.action) for r in facts.remarks] == [(rule, "dropped")]


def test_a_missing_image_is_dropped(tmp_path: Path) -> None:
    assert [r.rule for r in read_facts(tmp_path / "no.jpg").remarks] == ["image-unreadable"]


def test_damaged_exif_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    picture().save(path, exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff" + bytes(20))
    assert (read_facts(path).width, read_facts(path).height) == (60, 40)


def test_a_bomb_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    picture().save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    assert [r.rule for r in read_facts(path).remarks] == ["image-unreadable"]


def test_an_animation_shows_its_first_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    picture().save(path, save_all=True, append_images=[picture("L").convert("RGB")])
    assert [r.rule for r in read_facts(path).remarks] == ["several-frames"]


def test_an_unreadable_image_costs_that_image(write_set: Fixture, converted: Fixture, told: Fixture) -> None:
    root = write_set({"train/a": "0 .5 .5 .5 .5", "train/b": "0 .5 .5 .5 .5"})
    (root / "train/images/a.jpg").write_bytes(truncated())
    conversion = converted(root)
    assert [(i["id"], i["file_name"]) for i in conversion.contents["train"]["images"]] == [(1, "train/images/b.jpg")]
    assert told(conversion.findings) == [("train/images/a.jpg", 0, "image-unreadable", "dropped")]


def test_several_processes_tell_the_same_in_the_same_order(tmp_path: Path) -> None:
    paths = []
    for i in range(301):  # from 300 on, processes are used
        paths.append(tmp_path / f"{i}.png")
        Image.new("L", (i + 1, 2)).save(paths[-1])
    assert list(read_all(paths, 2)) == list(read_all(paths, 1))


def test_no_process_is_a_fault() -> None:
    with pytest.raises(DataError, match="processes: expected 1 or more, got 0"):
        list(read_all([], 0))
