"""What the rules of successive halving have in common: the share that continues, and the rungs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agropest.sweep.sections.section import Section


@dataclass(frozen=True)
class HalvingOptions:
    """Options of ``asha`` and ``hyperband``.

    Attributes:
        reduction_factor: 1/this of the trials continues at a rung.
    """

    reduction_factor: float = 2.0

    @staticmethod
    def read_halving(section: Section) -> dict[str, Any]:
        """Returns the options that a sweep file's ``stop:`` gives."""
        return {"reduction_factor": section.number("reduction_factor", 2.0, low=1.01, high=100.0)}


def most_rungs(num_evaluations: int, reduction_factor: float) -> int:
    """Returns the rungs before the end that HyperBand's most aggressive bracket has.

    Args:
        num_evaluations: of the trial that has most.
    """
    return int(math.log(num_evaluations) / math.log(reduction_factor) + 1e-9)


def rung_iteration(evaluation_iters: Sequence[int], share: float, grace_period_iters: int) -> int:
    """Returns the first evaluation at or past a share of the schedule, and not within the grace period.

    Args:
        evaluation_iters: ascending; the last is the end.
    """
    least = max(share * evaluation_iters[-1] - 1e-6, grace_period_iters)
    return next((t for t in evaluation_iters if t >= least), evaluation_iters[-1])
