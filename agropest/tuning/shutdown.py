"""Why a launch ends before its trials have: somebody asked, or the machine cannot continue."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agropest import exit_codes
from agropest.tuning.watch.progress import Progress

TERMINALS = ("/dev/pts/", "/dev/tty")
# Ctrl-C; docker, Kubernetes, systemd and SLURM; a terminal that is closed; SLURM's warning before the time is over.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
# Of them, what ``tune.run`` puts a handler of its own in the place of, each time.
TUNES_SIGNALS = frozenset({signal.SIGUSR1})


def leave_lost_terminal() -> None:
    """Sends what would be printed on a terminal that was closed to nowhere: writing there is an error."""
    for path in Path("/proc/self/fd").iterdir():
        descriptor = int(path.name)
        with contextlib.suppress(OSError):
            if str(path.readlink()).startswith(TERMINALS) and not os.isatty(descriptor):
                nowhere = os.open(os.devnull, os.O_RDWR)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)


class ShutdownRequest:
    """Set once, read by everyone who would otherwise continue.

    Args:
        progress: the console, where the request is said.

    Attributes:
        interrupted: by Ctrl-C or another signal of ``SIGNALS``.
        signal_number: of the first one; 0: none.
        problem: of the machine, as a fault; empty where there is none.
    """

    def __init__(self, progress: Progress) -> None:
        self.interrupted, self.problem, self.signal_number = False, "", 0
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
            by = f"{signal.Signals(self.signal_number).name}: " if self.signal_number not in (0, signal.SIGINT) else ""
            self._progress.say(f"{by}stopping: running trials save a checkpoint{again}")

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """The first Ctrl-C (or other signal of ``SIGNALS``) asks for the end; the second ends the process at once."""
        before = {number: signal.getsignal(number) for number in SIGNALS}
        self.listen()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def listen(self) -> None:
        """Takes the signals over, also again after ``ray.init``, which puts a handler of its own in SIGTERM's place.

        A hang-up that is ignored stays so: that is what ``nohup`` is for.
        """
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._handle)

    @contextlib.contextmanager
    def kept_from_tune(self) -> Iterator[None]:
        """Within, nothing takes SIGUSR1 over: ``tune.run`` would, each time, and end without a word of why.

        Blocking it until Tune has started does not help: another thread gets the signal, and this one its handler.
        SIGINT is left to us where ``TUNE_DISABLE_SIGINT_HANDLER`` says so.
        """
        put = signal.signal

        def put_another(number: int, handler: Any) -> Any:
            return signal.getsignal(number) if number in TUNES_SIGNALS else put(number, handler)

        signal.signal = put_another  # type: ignore[assignment]
        try:
            yield
        finally:
            signal.signal = put

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
                os._exit(exit_codes.of_signal(number))
        self.interrupted, self.signal_number = True, number
        if number == signal.SIGHUP:
            leave_lost_terminal()
        if self._raises:
            raise KeyboardInterrupt
