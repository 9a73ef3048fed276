"""What a launch has spent of its budget."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from agropest.sweep.sections.budget import Budget
from agropest.sweep.trial import TrialSpec


class Spending:
    """Counts trials, iterations and hours of one launch, over all its rounds.

    Args:
        budget: the sweep file's.

    Attributes:
        ended_launch: the limit that ended the running trials, in words; empty while none has.
        iterations: trained by this launch, as far as they were evaluated.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.ended_launch = ""
        self.iterations = 0
        self._num_trials = 0
        self._left_trials_out = False
        self._before: dict[str, int] = {}
        self._reached: dict[str, int] = {}
        self._started = time.monotonic()

    def admit(self, pending: Sequence[TrialSpec]) -> list[TrialSpec]:
        """Returns those of the trials that the launch may run, the first ones, and counts them."""
        most = self.budget.max_trials - self._num_trials if self.budget.max_trials else len(pending)
        self._num_trials += min(most, len(pending))
        self._left_trials_out |= most < len(pending)
        return list(pending[:most])

    def begin(self, before: Mapping[str, int]) -> None:
        """Notes how many iterations trials had been trained before."""
        self._before |= {name: iteration for name, iteration in before.items() if name not in self._before}

    def note(self, trial: str, iteration: int, is_taken_over: bool = False) -> None:
        """Counts a trial's evaluation.

        Args:
            is_taken_over: whether another trial has trained these iterations, for which they are counted.
        """
        before = self._reached.get(trial, self._before.get(trial, 0))
        if iteration > before:
            self._reached[trial] = iteration
            self.iterations += 0 if is_taken_over else iteration - before

    @property
    def spent(self) -> str:
        """The limit that left something out, in words; empty where none did."""
        return self.ended_launch or (f"max_trials {self.budget.max_trials}" if self._left_trials_out else "")

    def is_over(self) -> bool:
        """Returns whether a limit is reached, and remembers which: from then on ``ended_launch`` names it."""
        hours = (time.monotonic() - self._started) / 3600
        self.ended_launch = self.ended_launch or self.budget.over(hours, self.iterations)
        return bool(self.ended_launch)
