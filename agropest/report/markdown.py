"""Markdown in which names of classes, variants and keys are shown as they are, whatever they contain."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence


def plain(text: str) -> str:
    """Returns text that Markdown shows as it is, on one line, also at its beginning and in a table."""
    escaped = re.sub(r"([\\`*_\[\]|~])", r"\\\1", html.escape(" ".join(text.split()), quote=False))
    return re.sub(r"^([#+-]|&gt;|\d+[.)])(?= )", r"\\\1", escaped)


def code(text: str) -> str:
    """Returns text as code that Markdown shows as it is, also in a table."""
    escaped = " ".join(text.split()).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", escaped)), default=0))
    return f"{fence} {escaped} {fence}" if "`" in escaped else f"`{escaped}`"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table of plain texts."""
    lines = ["| " + " | ".join(map(plain, headings)) + " |", "|" + "---|" * len(headings)]
    lines += ["| " + " | ".join(plain(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)
