"""``stop: asha``: asynchronous successive halving (Li et al. 2020); its options are ``HalvingOptions``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agropest.sweep.sections.stop_rule import StopRule
    from agropest.sweep.trial import TrialSpec


def expected_share(rule: StopRule, trial: TrialSpec) -> float:
    """At each rung 1 / reduction factor continues (Li et al. 2020, section 3)."""
    end, trained, alive, before = trial.max_iter, 0.0, 1.0, 0.0
    rung = float(rule.grace_iters(trial.eval_period_iters, end))
    while rung < end:
        trained += alive * (rung - before)
        alive, before, rung = alive / rule.reduction_factor, rung, rung * rule.reduction_factor
    return (trained + alive * (end - before)) / end


def assumption(rule: StopRule) -> str:
    """See :class:`agropest.sweep.stopping.Rule`."""
    return f"asha lets 1 in {rule.reduction_factor:g} continue at each rung"
