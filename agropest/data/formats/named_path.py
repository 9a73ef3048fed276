"""What a path in somebody's file means inside the data set.

Exports carry paths of the machine that wrote them (``C:\\set\\images\\a.jpg``, ``/content/x``), point beside the set
(``../train/images``), or have other capitals. What is not found as it stands is looked for by its last parts in the
data set's own folder; a part that names the split is never dropped.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PureWindowsPath

from agropest import files
from agropest.data.formats.folder import FoundFile, inside, nfc
from agropest.data.formats.split_words import split_of


def path_parts(text: str) -> list[str]:
    """Returns the names in a path, written for whichever system: no drive, no root, no ``.`` and ``..``."""
    parts = PureWindowsPath(text.replace("\\", "/")).parts
    return [part for part in parts if part not in ("..", ".") and not part.endswith(("/", "\\"))]


def folded(text: str) -> str:
    """Returns a name as it is compared where neither capitals nor the Unicode form count."""
    return nfc(text).casefold()


def real_folder(root: Path, parts: Iterable[str]) -> Path | None:
    """Returns the folder of these names below ``root``, capitals ignored where no folder has just them."""
    place = root
    for part in parts:
        if files.is_folder(place / part):
            place = place / part
        else:
            found = _folders_named(place, part)
            if len(found) != 1:
                return None
            place = found[0]
    return place if place != root and inside(root, place) else None


def _folders_named(place: Path, name: str) -> list[Path]:
    try:
        return [path for path in place.iterdir() if folded(path.name) == folded(name) and path.is_dir()]
    except OSError:
        return []


def as_it_stands(text: str, bases: Sequence[Path], root: Path) -> Path | None:
    """Returns the folder or file that a path means as written, relative to one of ``bases``; None where it is none."""
    for base in bases:
        for way in dict.fromkeys((text, text.replace("\\", "/"))):
            path = Path(os.path.normpath(base / way))
            is_below = path != root and path.is_relative_to(root) and inside(root, path)
            if is_below and (files.is_folder(path) or files.is_file(path)):
                return path
    return None


def tails(parts: Sequence[str]) -> Iterator[list[str]]:
    """Yields ever shorter ends of a path, the whole one first; none without the part that names the split."""
    split_parts = [number for number, part in enumerate(parts) if split_of(part)]
    last = split_parts[-1] if split_parts else len(parts) - 1
    for start in range(last + 1):
        yield list(parts[start:])


class FilesByName:
    """Files of the data set, found by the last parts of somebody's paths."""

    def __init__(self, found: Iterable[FoundFile]) -> None:
        self._by_parts: dict[tuple[str, ...], FoundFile] = {}
        self._by_name: dict[str, list[FoundFile]] = defaultdict(list)
        self._by_stem: dict[str, list[FoundFile]] = defaultdict(list)
        for file in found:
            parts = tuple(map(folded, file.name.split("/")))
            self._by_parts[parts] = file
            self._by_name[parts[-1]].append(file)
            self._by_stem[_stem(parts[-1])].append(file)

    def at(self, place: Sequence[str], parts: Sequence[str]) -> FoundFile | None:
        """Returns the file of these parts in the folder ``place`` (parts below the root)."""
        return self._by_parts.get(tuple(map(folded, [*place, *parts])))

    def by_last_parts(self, parts: Sequence[str], split: str) -> list[FoundFile]:
        """Returns the files that agree with a path in the most last parts; several: the path is ambiguous.

        Where no file has the path's name, those count that have it with another suffix.

        Args:
            parts: of the path.
            split: whose file it is; what lies in another split's folder is not meant, unless the path says so.
        """
        wanted = [folded(part) for part in parts]
        named_split = next((found for found in map(split_of, reversed(parts[:-1])) if found), split)
        candidates = []
        named = (self._by_name.get(wanted[-1]) or self._by_stem.get(_stem(wanted[-1]), [])) if wanted else []
        for file in named:
            folders = file.name.split("/")[:-1]
            place = next((found for found in map(split_of, reversed(folders)) if found), None)
            if place in (None, named_split):
                own = [folded(part) for part in file.name.split("/")]
                same = next(
                    (n for n, (a, b) in enumerate(zip(reversed(own), reversed(wanted), strict=False)) if a != b),
                    min(len(own), len(wanted)),
                )
                candidates.append((same, place == named_split, file))
        best = max((key[:2] for key in candidates), default=None)
        return [file for same, own_split, file in candidates if (same, own_split) == best]


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name
