"""One ``launch.py`` that runs, and all processes that come from it."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MARK = "AGROPEST_FAULTS_RUN"
# What takes longer hangs: an interrupted trial ends within 60 s, on a busy machine later.
END_LIMIT_S = 600.0


@dataclass
class Launch:
    """A launch; its processes carry the mark in their environment."""

    process: subprocess.Popen[bytes]
    mark: str
    log: Path

    def is_running(self) -> bool:
        return self.process.poll() is None

    def wait(self, end: float = math.inf) -> int | None:
        """Returns the exit code, None when it does not end within the limit, or by a time of the monotonic clock."""
        try:
            return self.process.wait(min(END_LIMIT_S, max(0.0, end - time.monotonic())))
        except subprocess.TimeoutExpired:
            return None

    def left_over(self) -> list[int]:
        """Returns the processes of this launch that are alive, once they have had the time to end."""
        limit = time.monotonic() + END_LIMIT_S
        while (alive := list(marked(self.mark))) and time.monotonic() < limit:
            time.sleep(0.3)
        return alive

    def end_hard(self) -> None:
        for pid in marked(self.mark):
            kill(pid)


def marked(mark: str) -> Iterator[int]:
    """Yields the live processes that have the mark in their environment."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and f"{MARK}={mark}".encode() in (entry / "environ").read_bytes():
                yield int(entry.name)
        except OSError:
            continue


def kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return False
    return True
