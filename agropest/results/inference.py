"""From replicates to what may be said: intervals, p values corrected for many comparisons, verdicts, ties.

Westfall and Young, Resampling-Based Multiple Testing (1993), algorithm 2.8 (step-down max-T).
Hsu, Multiple Comparisons (1996), chapter 4 (comparisons with the best).

Shapes: C comparisons, R resamples. Values in percent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

CONFIDENCE = 0.95
POWER = 0.80
Z_POWER = 0.8416212335729143  # normal quantile of POWER
BETTER, WORSE, INCONCLUSIVE = "better", "worse", "inconclusive"


@dataclass(frozen=True)
class Interval:
    """From ``low`` to ``high``."""

    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A value, and where it lies with 95 % confidence; None where there is no ground truth, or no resample to tell."""

    value: float | None
    interval: Interval | None


@dataclass(frozen=True)
class Difference:
    """A paired difference to the baseline.

    Attributes:
        value: positive: better than the baseline.
        interval: 95 %, of this comparison alone.
        p: two-sided, of this comparison alone.
        p_adjusted: corrected for all comparisons of the table (step-down max-T).
        verdict: ``BETTER`` or ``WORSE`` where ``p_adjusted`` is below 0.05, else ``INCONCLUSIVE``.
        detectable: the smallest true difference that this comparison would have called with 80 % probability.
    """

    value: float
    interval: Interval
    p: float
    p_adjusted: float
    verdict: str
    detectable: float


def interval(value: float, samples: Array) -> Interval | None:
    """Returns the 95 % percentile interval; None with fewer than 2 resamples that have a value."""
    known = samples[~np.isnan(samples)]
    if len(known) < 2:
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(float(low), float(high))


def estimate(value: float | None, samples: Array) -> Estimate:
    """Returns a value with its interval."""
    return Estimate(value, None if value is None else interval(value, samples))


def compare(values: Sequence[float], samples: Sequence[Array]) -> list[Difference]:
    """Returns the differences of one table, judged together.

    Args:
        values: differences on the images as they are, [C].
        samples: the same on every resample, [C, R].
    """
    if not values:
        return []
    observed, drawn = np.array(values), np.stack([np.asarray(row, dtype=np.float64) for row in samples])
    missing = np.isnan(drawn).any(axis=0)
    drawn = drawn[:, ~missing]
    noise = drawn - drawn.mean(axis=1, keepdims=True)
    spread = noise.std(axis=1, ddof=1)
    scale = np.where(spread > 0, spread, 1.0)
    t, null = np.abs(observed) / scale, np.abs(noise) / scale[:, None]
    p = _share_at_least(null, t)
    adjusted = _step_down(null, t)
    critical = float(np.quantile(null.max(axis=0), CONFIDENCE))
    return [
        Difference(
            value=float(observed[i]),
            interval=interval(observed[i], drawn[i]) or Interval(float(observed[i]), float(observed[i])),
            p=float(p[i]),
            p_adjusted=float(adjusted[i]),
            verdict=INCONCLUSIVE if adjusted[i] >= 1 - CONFIDENCE else BETTER if observed[i] > 0 else WORSE,
            detectable=float((critical + Z_POWER) * spread[i]),
        )
        for i in range(len(observed))
    ]


def _share_at_least(null: Array, t: Array) -> Array:
    """Returns the p value of each statistic under its own null replicates; identical detectors have 1."""
    share: Array = (1 + (null >= t[:, None]).sum(axis=1)) / (null.shape[1] + 1)
    return share


def _step_down(null: Array, t: Array) -> Array:
    """Returns the p values adjusted so that a false verdict anywhere in the table has at most 5 %."""
    order = np.argsort(-t, kind="stable")
    # Largest of this and all smaller statistics, resample by resample.
    largest = np.maximum.accumulate(null[order][::-1], axis=0)[::-1]
    adjusted = np.empty_like(t)
    adjusted[order] = np.maximum.accumulate(_share_at_least(largest, t[order]))
    return adjusted


def ties(behind: Sequence[float], samples: Sequence[Array]) -> list[bool]:
    """Returns which of several are not distinguishable from the one with the highest value (itself included).

    The true best is among them with 95 % probability, whichever it is.

    Args:
        behind: by how much each is below the highest, [C].
        samples: the same on every resample, [C, R].
    """
    if not behind:
        return []
    drawn = np.stack([np.asarray(row, dtype=np.float64) for row in samples])
    drawn = drawn[:, ~np.isnan(drawn).any(axis=0)]
    noise = drawn - drawn.mean(axis=1, keepdims=True)
    spread = noise.std(axis=1, ddof=1)
    scale = np.where(spread > 0, spread, 1.0)
    critical = float(np.quantile((noise / scale[:, None]).max(axis=0), CONFIDENCE))
    return [bool(spread[i] == 0 or behind[i] / scale[i] <= critical) for i in range(len(behind))]
