"""What a variant does to the classes that a sweep guards: whether one pays for the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agropest.statistics.inference import Estimate
from agropest.sweep.sections.guard import Guard

HELD, UNCLEAR, DROPPED, BROKEN = "held", "unclear", "dropped, not established", "broken"
NO_GROUND_TRUTH = "n/a: no ground truth"


@dataclass(frozen=True)
class GuardResult:
    """How a class fares under a variant.

    Attributes:
        difference: of the class's AP to the baseline's, with its interval.
        state: where it dropped by more than ``max_drop``, ``BROKEN`` if its interval lies below 0, else ``DROPPED``;
            where it did not, ``UNCLEAR`` if its interval reaches that far or there is none, else ``HELD``. Where
            validation has nothing of the class to find, ``NO_GROUND_TRUTH``. An interval of checkpoints, which says
            nothing of other seeds, establishes neither ``BROKEN`` nor ``HELD``.
    """

    class_name: str
    max_drop: float
    difference: Estimate
    state: str


def check_guard(guard: Guard, per_class: Mapping[str, Estimate], knows_seeds: bool = True) -> GuardResult:
    """Returns how a guard's class fares.

    Args:
        per_class: class to the difference of its AP to the baseline's.
        knows_seeds: whether the intervals say what another seed would do.
    """
    difference = per_class.get(guard.class_name, Estimate(None, None))
    value, interval = difference.value, difference.interval if knows_seeds else None
    if value is None:
        state = NO_GROUND_TRUTH
    elif value < -guard.max_drop:
        state = BROKEN if interval is not None and interval.high < 0 else DROPPED
    else:
        state = HELD if interval is not None and interval.low >= -guard.max_drop else UNCLEAR
    return GuardResult(guard.class_name, guard.max_drop, difference, state)
