"""``stop:``: how trials that cannot win are ended early.

stop: asha                                    # or none, median
stop: {method: asha, reduction_factor: 2, grace_period_iters: 5000}
"""

from __future__ import annotations

from dataclasses import dataclass

from agropest.sweep.section import Section

NONE, ASHA, MEDIAN = "none", "asha", "median"
STOP_METHODS = (NONE, ASHA, MEDIAN)


@dataclass(frozen=True)
class StopRule:
    """How hopeless trials are stopped early.

    Attributes:
        method: one of ``STOP_METHODS``; ``none`` runs every trial to its end.
        grace_period_iters: no trial is stopped before this iteration; 0 means a quarter of the longest schedule.
        reduction_factor: of ASHA: 1/this of the trials goes on at a rung.
    """

    method: str = NONE
    grace_period_iters: int = 0
    reduction_factor: float = 2.0


def read_stop(top: Section) -> StopRule:
    """Returns the rule of a sweep file's ``stop:``, a method's name or keys."""
    value = top.raw("stop")
    section = Section({"method": value} if isinstance(value, str) else value, top.where + " stop", top.faults)
    rule = StopRule(
        method=section.choice("method", STOP_METHODS, NONE),
        grace_period_iters=section.integer("grace_period_iters", 0),
        reduction_factor=section.number("reduction_factor", 2.0, low=1.01, high=100.0),
    )
    section.refuse_unknown()
    return rule
