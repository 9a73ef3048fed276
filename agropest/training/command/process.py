"""The process of a command: it ends when it is told to, when we end, and never runs twice for one trial."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from agropest import exit_codes, files

# After SIGTERM it has this long to save what it needs.
GRACE_S = 30.0
# Of a start that was lost with its trial's process, less is needed: its own end of file told it long ago.
LEFTOVER_GRACE_S = 5.0
POLL_S = 0.05
RUNNING = "command.json"
# The kernel sends SIGTERM to the command when the process that started it is gone, however it ended. The word before
# last names who started it, for the case that it was gone before the kernel was told.
STARTER = (
    "import ctypes, os, signal, sys\n"
    "ctypes.CDLL(None).prctl(1, signal.SIGTERM)\n"
    f"if os.getppid() != int(sys.argv[1]): sys.exit({exit_codes.TRY_AGAIN})\n"
    "os.execvp(sys.argv[2], sys.argv[2:])\n"
)


class CommandProcess:
    """A running command, in a process group of its own.

    Args:
        words: the program's path and its arguments.
        environment: everything it sees.
        working_folder: where it starts.
        trial_folder: holds a note of the process while it runs.
        log: stdout and stderr go there.
    """

    def __init__(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        working_folder: Path,
        trial_folder: Path,
        log: Path,
    ) -> None:
        self._note = trial_folder / RUNNING
        end_leftover(self._note)
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", STARTER, str(os.getpid()), *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=working_folder,
                env=dict(environment),
                start_new_session=True,
            )
        its = {"pid": self._process.pid, "started": _started(self._process.pid), "host": socket.gethostname()}
        files.write_json(self._note, its)

    def exit_code(self) -> int | None:
        """Returns the exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def end(self) -> None:
        """Ends it, and whatever it has started: SIGTERM, and SIGKILL after ``GRACE_S`` seconds."""
        if self._process.poll() is None:
            _signal_group(self._process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE_S)
        _signal_group(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._note.unlink(missing_ok=True)


def end_leftover(note: Path) -> None:
    """Ends the command of a start whose own process was lost, where it still runs on this machine."""
    try:
        kept = files.read_json(note)
        pid, started = int(kept["pid"]), kept["started"]
        if kept["host"] != socket.gethostname():
            return
    except (OSError, ValueError, KeyError, TypeError):
        return
    limit = time.monotonic() + LEFTOVER_GRACE_S
    with contextlib.suppress(OSError):
        while _started(pid) == started and started:
            _signal_group(pid, signal.SIGTERM if time.monotonic() < limit else signal.SIGKILL)
            time.sleep(POLL_S)
    note.unlink(missing_ok=True)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _started(pid: int) -> str:
    """Returns when a process was started, in the kernel's ticks; empty where there is none, or it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]
