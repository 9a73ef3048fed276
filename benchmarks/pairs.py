"""Paired repetitions: the two sides take turns, and what is told is the ratio of each pair."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Returns how long a call takes, by its wall time or another clock."""
    started = clock()
    work()
    return clock() - started


def tell(what: str, peer: Sequence[float], ours: Sequence[float], unit: str = "s") -> float:
    """Prints both sides and the ratios peer / ours of the pairs; returns their median."""
    ratios = [p / o for p, o in zip(peer, ours, strict=True)]
    print(
        f"{what}: stock min {min(peer):.3f} median {statistics.median(peer):.3f} {unit}; "
        f"ours min {min(ours):.3f} median {statistics.median(ours):.3f} {unit}; "
        f"ratio of {len(ratios)} pairs: min {min(ratios):.2f} median {statistics.median(ratios):.2f}; "
        f"of the minima {min(peer) / min(ours):.2f}",
        flush=True,
    )
    return statistics.median(ratios)


def machine_line() -> str:
    """Returns what the figures were taken on."""
    load = os.getloadavg()[0]
    return f"{len(os.sched_getaffinity(0))} cores, load average {load:.1f} at the start (other work makes noise)"
