"""Early stopping by name: which of Ray Tune's schedulers a sweep's ``stop:`` means, and what it decides, on record."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from agropest.store.records import TrialState
from agropest.store.store import Store
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.sections.stop_rule import StopRule
from agropest.sweep.trial import TrialSpec
from agropest.tuning.stopping.rules import decision_of
from agropest.tuning.stopping.stopping_state import record_stop
from agropest.tuning.workers.trainable import ITERATION, flat_metrics


def build_scheduler(
    rule: StopRule,
    metric: str,
    max_iter: int,
    eval_period_iters: int,
    stopper: str,
    folders: Mapping[str, TrialFolder],
    history: Sequence[Past] = (),
    stays: Collection[str] = (),
) -> Any:
    """Returns a Tune scheduler for every method but those that ``agropest.tuning.stopping.lockstep`` decides.

    Args:
        rule: the sweep's.
        metric: a key of every report; higher is better.
        max_iter: the longest schedule among the trials.
        eval_period_iters: the shortest evaluation period: nothing can be decided earlier.
        stopper: the sweep, as it is on record where it stops a trial (``SweepSpec.stopper``).
        folders: by trial name: there it is written that a trial was stopped.
        history: what earlier launches evaluated, in that order: the scheduler decides as if it had run all the time.
        stays: names of trials that are never stopped: those of the baseline.
    """
    if not hasattr(decision_of(rule.method), "tune_scheduler"):
        return FIFOScheduler()
    inner = tune_scheduler(rule, metric, max_iter, eval_period_iters)
    recorded = Recorded(inner, folders, rule.method, stopper, stays)
    recorded.remember(history)
    return recorded


def tune_scheduler(rule: StopRule, metric: str, max_iter: int, eval_period_iters: int) -> TrialScheduler:
    """Returns Ray Tune's own scheduler for a rule that asks one trial after another; see :func:`build_scheduler`."""
    grace = rule.grace_iters(eval_period_iters, max_iter)
    common: dict[str, Any] = {"time_attr": ITERATION, "metric": metric, "mode": "max", "grace_period": grace}
    decision = decision_of(rule.method)
    assert decision is not None, rule.method
    scheduler: TrialScheduler = decision.tune_scheduler(rule, max_iter, common)
    return scheduler


def ask(scheduler: TrialScheduler, controller: Any, trial: Any, result: dict[str, Any]) -> str:
    """Gives a scheduler a result and returns its decision, so that it can get more results of a trial it would stop.

    The median rule refuses to hear of a trial again that it has stopped; here the trial may continue nevertheless: it
    is the baseline, or another sweep wanted its end.
    """
    decision: str = scheduler.on_trial_result(controller, trial, result)
    getattr(scheduler, "_stopped_trials", set()).discard(trial)
    return decision


@dataclass(frozen=True)
class Past:
    """An evaluation of an earlier launch.

    Attributes:
        trial: its name.
        result: as Tune got it.
        is_last: the trial was not seen to continue after it.
        ends: the result came when the trial had finished.
    """

    trial: str
    result: dict[str, Any]
    is_last: bool
    ends: bool


def read_history(trials: Sequence[TrialSpec], store: Store, metric: str) -> list[Past]:
    """Returns what the store holds, in the order in which it was evaluated."""
    dated = []
    for trial in trials:
        folder = store.folder(trial)
        status, records = folder.status(), folder.read_evaluations("valid")
        for record in records:
            ends = record.iteration >= trial.max_iter
            if not ends or status.status == TrialState.FINISHED:
                is_last = record is records[-1] and status.iteration <= record.iteration
                past = Past(trial.name, flat_metrics(record, metric), is_last, ends)
                dated.append((record.stored_at, record.iteration, past))
    return [past for *_, past in sorted(dated, key=lambda entry: entry[:2])]


@dataclass(eq=False)
class _Known:
    """What stands for a trial towards a scheduler: Ray's own trials are others in every launch.

    Attributes:
        seen: the last iteration of which the scheduler got a result.
    """

    trial_id: str
    seen: int = 0


