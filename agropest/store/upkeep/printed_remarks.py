"""Which remarks of the linter a sweep's launches have printed: results/<sweep>/remarks.json."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agropest import files

NAME = "remarks.json"


def read_printed(folder: Path) -> frozenset[str]:
    """Returns the texts that the last launch had to say; none where nothing readable is stored."""
    try:
        return frozenset(str(text) for text in files.read_json(folder / NAME))
    except (OSError, ValueError, TypeError):
        return frozenset()


def note_printed(folder: Path, texts: Sequence[str]) -> None:
    """Stores what this launch had to say."""
    files.write_json(folder / NAME, list(texts))
