"""Why a launch ends before its trials have: somebody asked, or the machine cannot go on."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

from agropest.tuning.watch.progress import Progress


class ShutdownRequest:
    """Set once, read by everyone who would otherwise go on.

    Args:
        progress: the console, where the request is said.

    Attributes:
        interrupted: by Ctrl-C or SIGTERM.
        problem: of the machine, as a fault; empty where there is none.
    """

    def __init__(self, progress: Progress) -> None:
        self.interrupted, self.problem = False, ""
        self._progress, self._said, self._raises = progress, False, False

    def __bool__(self) -> bool:
        return self.interrupted or bool(self.problem)

    def cannot_continue(self, problem: str) -> None:
        """Asks for the end because of a fault that only a person can mend; the first one counts."""
        self.problem = self.problem or problem

    def say(self) -> None:
        """Says, once, that running trials are being ended; not in the signal's handler, which may be amid a print."""
        if self and not self._said:
            self._said = True
            again = " (again to stop at once)" if self.interrupted else ""
            self._progress.say(f"stopping: running trials save a checkpoint{again}")

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """The first Ctrl-C (or SIGTERM) asks for the end; the second ends the process at once."""
        before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def breaking_off(self) -> Iterator[None]:
        """What runs inside has nothing to save: a Ctrl-C breaks it off and leaves this block."""
        self._raises = True
        try:
            yield
        except KeyboardInterrupt:
            self.interrupted = True
        finally:
            self._raises = False

    def _handle(self, number: int, frame: object) -> None:
        if self.interrupted:
            try:
                self._progress.close()
            finally:
                os._exit(130)
        self.interrupted = True
        if self._raises:
            raise KeyboardInterrupt
