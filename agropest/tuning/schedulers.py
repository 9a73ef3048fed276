"""Early stopping by name: which of Ray Tune's schedulers a sweep's ``stop:`` means, and what it decides, on record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from agropest.results.store import TrialFolder
from agropest.sweep.stop_rule import ASHA, MEDIAN, StopRule
from agropest.tuning.standings import record_stop
from agropest.tuning.trainable import ITERATION


def build_scheduler(
    rule: StopRule, metric: str, max_iter: int, eval_period_iters: int, folders: Mapping[str, TrialFolder]
) -> Any:
    """Returns a Tune scheduler for every method but those that ``agropest.tuning.lockstep`` decides.

    Args:
        rule: the sweep's.
        metric: a key of every report; higher is better.
        max_iter: the longest schedule among the trials.
        eval_period_iters: the shortest evaluation period: nothing can be decided earlier.
        folders: by trial name: there it is written that a trial was stopped.
    """
    if rule.method not in (ASHA, MEDIAN):
        return FIFOScheduler()
    return Recorded(tune_scheduler(rule, metric, max_iter, eval_period_iters), folders, rule.method)


def tune_scheduler(rule: StopRule, metric: str, max_iter: int, eval_period_iters: int) -> TrialScheduler:
    """Returns Ray Tune's own ASHA or median rule; see :func:`build_scheduler`."""
    grace = min(rule.grace_period_iters or max(eval_period_iters, max_iter // 4), max_iter)
    common: dict[str, Any] = {"time_attr": ITERATION, "metric": metric, "mode": "max", "grace_period": grace}
    if rule.method == ASHA:
        # A scheduler ends trials that reach its max_t; ours end by themselves, after the test evaluation.
        return AsyncHyperBandScheduler(max_t=max_iter + 1, reduction_factor=rule.reduction_factor, **common)
    return MedianStoppingRule(min_samples_required=2, hard_stop=True, **common)


class Recorded(TrialScheduler):
    """A scheduler whose stops are written to the store, by the driver, the moment they are decided.

    A trial's process cannot tell being stopped from the end of the launch: both reach it as the end of its pipe. So the
    process saves a checkpoint and ends in either case, and only what is on record here counts as stopped.

    Args:
        inner: decides.
        folders: by trial name.
        method: is named in the reason.
    """

    def __init__(self, inner: TrialScheduler, folders: Mapping[str, TrialFolder], method: str) -> None:
        super().__init__()
        self.inner, self.folders, self.method = inner, folders, method

    @property
    def metric(self) -> Any:
        """The inner scheduler's."""
        return self.inner.metric

    def set_search_properties(self, metric: Any, mode: Any, **spec: Any) -> bool:
        """See Ray Tune's ``TrialScheduler``, as all below."""
        return self.inner.set_search_properties(metric, mode, **spec)

    def on_trial_add(self, controller: Any, trial: Any) -> None:
        self.inner.on_trial_add(controller, trial)

    def on_trial_error(self, controller: Any, trial: Any) -> None:
        self.inner.on_trial_error(controller, trial)

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        decision = self.inner.on_trial_result(controller, trial, result)
        if decision == TrialScheduler.STOP:
            iteration = int(result[ITERATION])
            reason = f"stopped early by {self.method} after iteration {iteration}"
            record_stop(self.folders[trial.config["trial"]], iteration, reason)
        return decision

    def on_trial_complete(self, controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self.inner.on_trial_complete(controller, trial, result)

    def on_trial_remove(self, controller: Any, trial: Any) -> None:
        self.inner.on_trial_remove(controller, trial)

    def choose_trial_to_run(self, controller: Any) -> Any:
        return self.inner.choose_trial_to_run(controller)

    def debug_string(self) -> str:
        return self.inner.debug_string()
