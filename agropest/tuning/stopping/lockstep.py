"""Early stopping that looks at all variants at once: race and HyperBand, on what the store holds.

Whoever is ahead makes way for whoever waits and is behind, so that the variants are compared at equal iterations as
early as possible; where no trial waits, none is held up. The decision itself is a pure function of the stored
evaluations (``agropest.statistics.race.racing``): after the driver was killed, the next launch reads the store and is
where it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from agropest.statistics.race.entrant import Stop
from agropest.sweep.trial import TrialSpec
from agropest.tuning.stopping.stopping_state import StoppingState
from agropest.tuning.workers.trainable import ITERATION


class Lockstep(TrialScheduler):
    """Runs the trials in step, and stops those that are out.

    Args:
        trials: that this launch runs.
        stopping: of the whole sweep; decides.
    """

    def __init__(self, trials: Sequence[TrialSpec], stopping: StoppingState) -> None:
        super().__init__()
        self.trials = {trial.name: trial for trial in trials}
        self.stopping = stopping
        # A trial that continues tells its stored evaluations once more: it does not make way for the same one again.
        self._reported = {name: stopping.reached(name) for name in self.trials}
        self._ended: set[str] = set()

    def on_trial_add(self, controller: Any, trial: Trial) -> None:
        """See Ray Tune's ``TrialScheduler``, as all below.

        Where a node was lost Ray tells of the trial's error first, and then adds it again.
        """
        self._ended.discard(_name(trial))

    def on_trial_error(self, controller: Any, trial: Trial) -> None:
        self._end(controller, trial)

    def on_trial_complete(self, controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        self._end(controller, trial)

    def on_trial_remove(self, controller: Any, trial: Trial) -> None:
        self._end(controller, trial)

    def on_trial_result(self, controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Returns STOP for a trial that is out, NOOP for one that was paused for a trial behind it, else CONTINUE."""
        name, iteration = _name(trial), int(result[ITERATION])
        spec = self.trials[name]
        self.stopping.note(spec)
        out = self._decide(controller)
        if spec.label in out:
            self.stopping.record(name, iteration, out[spec.label])
            return TrialScheduler.STOP
        is_new = iteration > self._reported[name]
        self._reported[name] = max(iteration, self._reported[name])
        if is_new and iteration < spec.max_iter and self._somebody_is_behind(controller, iteration):
            controller.pause_trial(trial, should_checkpoint=False)  # the store has the checkpoint
            return TrialScheduler.NOOP
        return TrialScheduler.CONTINUE

    def choose_trial_to_run(self, controller: Any) -> Trial | None:
        """Returns the waiting trial that is farthest behind; None where none waits."""
        waiting = [trial for trial in controller.get_trials() if trial.status in (Trial.PENDING, Trial.PAUSED)]
        return min(waiting, key=lambda trial: self._reported[_name(trial)], default=None)

    def debug_string(self) -> str:
        return "lockstep"

    def _end(self, controller: Any, trial: Trial) -> None:
        if _name(trial) not in self._ended:
            self._ended.add(_name(trial))
            self.stopping.note(self.trials[_name(trial)])
            self._decide(controller)  # one that failed is no longer waited for

    def _decide(self, controller: Any) -> Mapping[str, Stop]:
        """Returns who is out, and ends those of them that do not run just now; the others end when they report."""
        out = self.stopping.decide()
        for other in controller.get_trials():
            label = self.trials[_name(other)].label
            if label in out and other.status in (Trial.PENDING, Trial.PAUSED) and _name(other) not in self._ended:
                self._ended.add(_name(other))
                self.stopping.record(_name(other), self._reported[_name(other)], out[label])
                controller.stop_trial(other)
        return out

    def _somebody_is_behind(self, controller: Any, iteration: int) -> bool:
        running = {_name(trial) for trial in controller.get_trials() if trial.status == Trial.RUNNING}
        return any(
            reported < iteration
            for name, reported in self._reported.items()
            if name not in running and name not in self._ended
        )


def _name(trial: Trial) -> str:
    return str(trial.config["trial"])
