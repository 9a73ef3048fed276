"""Early stopping by name: which of Ray Tune's schedulers a sweep's ``stop:`` means."""

from __future__ import annotations

from typing import Any

from agropest.sweep.spec import StopRule
from agropest.tuning.trainable import ITERATION


def build_scheduler(rule: StopRule, metric: str, max_iter: int, eval_period_iters: int) -> Any:
    """Returns a Tune scheduler.

    Args:
        rule: the sweep's.
        metric: a key of every report; higher is better.
        max_iter: the longest schedule among the trials.
        eval_period_iters: the shortest evaluation period: nothing can be decided earlier.
    """
    from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule

    grace = min(rule.grace_period_iters or max(eval_period_iters, max_iter // 4), max_iter)
    common: dict[str, Any] = {"time_attr": ITERATION, "metric": metric, "mode": "max", "grace_period": grace}
    if rule.method == "asha":
        # A scheduler ends trials that reach its max_t; ours end by themselves, after the test evaluation.
        return AsyncHyperBandScheduler(max_t=max_iter + 1, reduction_factor=rule.reduction_factor, **common)
    if rule.method == "median":
        return MedianStoppingRule(min_samples_required=2, hard_stop=True, **common)
    return FIFOScheduler()  # type: ignore[no-untyped-call]
