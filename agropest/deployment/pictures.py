"""The pictures a person names: files, folders, globs; each with a name for what is written of it."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agropest.errors import DataError, fault

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class NamedPicture:
    """A picture, and what it is called in results: unique, relative, without ``..``."""

    path: Path
    name: Path


def find_pictures(words: Sequence[str], but: Path) -> list[NamedPicture]:
    """Returns the pictures that are meant, in the order they are given, those of a folder by name.

    Args:
        words: files, folders (searched with their subfolders) and globs.
        but: a folder whose pictures are left out: the results of an earlier prediction.

    Raises:
        DataError: a word names nothing, or a folder holds no picture.
    """
    found: dict[Path, Path] = {}
    faults = []
    for word in words:
        its = [(path, name) for path, name in _of_word(word) if not path.resolve().is_relative_to(but.resolve())]
        if not its:
            rule = f"expected pictures ({', '.join(SUFFIXES)}), a folder of them, or a glob"
            faults.append(fault("PICTURES", rule, word, "it matches no picture; correct the path"))
        for path, name in its:
            found.setdefault(path.resolve(), name)
    if faults:
        raise DataError(*faults)
    taken: set[Path] = set()
    pictures = []
    for path, name in found.items():
        name = _free_name(name, taken)
        taken.add(name.with_suffix(""))
        pictures.append(NamedPicture(path, name))
    return pictures


def _of_word(word: str) -> list[tuple[Path, Path]]:
    path = Path(word)
    if path.is_dir():
        inside = sorted(one for one in path.rglob("*") if one.suffix.lower() in SUFFIXES and one.is_file())
        return [(one, one.relative_to(path)) for one in inside]
    if path.is_file():  # whatever its suffix: the person has named it
        return [(path, Path(path.name))]
    matches = sorted(Path(one) for one in glob.glob(word, recursive=True))  # noqa: PTH207  # absolute globs, too
    return [(one, Path(one.name)) for one in matches if one.is_file() and one.suffix.lower() in SUFFIXES]


def _free_name(name: Path, taken: set[Path]) -> Path:
    """Returns the name, or one with a number where another picture's results would have the same."""
    number, free = 2, name
    while free.with_suffix("") in taken:
        free = name.with_stem(f"{name.stem}-{number}")
        number += 1
    return free
