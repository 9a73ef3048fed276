"""``stop: hyperband``: brackets of successive halving (Li et al. 2018); its options are ``HalvingOptions``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agropest.sweep.stopping.simulated import share_of_others, simulated_assumption

if TYPE_CHECKING:
    from agropest.sweep.sections.stop_rule import StopRule
    from agropest.sweep.trial import TrialSpec

SIMULATED = 0.42  # share of the iterations that it trains in the simulated sweeps


def expected_share(rule: StopRule, trial: TrialSpec) -> float:
    """As simulated."""
    return share_of_others(SIMULATED)


def assumption(rule: StopRule) -> str:
    """See :class:`agropest.sweep.stopping.Rule`."""
    return simulated_assumption(rule, SIMULATED)
