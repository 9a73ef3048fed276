"""How loader workers hand batches over: through shared memory, or through pipes where there is too little of it.

torch's workers put every tensor into ``/dev/shm``. A container has 64 MiB of that unless it is told otherwise, and a
worker that finds it full is killed by the kernel (SIGBUS) in the middle of the training.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agropest.sweep.trial import TrialSpec

PLACE = Path("/dev/shm")
# Of each worker: two batches wait, one is being written, one is being read.
BATCHES_OF_A_WORKER = 4


def free_bytes(place: Path = PLACE) -> int | None:
    """Returns the bytes that are free in shared memory, or None where the system has no such place."""
    try:
        found = os.statvfs(place)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def needed_bytes(batch_size: int, sides_px: tuple[int, int], num_workers: int) -> int:
    """Returns what the loader workers of one trial may put into shared memory at a time.

    Args:
        batch_size: images.
        sides_px: short and long side of the largest image at the network's input.
    """
    short, long = sides_px
    return num_workers * BATCHES_OF_A_WORKER * batch_size * 3 * short * long


def has_room(batch_size: int, sides_px: tuple[int, int], num_workers: int) -> bool:
    """Returns whether the batches fit into what is free; another trial may want as much, so twice that is asked for."""
    free = free_bytes()
    return free is None or 2 * needed_bytes(batch_size, sides_px, num_workers) <= free


def remark(trials: Sequence[TrialSpec]) -> str:
    """Returns what a launch should say where shared memory is too small for the loader workers; else nothing."""
    short = [trial for trial in trials if trial.resources.loader_workers and not _has_room_for(trial)]
    if not short:
        return ""
    free = (free_bytes() or 0) / 2**20
    return (
        f"{PLACE} has {free:.0f} MiB free, too little for the batches of the loader workers ({_few(short)}): they go "
        f"through pipes, which is slower; give a container more (docker run --shm-size=2g)"
    )


def _has_room_for(trial: TrialSpec) -> bool:
    config, count = trial.config, trial.resources
    sides = max(config["INPUT.MIN_SIZE_TRAIN"]), config["INPUT.MAX_SIZE_TRAIN"]
    return has_room(config["SOLVER.IMS_PER_BATCH"] // count.processes, sides, count.loader_workers)


def _few(trials: Sequence[TrialSpec]) -> str:
    names = list(dict.fromkeys(trial.label for trial in trials))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def packed(batch: Any) -> bytes:
    """Returns a batch as bytes, which go through the worker's pipe: tensors by value, none in shared memory."""
    return pickle.dumps(batch, pickle.HIGHEST_PROTOCOL)


def unpacked(content: bytes) -> Any:
    """Returns the batch of :func:`packed`."""
    return pickle.loads(content)
