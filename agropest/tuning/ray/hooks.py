"""What Tune calls back in the driver: to show progress, and to ask whether the sweep shall end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ray import tune

from agropest.tuning.shutdown import ShutdownRequest
from agropest.tuning.spending import Spending
from agropest.tuning.workers.trainable import ITERATION, PROBLEM, TAKEN_OVER


class _NotStored:
    """Tune pickles its callbacks into its own notes, which nothing here reads: the store is the truth."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class EndWhenAsked(_NotStored, tune.Stopper):
    """Ends the whole sweep once that is asked for, or the budget is spent.

    Args:
        end: is asked for by Ctrl-C, or here by a trial whose results no longer fit on the disk.
        spending: of this launch; counts every evaluation.
    """

    def __init__(self, end: ShutdownRequest, spending: Spending) -> None:
        self._end, self._spending = end, spending

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Returns whether the budget is spent: then this trial ends, too, where it has just been evaluated."""
        if problem := result.get(PROBLEM):
            self._end.cannot_continue(problem)
        elif ITERATION in result:  # a trial that fails before its first evaluation has none to report
            self._spending.note(result["config"]["trial"], result[ITERATION], TAKEN_OVER in result)
        return self._spending.is_over()

    def stop_all(self) -> bool:
        """Returns whether somebody asked or nothing is left to spend."""
        return bool(self._end) or self._spending.is_over()


class Refresh(_NotStored, tune.Callback):
    """Calls a function at every step of Tune's loop (about ten times a second).

    Args:
        refresh: must be quick.
    """

    def __init__(self, refresh: Callable[[], None]) -> None:
        self._refresh = refresh

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """See Ray Tune's ``Callback``."""
        self._refresh()


class NoteLoss(_NotStored, tune.Callback):
    """Calls a function with the name of each trial whose actor was lost (its node, as a rule) and that is run again.

    Args:
        note: writes it down.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """See Ray Tune's ``Callback``."""
        self._note(trial.config["trial"])


class Forgiving(_NotStored, tune.Callback):
    """Passes on what Tune calls until that fails once, each evaluation once; the sweep continues without it.

    A tracker's server that does not answer would otherwise end the sweep. A trial that continues, after an interruption
    or when it has made way for another, tells Tune again what it has stored; a tracker would draw that twice.

    Args:
        callback: of an experiment tracker.
        say: called when it fails.
        reported: trial name to the iteration of the last evaluation that earlier launches have reported.
    """

    def __init__(self, callback: tune.Callback, say: Callable[[str], None], reported: Mapping[str, int]) -> None:
        self._callback, self._say, self._failed = callback, say, False
        self._reported = dict(reported)

    def setup(self, *args: Any, **info: Any) -> None:
        """See Ray Tune's ``Callback``."""
        self._pass_on("setup", *args, **info)

    def on_trial_start(self, *args: Any, **info: Any) -> None:
        """See Ray Tune's ``Callback``."""
        self._pass_on("on_trial_start", *args, **info)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """See Ray Tune's ``Callback``."""
        if PROBLEM in result:
            return
        if ITERATION in result:  # a trial that fails before its first evaluation has none to report
            name = trial.config["trial"]
            if result[ITERATION] <= self._reported.get(name, 0):
                return
            self._reported[name] = result[ITERATION]
        self._pass_on("on_trial_result", iteration=iteration, trials=trials, trial=trial, result=result, **info)

    def on_trial_complete(self, *args: Any, **info: Any) -> None:
        """See Ray Tune's ``Callback``."""
        self._pass_on("on_trial_complete", *args, **info)

    def on_trial_error(self, *args: Any, **info: Any) -> None:
        """See Ray Tune's ``Callback``."""
        self._pass_on("on_trial_error", *args, **info)

    def on_experiment_end(self, *args: Any, **info: Any) -> None:
        """See Ray Tune's ``Callback``."""
        self._pass_on("on_experiment_end", *args, **info)

    def _pass_on(self, method: str, *args: Any, **info: Any) -> None:
        if self._failed:
            return
        try:
            getattr(self._callback, method)(*args, **info)
        except Exception as error:  # whatever it is, it is theirs: days of training do not end for it
            self._failed = True
            name = type(self._callback).__name__
            self._say(f"{name} failed and is left out from now on: {type(error).__name__}: {error}")
