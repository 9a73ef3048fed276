"""The learning rate of every iteration, as a function of the iteration alone, and how far two of them are equal.

Detectron2 computes the warm-up from fractions of the training: ``(i / MAX_ITER) / (WARMUP_ITERS / MAX_ITER)``. That is
rounded otherwise for every ``MAX_ITER``, so that trainings of 25,000 and of 40,000 iterations differ in the last bit of
hundreds of rates although their warm-up is the same. Here it is ``i / WARMUP_ITERS``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

MULTI_STEP, COSINE = "WarmupMultiStepLR", "WarmupCosineLR"
# From here on Detectron2 takes every step of the schedule an iteration early (WHERE_EPSILON 1e-6 of fvcore).
EPSILON_COUNTS_FROM = 999_000
BLOCK = 1 << 16


@dataclass(frozen=True)
class RateSchedule:
    """A warm-up, then steps or a cosine.

    Attributes:
        steps: iterations at which the rate is multiplied by ``gamma``; empty for a cosine.
        end: share of the rate that a cosine ends at.
    """

    name: str
    max_iter: int
    warmup_iters: int
    warmup_factor: float
    warmup_method: str
    steps: tuple[int, ...] = ()
    gamma: float = 1.0
    end: float = 0.0

    def multiplier(self, iteration: int) -> float:
        """Returns what every learning rate is multiplied with in an iteration, counted from 0.

        1. s = i / warm-up; 2. warm-up: s x (rate at its end) + (1 - s) x factor; 3. afterwards the schedule's own.
        """
        return float(self.multipliers(iteration, iteration + 1)[0])

    def multipliers(self, start: int, stop: int) -> np.ndarray:
        """Returns the multipliers of the iterations [start, stop), float64 [stop - start]."""
        iterations = np.arange(start, stop)
        found = self._decayed(iterations)
        warm = int(np.searchsorted(iterations, self.warmup_iters))
        if warm:
            low = self.warmup_factor * float(self._decayed(np.array([0]))[0])
            high = float(self._decayed(np.array([self.warmup_iters]))[0])
            share = iterations[:warm] / self.warmup_iters
            found[:warm] = low if self.warmup_method == "constant" else high * share + low * (1 - share)
        return found

    def _decayed(self, iterations: np.ndarray) -> np.ndarray:
        if self.name == MULTI_STEP:
            values = np.array([self.gamma**k for k in range(len(self.steps) + 1)])
            taken: np.ndarray = values[np.searchsorted(self.steps, iterations, side="right")]
            return taken
        # The cosine of the C library, as Detectron2's: numpy's may differ in the last bit.
        turned = [math.cos(math.pi * (int(i) / self.max_iter)) for i in iterations]
        return self.end + 0.5 * (1.0 - self.end) * (1 + np.array(turned, dtype=np.float64))


def rate_schedule(config: Mapping[str, Any]) -> RateSchedule | None:
    """Returns a config's schedule, or None: a kind that Detectron2's own code has to compute."""
    name, end = config["SOLVER.LR_SCHEDULER_NAME"], int(config["SOLVER.MAX_ITER"])
    if name not in (MULTI_STEP, COSINE) or config.get("SOLVER.RESCALE_INTERVAL"):
        return None
    steps = tuple(int(step) for step in config["SOLVER.STEPS"] if step <= end)
    rate = float(config["SOLVER.BASE_LR"])
    return RateSchedule(
        name=name,
        max_iter=end,
        warmup_iters=min(int(config["SOLVER.WARMUP_ITERS"]), end),
        warmup_factor=float(config["SOLVER.WARMUP_FACTOR"]),
        warmup_method=str(config["SOLVER.WARMUP_METHOD"]),
        steps=steps if name == MULTI_STEP else (),
        gamma=float(config["SOLVER.GAMMA"]) if name == MULTI_STEP else 1.0,
        # GitHub main's key; Detectron2 0.6 ends every cosine at 0.
        end=float(config.get("SOLVER.BASE_LR_END", 0.0)) / rate if name == COSINE and rate else 0.0,
    )


@lru_cache(maxsize=4096)
def num_equal(one: RateSchedule, two: RateSchedule) -> int:
    """Returns for how many iterations, from the first on, two schedules are equal bit for bit."""
    end = min(one.max_iter, two.max_iter)
    if one == two:
        return end
    start = 0
    while start < end:
        stop = min(start + BLOCK, end)
        differ = np.nonzero(one.multipliers(start, stop) != two.multipliers(start, stop))[0]
        if len(differ):
            return start + int(differ[0])
        start = stop
    return end


@lru_cache(maxsize=4096)
def is_as_detectron2(schedule: RateSchedule) -> bool:
    """Returns whether Detectron2 computes the same rates, bit for bit, as a fraction of ``MAX_ITER``."""
    end, warm = schedule.max_iter, schedule.warmup_iters
    if end >= EPSILON_COUNTS_FROM:
        return False
    if schedule.warmup_method == "constant" or not warm:
        return True
    iterations, length = np.arange(warm), min(warm / end, 1.0)
    return bool(np.all(iterations / end / length == iterations / warm))