class _Nobody:
    """Stands for Tune's controller before there is one: no trial is running."""

    def get_live_trials(self) -> list[Any]:
        """Returns none."""
        return []


_NOBODY: Any = _Nobody()


class Recorded(TrialScheduler):
    """A scheduler whose stops are written to the store, by the driver, the moment they are decided.

    A trial's process cannot tell being stopped from the end of the launch: both reach it as the end of its pipe. So the
    process saves a checkpoint and ends in either case, and only what is on record here counts as stopped.

    Args:
        inner: decides.
        folders: by trial name.
        method: is named in the reason.
        stopper: see :func:`build_scheduler`.
        stays: names of trials that count for the others and are never stopped.
    """

    def __init__(
        self,
        inner: TrialScheduler,
        folders: Mapping[str, TrialFolder],
        method: str,
        stopper: str,
        stays: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.inner, self.folders, self.method, self.stopper, self.stays = inner, folders, method, stopper, stays
        self._known: dict[str, Any] = {}

    def remember(self, history: Sequence[Past]) -> None:
        """Tells the inner scheduler what earlier launches evaluated, and records the stops that they did not live to.

        Whatever is decided of an evaluation after which the trial continued is not carried out: it has been decided.
        """
        for past in history:
            known = self._known_as(past.trial)
            known.seen = max(known.seen, past.result[ITERATION])
            if past.ends:
                self.inner.on_trial_complete(_NOBODY, known, past.result)
            elif self._ask(_NOBODY, past.trial, past.result) == TrialScheduler.STOP and past.is_last:
                self._record(past.trial, past.result)

    def _ask(self, controller: Any, name: str, result: dict[str, Any]) -> str:
        decision = ask(self.inner, controller, self._known_as(name), result)
        return TrialScheduler.CONTINUE if name in self.stays else decision

    def _known_as(self, name: str) -> Any:
        """Returns what the inner scheduler knows a trial as: the same in every launch."""
        if name not in self._known:
            self._known[name] = _Known(name)
            self.inner.on_trial_add(_NOBODY, self._known[name])
        return self._known[name]

    def _record(self, name: str, result: Mapping[str, Any]) -> None:
        iteration = int(result[ITERATION])
        reason = f"stopped early by {self.method} after iteration {iteration}"
        record_stop(self.folders[name], iteration, reason, self.stopper)

    @property
    def metric(self) -> Any:
        """The inner scheduler's."""
        return self.inner.metric

    def set_search_properties(self, metric: Any, mode: Any, **spec: Any) -> bool:
        """See Ray Tune's ``TrialScheduler``, as all below."""
        return self.inner.set_search_properties(metric, mode, **spec)

    def on_trial_add(self, controller: Any, trial: Any) -> None:
        self._known_as(trial.config["trial"])

    def on_trial_error(self, controller: Any, trial: Any) -> None:
        self.inner.on_trial_error(controller, self._known_as(trial.config["trial"]))

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Returns the inner scheduler's decision on what is new, and CONTINUE on a result that it got before."""
        known = self._known_as(trial.config["trial"])
        # A trial that continues tells again what it has stored; one that fails early ends with nothing to tell.
        if result.get(ITERATION, 0) <= known.seen:
            return TrialScheduler.CONTINUE
        known.seen = result[ITERATION]
        decision = self._ask(controller, trial.config["trial"], result)
        if decision == TrialScheduler.STOP:
            self._record(trial.config["trial"], result)
        return decision

    def on_trial_complete(self, controller: Any, trial: Any, result: dict[str, Any]) -> None:
        if ITERATION in result:
            self.inner.on_trial_complete(controller, self._known_as(trial.config["trial"]), result)

    def on_trial_remove(self, controller: Any, trial: Any) -> None:
        self.inner.on_trial_remove(controller, self._known_as(trial.config["trial"]))

    def choose_trial_to_run(self, controller: Any) -> Any:
        return self.inner.choose_trial_to_run(controller)

    def debug_string(self) -> str:
        return self.inner.debug_string()
