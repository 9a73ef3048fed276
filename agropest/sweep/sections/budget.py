"""``budget:``: what one launch may spend; what it leaves out, the next launch continues with.

budget: {max_trials: 8, max_hours: 6, max_iterations: 100000}
"""

from __future__ import annotations

from dataclasses import dataclass

from agropest.sweep.sections.section import Section


@dataclass(frozen=True)
class Budget:
    """Limits of one launch; 0 is no limit.

    Attributes:
        max_trials: trials that this launch starts or continues with.
        max_hours: wall time, from the start of the first trial.
        max_iterations: trained by this launch, over all trials, as counted at their evaluations.
    """

    max_trials: int = 0
    max_hours: float = 0.0
    max_iterations: int = 0

    def over(self, hours: float, iterations: int) -> str:
        """Returns which limit is reached, in words, or nothing."""
        if 0 < self.max_hours <= hours:
            return f"max_hours {self.max_hours:g}"
        if 0 < self.max_iterations <= iterations:
            return f"max_iterations {self.max_iterations}"
        return ""


def read_budget(section: Section) -> Budget:
    """Returns the budget of a sweep file."""
    budget = Budget(
        max_trials=section.integer("max_trials", 0),
        max_hours=section.number("max_hours", 0.0),
        max_iterations=section.integer("max_iterations", 0, high=10**12),
    )
    section.refuse_unknown()
    return budget
