"""What a launch has spent of its budget."""

from __future__ import annotations

import time
from collections.abc import Mapping

from agropest.sweep.budget import Budget


class Spending:
    """Counts iterations and hours of one launch.

    Args:
        budget: the sweep file's.
        before: trial name to the iterations that were trained before this launch.

    Attributes:
        ended_launch: the limit that was reached, in words; empty while none is.
    """

    def __init__(self, budget: Budget, before: Mapping[str, int]) -> None:
        self.budget, self._before = budget, before
        self.ended_launch = ""
        self._reached: dict[str, int] = {}
        self._started = time.monotonic()

    def note(self, trial: str, iteration: int) -> None:
        """Counts a trial's evaluation."""
        self._reached[trial] = max(iteration, self._reached.get(trial, 0))

    @property
    def iterations(self) -> int:
        """Iterations trained by this launch, as far as they were evaluated."""
        return sum(max(0, last - self._before.get(name, 0)) for name, last in self._reached.items())

    def is_over(self) -> bool:
        """Returns whether a limit is reached, and remembers which: from then on ``ended_launch`` names it."""
        hours = (time.monotonic() - self._started) / 3600
        self.ended_launch = self.ended_launch or self.budget.over(hours, self.iterations)
        return bool(self.ended_launch)
