"""Everybody who watches a sweep, behind one call: the console, Ray's metrics, and files rewritten meanwhile."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from agropest.analysis.progress import TrialProgress
from agropest.store.records import TrialState
from agropest.tuning.watch.progress import Progress

logger = logging.getLogger(__name__)

# Of the driver's time goes into one kind of file: the page of a thousand trials takes a second to write.
MOST_OF_THE_TIME = 0.05

Onlooker = Callable[[Sequence[TrialProgress]], None]


class Watch:
    """Refreshes the console and the other onlookers. One that fails is left out from then on; the sweep continues.

    Args:
        progress: the console.
        onlookers: are given the trials' progress at every refresh; must be quick.
    """

    def __init__(self, progress: Progress, onlookers: Sequence[Onlooker] = ()) -> None:
        self.progress = progress
        self._onlookers = list(onlookers)

    def refresh(self) -> None:
        """Shows what has changed, at most once a second."""
        if self.progress.refresh():
            self.tell()

    def tell(self) -> None:
        """Tells the onlookers how the trials stand."""
        for onlooker in list(self._onlookers):
            try:
                onlooker(self.progress.trial_progress)
            except Exception as error:  # a full disk or a bug in what is only looked at must not end days of training
                self._onlookers.remove(onlooker)
                self.progress.say(f"no longer updated: {onlooker}: {type(error).__name__}: {error}")
                logger.debug("an onlooker failed", exc_info=True)


class Rewritten:
    """An onlooker that writes files in a thread of its own, at most every ``period_s``, and only what has changed.

    Args:
        what: how it is named when it fails.
        write: writes the files; takes as long as it takes.
        period_s: seconds from the end of one writing to the start of the next; longer where writing takes long.
    """

    def __init__(self, what: str, write: Callable[[], object], period_s: float) -> None:
        self._what, self._write, self._period_s = what, write, period_s
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        self._next = 0.0
        self._written: list[tuple[TrialState, int | None]] | None = None

    def __str__(self) -> str:
        return self._what

    def __call__(self, trial_progress: Sequence[TrialProgress]) -> None:
        """Starts a writing when one is due.

        Raises:
            Exception: the last one failed.
        """
        if self._thread is not None and self._thread.is_alive():
            return
        if self._error is not None:
            raise self._error
        known = [(one.status, one.value_iteration) for one in trial_progress]
        if time.monotonic() < self._next or known == self._written:
            return
        self._written = known
        self._thread = threading.Thread(target=self._run, name=self._what, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Waits for a writing that is under way."""
        if self._thread is not None:
            self._thread.join()

    def finish(self) -> str:
        """Writes once more, now that the trials have ended.

        Returns:
            What a person must know where it cannot be written; nothing else depends on it. Empty where it was.
        """
        self.wait()
        try:
            self._write()
        except Exception as error:  # as in Watch.tell
            return f"not written: {self}: {type(error).__name__}: {error}"
        return ""

    def _run(self) -> None:
        started = time.monotonic()
        try:
            self._write()
        except Exception as error:  # told in the driver's thread, see __call__
            self._error = error
        took = time.monotonic() - started
        self._next = time.monotonic() + max(self._period_s, took / MOST_OF_THE_TIME)
