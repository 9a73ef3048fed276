"""What ``median`` decides: Ray Tune's median rule."""

from __future__ import annotations

from typing import Any

from ray.tune.schedulers import MedianStoppingRule, TrialScheduler

from agropest.sweep.sections.stop_rule import StopRule


def tune_scheduler(rule: StopRule, max_iter: int, common: dict[str, Any]) -> TrialScheduler:
    """Returns Ray Tune's scheduler; see :func:`agropest.tuning.stopping.rules.asha.tune_scheduler`."""
    return MedianStoppingRule(min_samples_required=2, hard_stop=True, **common)
