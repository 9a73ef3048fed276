"""A text file that lists a split's images, one a line, as darknet, Ultralytics and CVAT write it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from agropest.data.formats.folder import FoundFile, plain
from agropest.data.formats.labels import read_lines
from agropest.data.formats.named_path import FilesByName, path_parts
from agropest.data.health import DROPPED, KEPT, Finding


def read_image_list(
    file: Path, split: str, root: Path, base: Path | None, images: FilesByName, findings: list[Finding]
) -> Iterator[FoundFile]:
    """Yields the images that a list names, each once.

    Paths are relative to the list, to data.yaml's ``path`` or to the data set's folder; what is not there is looked for
    by its last parts (see :mod:`agropest.data.formats.named_path`).

    Args:
        images: all images of the data set.
    """
    name = file.relative_to(root).as_posix()
    bases = [place.relative_to(root).parts for place in (file.parent, base, root) if place is not None]
    seen: dict[str, int] = {}
    for number, line in read_lines(file.read_bytes()):
        found = _at(line, bases, images)
        if found is None:
            several = images.by_last_parts(path_parts(line), split)
            found = several[0] if len(several) == 1 else None
            detail = f"{line}: {several[0].name} or {several[1].name}" if len(several) > 1 else line
            rule = "image-ambiguous" if len(several) > 1 else "image-missing"
            if found is None:
                findings.append(Finding(split, name, number, rule, DROPPED, plain(detail)[:300]))
                continue
            repaired = plain(f"{line}: {found.name} is read")[:300]
            findings.append(Finding(split, name, number, "path-repaired", KEPT, repaired))
        if found.name in seen:
            detail = f"{found.name} stands in line {seen[found.name]} already"
            findings.append(Finding(split, name, number, "image-twice", KEPT, detail))
            continue
        seen[found.name] = number
        yield found


def _at(line: str, bases: list[tuple[str, ...]], images: FilesByName) -> FoundFile | None:
    text = line.replace("\\", "/")
    if text.startswith("/"):
        return None
    for base in bases:
        parts = os.path.normpath("/".join((*base, text))).split("/")
        found = images.at((), parts)
        if found is not None:
            return found
    return None
