"""Names of variants, factors and classes in little room: broken into lines behind the marks between their words."""

from __future__ import annotations

import re
from collections.abc import Iterator

MARKS = r"[_+=×-]"  # that names are put together with


def pieces(name: str) -> list[str]:
    """Returns the parts between which a name may be broken, apart from its spaces; joined again, they are the name."""
    return re.split(rf"(?<={MARKS})(?!{MARKS}|\s|$)", name)


def broken(name: str, width: int) -> list[str]:
    """Returns the name in lines of at most ``width`` letters; a piece that is longer by itself is cut."""
    lines = [""]
    for piece in _cut(name, width):
        if lines[-1] and len(lines[-1] + piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def shortened(name: str, width: int) -> str:
    """Returns the name with its middle left out where it is longer than ``width``: names differ at either end."""
    if len(name) <= width:
        return name
    end = (width - 1) // 2
    return f"{name[: width - 1 - end]}…{name[len(name) - end :]}"


def _cut(name: str, width: int) -> Iterator[str]:
    for piece in pieces(name):
        for word in re.findall(r"\S+\s*|\s+", piece):
            yield from (word[start : start + width] for start in range(0, len(word), width))
