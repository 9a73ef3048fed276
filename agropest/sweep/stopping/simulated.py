"""The expected share of a rule that was simulated (benchmarks/bench_stopping.py, docs/stopping.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agropest.sweep.sections.stop_rule import StopRule

SIMULATED_VARIANTS = 8  # of a simulated sweep, the baseline among them, which goes to its end


def share_of_others(simulated: float) -> float:
    """Returns the share of its iterations that a variant other than the baseline trained.

    Args:
        simulated: share of the iterations that all variants trained.
    """
    return (simulated * SIMULATED_VARIANTS - 1) / (SIMULATED_VARIANTS - 1)


def simulated_assumption(rule: StopRule, simulated: float) -> str:
    """Returns what the forecast assumes, in words."""
    which = "every variant but the baseline" if rule.keep_baseline else "every variant"
    share = share_of_others(simulated)
    return f"{rule.method} trains {share:.0%} of {which}, as in the simulation of docs/stopping.md"
