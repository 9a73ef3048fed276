"""The shared cache of decoded images: the same pixels, bit for bit, and nothing that can go wrong with a file does."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import agropest.training  # noqa: F401
from agropest.training.input.image_cache import ImageCache, limit, open_cache
from agropest.training.input.mapper import ImageReader, read_image

SIZES = [(40, 60), (60, 40), (33, 7), (64, 64)]


@pytest.fixture
def records(tmp_path: Path) -> list[dict[str, Any]]:
    generator = np.random.default_rng(0)
    found = []
    for number, (height, width) in enumerate(SIZES):
        name = tmp_path / f"{number}.jpg"
        PIL.Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(name)
        found.append({"file_name": str(name), "image_id": number + 1, "height": height, "width": width})
    return found


@pytest.mark.parametrize("image_format", ["BGR", "RGB", "L", "YUV-BT.601"])
def test_pixels_are_those_that_are_decoded(records: list[dict[str, Any]], tmp_path: Path, image_format: str) -> None:
    for _ in range(2):  # filling it, then from it
        cache = open_cache(tmp_path / "c", "a", records, image_format)
        reader = ImageReader(records, image_format, cache=cache)
        for record in records:
            expected = read_image(record, image_format)
            found = reader.read(record)
            assert found.dtype == expected.dtype
            assert np.array_equal(found, expected)
            assert not found.flags.writeable
    if image_format != "YUV-BT.601":  # its pixels are not bytes
        for record in records:
            Path(record["file_name"]).unlink()
        again = ImageReader(records, image_format, cache=open_cache(tmp_path / "c", "a", records, image_format))
        assert [again.read(record).shape[:2] for record in records] == SIZES


def test_what_one_process_decodes_another_reads(records: list[dict[str, Any]], tmp_path: Path) -> None:
    cache = open_cache(tmp_path / "c", "a", records, "BGR")
    assert cache is not None
    assert cache.get(records[0]["file_name"]) is None
    process = multiprocessing.get_context("fork").Process(
        target=ImageReader(records, "BGR", cache=cache).read, args=(records[0],)
    )
    process.start()
    process.join()
    found = cache.get(records[0]["file_name"])
    assert found is not None
    assert np.array_equal(found, read_image(records[0], "BGR"))
    assert cache.get(records[1]["file_name"]) is None


def test_other_content_is_another_file(records: list[dict[str, Any]], tmp_path: Path) -> None:
    caches = [
        open_cache(tmp_path / "c", "a", records, "BGR"),
        open_cache(tmp_path / "c", "b", records, "BGR"),
        open_cache(tmp_path / "c", "a", records, "RGB"),
        open_cache(tmp_path / "c", "a", records[:3], "BGR"),
    ]
    assert len({cache.path for cache in caches if cache is not None}) == 4


def test_one_that_does_not_fit_or_cannot_be_written_is_not_made(records: list[dict[str, Any]], tmp_path: Path) -> None:
    assert open_cache(tmp_path / "c", "a", records, "BGR", limit_bytes=100) is None
    assert list((tmp_path / "c").glob("*.raw")) == []
    (tmp_path / "file").write_text("")
    assert open_cache(tmp_path / "file", "a", records, "BGR") is None
    assert limit(tmp_path) > 0


def test_a_file_of_another_boot_or_cut_short_is_made_anew(records: list[dict[str, Any]], tmp_path: Path) -> None:
    cache = open_cache(tmp_path / "c", "a", records, "BGR")
    assert cache is not None
    ImageReader(records, "BGR", cache=cache).read(records[0])
    host = cache.path.stem.split("-")[-2]
    old = cache.path.with_name(f"0123456789abcdef-{host}-00000000.raw")
    old.write_bytes(b"1")
    cache.path.write_bytes(b"1")
    again = open_cache(tmp_path / "c", "a", records, "BGR")
    assert again is not None
    assert again.get(records[0]["file_name"]) is None
    assert not old.exists()


def test_an_image_of_another_size_than_the_data_set_says_is_left_out(
    records: list[dict[str, Any]], tmp_path: Path
) -> None:
    cache = open_cache(tmp_path / "c", "a", records, "BGR")
    assert cache is not None
    cache.put(records[0]["file_name"], np.zeros((5, 5, 3), dtype=np.uint8))
    cache.put("nowhere.jpg", np.zeros((40, 60, 3), dtype=np.uint8))
    assert cache.get(records[0]["file_name"]) is None


def test_a_cache_of_older_data_is_removed_when_that_of_the_new_is_made(
    records: list[dict[str, Any]], tmp_path: Path
) -> None:
    def opened(name: str, place: str) -> ImageCache:
        cache = open_cache(tmp_path / "c", name, records, "BGR", place=place)
        assert cache is not None
        return cache

    old, valid = opened("fingerprint1 train", "images train"), opened("fingerprint1 valid", "images valid")
    ImageReader(records, "BGR", cache=old).read(records[0])
    new = opened("fingerprint2 train", "images train")
    assert set((tmp_path / "c").glob("*.raw")) == {new.path, valid.path}
    assert old.get(records[0]["file_name"]) is not None  # who still reads it keeps it
    assert opened("fingerprint2 train", "images train").path == new.path
    assert valid.path.is_file()
