"""What ``asha`` decides: Ray Tune's asynchronous successive halving."""

from __future__ import annotations

from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from agropest.sweep.sections.stop_rule import StopRule


def tune_scheduler(rule: StopRule, max_iter: int, common: dict[str, Any]) -> TrialScheduler:
    """Returns Ray Tune's scheduler.

    Args:
        max_iter: the longest schedule among the trials.
        common: what all of Tune's schedulers are given.
    """
    # A scheduler ends trials that reach its max_t; ours end by themselves, after the test evaluation.
    return AsyncHyperBandScheduler(max_t=max_iter + 1, reduction_factor=rule.reduction_factor, **common)
