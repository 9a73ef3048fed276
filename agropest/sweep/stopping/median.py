"""``stop: median``: the median rule (Golovin et al. 2017); it has no options of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agropest.sweep.sections.stop_rule import StopRule
    from agropest.sweep.trial import TrialSpec

STOPPED = 0.5  # share of trials that the rule is taken to stop, each at the first evaluation it may be stopped at


def expected_share(rule: StopRule, trial: TrialSpec) -> float:
    """Half the trials are stopped at the first evaluation at which they may be."""
    grace = rule.grace_iters(trial.eval_period_iters, trial.max_iter)
    return (STOPPED * grace + (1 - STOPPED) * trial.max_iter) / trial.max_iter


def assumption(rule: StopRule) -> str:
    """See :class:`agropest.sweep.stopping.Rule`."""
    return "the median rule stops half the trials as soon as it may"
