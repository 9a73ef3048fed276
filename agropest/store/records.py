"""What is stored of a trial, as values: its state, its evaluations, its heartbeat; and how they are read back.

A file that is damaged reads as missing: the work behind it is done again, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

from agropest.store.checksummed import read_checksummed

# The reason of a trial that is interrupted until it gets a larger share of a card.
OUT_OF_MEMORY = "out of GPU memory"
# The split name of the one validation with test-time augmentation, of the checkpoint that plain validation chose.
VALID_AUGMENTED = "valid_augmented"


class TrialState(StrEnum):
    """Where a trial is between its first iteration and its end; the value is what ``status.json`` holds."""

    NEW = "new"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def has_ended(self) -> bool:
        """Whether a launch leaves the trial as it is: finished, stopped early or failed."""
        return self.ended_well or self is TrialState.FAILED

    @property
    def ended_well(self) -> bool:
        """Whether the trial ended on purpose: finished, or stopped early."""
        return self in (TrialState.FINISHED, TrialState.STOPPED)


@dataclass(frozen=True)
class Status:
    """A trial's state, and how it got there.

    Attributes:
        status: the state; a string is converted.
        iteration: iterations trained.
        time_s: seconds of training and evaluation, over all attempts.
        reason: of a failure or an early stop.
        notes: what a person should know, e.g. which layers were initialised afresh, retries.
        gpu_share: of a card that the trial was raised to when it ran out of memory; 0: never.
        stopped_for: the sweeps, each with its rule, that have stopped the trial early (``SweepSpec.stopper``): for any
            other it has not ended.

    Raises:
        ValueError: ``status`` is not a state.
    """

    status: TrialState = TrialState.NEW
    iteration: int = 0
    time_s: float = 0.0
    reason: str = ""
    notes: tuple[str, ...] = ()
    gpu_share: float = 0.0
    stopped_for: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", TrialState(self.status))


@dataclass(frozen=True)
class EvaluationRecord:
    """One evaluation: ``metrics`` in percent under COCO's names (None where there is no ground truth).

    ``stored_at`` is in seconds since 1970: the order in which a sweep's trials were evaluated.
    """

    split: str
    iteration: int
    metrics: Mapping[str, float | None]
    num_boxes: int
    num_images: int
    time_s: float
    train_images_per_s: float = 0.0
    extra: Mapping[str, Any] = field(default_factory=dict)
    stored_at: float = 0.0

    @property
    def stem(self) -> str:
        """File name without its suffix."""
        return f"{self.split}-{self.iteration:08d}"


@dataclass(frozen=True)
class Heartbeat:
    """Where a running trial is, for those who watch; nothing is decided by it.

    Attributes:
        time: when it was written, seconds since 1970.
        images_per_s: trained lately.
        gpu_memory_gib: what the process has reserved on its cards; 0 without any.
    """

    iteration: int
    time: float
    images_per_s: float = 0.0
    gpu_memory_gib: float = 0.0


def read_status(path: Path) -> Status | None:
    """Returns the status a file holds, or None where it is missing or damaged."""
    content = read_checksummed(path)
    lists = {name: tuple((content or {}).get(name, ())) for name in ("notes", "stopped_for")}
    try:
        return Status(**{**content, **lists}) if content else None
    except (TypeError, ValueError):
        return None


@lru_cache(maxsize=30_000)  # some 100 MB
def read_evaluation(path: Path, *_state: int) -> tuple[EvaluationRecord | None, Any]:
    """Returns an evaluation, None where it is damaged, and what is known of its boxes.

    Evaluations are written once and read by everyone who looks at a sweep.

    Args:
        _state: of the file, which is read again when that has changed.
    """
    content = read_checksummed(path) or {}
    written = content.pop("boxes", None)
    try:
        return EvaluationRecord(**content), written
    except TypeError:
        return None, written
