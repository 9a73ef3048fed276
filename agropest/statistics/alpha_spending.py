"""Which level a look has, where results are looked at several times while seeds are added.

Of the 5 %, so much is spent up to a look as the information there asks for (Lan and DeMets, Biometrika 1983): the
variance that the difference will have with the most seeds, divided by the variance it has now. What the images do to
all trainings of a variant alike is the same at every look. Where that is most of the error, all looks see nearly the
same, and even the first has nearly the whole level. What averages out over trainings, which is what a seed does and
what these images happen to show of a single training, is new at every look: where it is most of the error, the first
looks are strict. The share that is spent is the third power of the information (Kim and DeMets, Biometrika 1987), close
to O'Brien and Fleming's design: early looks cost the last one next to nothing.

The difference times its information is a Brownian motion: means of the first n of some trainings have the covariance of
independent increments (Jennison and Turnbull, Group Sequential Methods, 2000, chapters 3 and 19).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

Array = npt.NDArray[np.float64]

ALPHA = 0.05
POWER = 3.0
# A look that adds less information than this is taken to be the one before: it sees the same.
LEAST_STEP = 0.02
POINTS = 201  # of the density's grid
STEPS = 34  # of the bisection


@dataclass(frozen=True)
class Looks:
    """When the results are looked at.

    Attributes:
        seeds: with how many seeds, ascending; empty: once, at the end.
    """

    seeds: tuple[int, ...] = ()

    def level(self, error: float, averages_out: float, seeds: Sequence[int]) -> float:
        """Returns the level at which a difference is judged now.

        Args:
            error: its standard error.
            averages_out: the part of its square that more seeds take away.
            seeds: that either side has.
        """
        if not self.seeds or not seeds or error <= 0:
            return ALPHA
        return level_of_look(self._informations(error, averages_out, seeds, max(seeds)))

    def level_at_end(self, error: float, averages_out: float, seeds: Sequence[int]) -> float:
        """Returns the level at which the same difference would be judged with the most seeds."""
        if not self.seeds or not seeds or error <= 0:
            return ALPHA
        return level_of_look(self._informations(error, averages_out, seeds, self.seeds[-1]))

    def growth(self, seeds: Sequence[int]) -> float:
        """Returns by how many times the degrees of freedom of what seeds do will have grown with the most seeds."""
        return (self.seeds[-1] - 1) / max(min(seeds) - 1, 1) if self.seeds and seeds else 1.0

    def _informations(self, error: float, averages_out: float, seeds: Sequence[int], until: int) -> list[float]:
        """Returns the information of a difference at every look so far, 1 being that with the most seeds."""
        now = sum(1 / number for number in seeds)
        stays = max(error**2 - averages_out, 0.0)
        final = stays + averages_out * len(seeds) / self.seeds[-1] / now
        found = []
        for look in [number for number in self.seeds if number < until] + [until]:
            sides = [min(number, look) if look <= max(seeds) else look for number in seeds]
            found.append(min(final / (stays + averages_out * sum(1 / side for side in sides) / now), 1.0))
        return found


def level_of_look(looks: Sequence[float]) -> float:
    """Returns the two-sided level of the last of some looks, given the information at each, ascending, at most 1."""
    kept = [round(looks[-1], 3)]
    for one in reversed(looks[:-1]):
        if kept[0] - one >= LEAST_STEP:
            kept.insert(0, round(one, 3))
    return _levels(tuple(kept))[-1]


@lru_cache(maxsize=4096)
def _levels(looks: tuple[float, ...]) -> tuple[float, ...]:
    """Returns the levels of all looks, each crossed by as much as is to be spent there."""
    if not looks[:-1]:
        return (ALPHA * looks[0] ** POWER,)
    before = _levels(looks[:-1])
    grid, density = _inside(looks[:-1], before)
    step = sqrt(looks[-1] - looks[-2])
    wanted = ALPHA * (looks[-1] ** POWER - looks[-2] ** POWER)
    low, high = 0.0, 10.0 * sqrt(looks[-1])
    for _ in range(STEPS):
        bound = (low + high) / 2
        crossed = float(density @ (ndtr((grid - bound) / step) + ndtr((-grid - bound) / step)))
        low, high = (bound, high) if crossed > wanted else (low, bound)
    return (*before, float(2 * ndtr(-high / sqrt(looks[-1]))))


@lru_cache(maxsize=4096)
def _inside(looks: tuple[float, ...], levels: tuple[float, ...]) -> tuple[Array, Array]:
    """Returns a grid of the Brownian motion at the last look and the probability at each point, none crossed so far."""
    bound = float(-ndtri(levels[-1] / 2)) * sqrt(looks[-1])
    grid = np.linspace(-bound, bound, POINTS)
    width = np.full(POINTS, grid[1] - grid[0])
    width[[0, -1]] /= 2  # the trapezoidal rule
    if not looks[:-1]:
        return grid, np.exp(-(grid**2) / looks[0] / 2) / sqrt(2 * np.pi * looks[0]) * width
    before, weights = _inside(looks[:-1], levels[:-1])
    variance = looks[-1] - looks[-2]
    moved = np.exp(-((grid[:, None] - before) ** 2) / variance / 2) / sqrt(2 * np.pi * variance)
    return grid, (moved @ weights) * width


NO_LOOKS = Looks()
