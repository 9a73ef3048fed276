"""Arrays on the disk: what comes back is what was written, or nothing does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agropest.statistics.detections.npz import DamagedArrays, read_npz, write_npz

ARRAYS = {"one": np.arange(40, dtype=np.float32).reshape(4, 10), "two": np.array([3, 5], dtype=np.int64)}


def write(path: Path, compressed: bool) -> bytes:
    with open(path, "wb") as file:
        write_npz(file, ARRAYS, compressed)
    return path.read_bytes()


@pytest.mark.parametrize("compressed", [True, False])
def test_arrays_come_back_and_equal_ones_give_equal_bytes(tmp_path: Path, compressed: bool) -> None:
    assert write(tmp_path / "a.npz", compressed) == write(tmp_path / "b.npz", compressed)
    for found, expected in zip(read_npz(tmp_path / "a.npz", list(ARRAYS)), ARRAYS.values(), strict=True):
        assert found.dtype == expected.dtype and np.array_equal(found, expected)
    with np.load(tmp_path / "a.npz") as content:  # numpy reads it, too
        assert np.array_equal(content["one"], ARRAYS["one"])


@pytest.mark.parametrize("compressed", [True, False])
def test_every_flipped_bit_is_noticed_or_changes_nothing(tmp_path: Path, compressed: bool) -> None:
    content = write(tmp_path / "a.npz", compressed)
    noticed = 0
    for byte in range(len(content)):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[byte] ^= 1 << bit
            (tmp_path / "b.npz").write_bytes(flipped)
            try:
                found = read_npz(tmp_path / "b.npz", list(ARRAYS))
            except DamagedArrays:
                noticed += 1
                continue
            same = zip(found, ARRAYS.values(), strict=True)
            assert all(a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b) for a, b in same), (byte, bit)
    assert noticed > len(content)  # most of its bits matter


def test_a_missing_or_foreign_file_says_why(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    for name in ("missing.npz", "text.npz"):
        with pytest.raises(DamagedArrays):
            read_npz(tmp_path / name, ["one"])
