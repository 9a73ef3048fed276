"""When a sweep's folder was launched into, and how each launch ended: results/<sweep>/launches.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from agropest import files

NAME = "launches.json"
MOST = 200  # launches that are kept, the latest


@dataclass(frozen=True)
class PastLaunch:
    """One launch.

    Attributes:
        launched: when, in ISO 8601, UTC.
        version: of this package.
        trials: of the sweep at that time.
        ended: how it ended, in words; empty: it runs, or was killed.
    """

    launched: str
    version: str
    trials: int
    ended: str = ""


def read_launches(folder: Path) -> list[PastLaunch]:
    """Returns the launches, the first one first; none where nothing readable is stored."""
    try:
        return [PastLaunch(**one) for one in files.read_json(folder / NAME)]
    except (OSError, ValueError, TypeError):
        return []


def note_launch(folder: Path, launch: PastLaunch) -> None:
    """Adds a launch that begins."""
    _write(folder, [*read_launches(folder), launch])


def note_end(folder: Path, ended: str) -> None:
    """Says how the last launch ended."""
    known = read_launches(folder)
    if known:
        _write(folder, [*known[:-1], replace(known[-1], ended=ended)])


def _write(folder: Path, launches: Sequence[PastLaunch]) -> None:
    files.write_json(folder / NAME, [asdict(one) for one in launches[-MOST:]])
