"""The history of a population's member: the segments that its weights were trained in, and how it is stored.

In stored files (``trial.json``, ``sweep.json``, ``search.json``) and in signatures a history stands under ``legs`` and
``leg_end``. These keys stay as they are: signatures are hashes of them, and earlier results folders are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

HISTORY_KEY, SEGMENT_END_KEY = "legs", "leg_end"


@dataclass(frozen=True)
class Segment:
    """A part of a training with settings of its own.

    Attributes:
        end: the iteration it ends at.
        settings: Detectron2 keys with the values they had in it.
    """

    end: int
    settings: Mapping[str, Any]


def stored_history(history: Sequence[Segment], segment_end: int) -> dict[str, Any]:
    """Returns what a trial's stored content holds of its history."""
    return {HISTORY_KEY: [asdict(segment) for segment in history], SEGMENT_END_KEY: segment_end}


def read_history(content: Mapping[str, Any]) -> tuple[Segment, ...]:
    """Returns the history in stored content; empty where it holds none."""
    return tuple(Segment(**segment) for segment in content.get(HISTORY_KEY, ()))
