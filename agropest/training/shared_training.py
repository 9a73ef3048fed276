"""One training that several trials need: each takes over what others have trained, and trains the rest.

A trial goes from one of its evaluations to the next. Where a trial that shares the training has a checkpoint there, the
trial takes it over; else it trains, and no other trains the same stage meanwhile: a lock says who does, and is free
again the moment that process is gone. Nothing else is agreed upon, so it does not matter which of the trials is started
first, whether one is stopped early, or in which launch.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from typing import Protocol

from agropest.store.lock import held_if_free
from agropest.store.sharing.shared_work import STAGES, SharedWork, Sharing, Taken
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.stages.tree import Stage
from agropest.sweep.trial import TrialSpec
from agropest.training import checkpoints
from agropest.training.evaluation import Interrupted

logger = logging.getLogger(__name__)

WAIT_S = 0.2


class Trains(Protocol):
    """What a trial does itself."""

    def train_until(self, start: int, end: int) -> None:
        """Trains from iteration ``start`` to ``end``, with its evaluations."""

    def take(self, step: Taken, is_last: bool) -> None:
        """Takes over one step; after the last one the training stands at its iteration."""


class SharedTraining:
    """What a trial and others train together, seen from that trial.

    Args:
        folder: the trial's, claimed by this process.
        sharing: with whom.
        metric: an evaluation that lacks it is made again.
        should_stop: asked while another one trains.
    """

    def __init__(
        self, trial: TrialSpec, folder: TrialFolder, sharing: Sharing, metric: str, should_stop: Callable[[], bool]
    ) -> None:
        self.trial, self.folder, self.sharing, self.should_stop = trial, folder, sharing, should_stop
        self.work = SharedWork(trial, sharing, metric)
        self._marks = {iteration for sharer in sharing.sharers for iteration in sharer.wanted}

    def decays(self) -> list[float]:
        """Returns the decays of the averages that others will evaluate."""
        wanted = {s.decay for s in self.sharing.sharers if s.decay is not None and s.wanted and not s.has_ended}
        return sorted({*wanted, *self.sharing.decays})

    def is_wanted(self, iteration: int) -> bool:
        """Returns whether somebody else needs the weights of an iteration."""
        return iteration in self._marks and bool(self.sharing.still_needed([iteration]))

    def still_needed(self) -> set[int]:
        """Returns the iterations of this trial's checkpoints that others have still to take over."""
        return self.sharing.still_needed(self._marks.intersection(checkpoints.iterations(self.folder.checkpoints)))

    def bring_to_end(self, start: int, its: Trains) -> None:
        """Brings the trial from iteration ``start`` to its end.

        Raises:
            Interrupted: ``should_stop`` said so.
        """
        now = start
        for stage in self.sharing.stages or (Stage("", start, self.trial.max_iter, (self.trial.signature,)),):
            while now < stage.end:
                now = self._go_on(stage, now, its)

    def _go_on(self, stage: Stage, now: int, its: Trains) -> int:
        """Takes over, trains, or waits; returns the iteration that the trial is at then."""
        if steps := self.work.done_by_others(now, stage.end):
            return self._take(steps, its)
        with self._turn(stage) as is_held:
            if is_held and (steps := self.work.done_by_others(now, stage.end)):  # just now
                return self._take(steps, its)
            if is_held:
                its.train_until(now, stage.end)
                return stage.end
        if self.should_stop():
            raise Interrupted
        time.sleep(WAIT_S)
        return now

    def _turn(self, stage: Stage) -> contextlib.AbstractContextManager[bool]:
        if not stage.is_shared:
            return contextlib.nullcontext(True)
        return held_if_free(self.folder.path.parent.parent / STAGES / f"{stage.name}.lock")

    def _take(self, steps: list[Taken], its: Trains) -> int:
        for step in steps:
            its.take(step, step is steps[-1])
        logger.info("taken over from others: everything up to iteration %d", steps[-1].iteration)
        return steps[-1].iteration
