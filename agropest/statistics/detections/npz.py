"""Arrays in a ``.npz``: equal arrays give equal bytes, and what was damaged since is not read.

numpy's own reader leaves a member before its end, where zipfile would compare the CRC-32, so that a flipped bit of the
numbers passes; its ``savez`` stamps the time into the archive. Neither happens here.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

# What zipfile and numpy throw at an archive whose directory, headers or content are not as they were written.
_OF_DAMAGE = (OSError, ValueError, KeyError, EOFError, RuntimeError, NotImplementedError, SyntaxError, TypeError)


class DamagedArrays(Exception):
    """A file of arrays is missing, or not as it was written."""


def write_npz(file: IO[bytes], arrays: Mapping[str, npt.NDArray[Any]], compressed: bool = True) -> None:
    """Writes arrays into an open file."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)


def read_npz(path: Path, names: Sequence[str]) -> list[npt.NDArray[Any]]:
    """Returns the named arrays of a file, each read to its end and compared with its CRC-32.

    Raises:
        DamagedArrays: says why they cannot be had.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [io.BytesIO(archive.read(f"{name}.npy")) for name in names]
        return [np.lib.format.read_array(member, allow_pickle=False) for member in members]
    except (*_OF_DAMAGE, zipfile.BadZipFile, zlib.error) as error:
        raise DamagedArrays(f"{type(error).__name__}: {error}") from None
