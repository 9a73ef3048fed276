"""Names of variants, factors and classes in little room: broken into lines behind the marks between their words."""

from __future__ import annotations

import re
from collections.abc import Iterator

# What a line may end with: the marks that names are put together with, and a space.
PIECE = re.compile(r"[^\s_+=×-]*[\s_+=×-]*")


def pieces(name: str) -> list[str]:
    """Returns what a name is put together from; joined again, they are the name."""
    return [piece for piece in PIECE.findall(name) if piece]


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
        yield from (piece[start : start + width] for start in range(0, len(piece), width))
