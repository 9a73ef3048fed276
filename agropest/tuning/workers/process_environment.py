"""What a process inherits from the one that starts it, for one that is forked from a server instead."""

from __future__ import annotations

import contextlib
import os
import resource
from dataclasses import dataclass
from pathlib import Path

OUT_OF_MEMORY_SCORE = Path("/proc/self/oom_score_adj")
# A process that loads torch itself (a second one of the same trial) gets the setting of how its threads wait.
DEFAULTS = {"OMP_WAIT_POLICY": "PASSIVE"}


@dataclass(frozen=True)
class ProcessEnvironment:
    """Of a Ray actor, for its trial.

    Attributes:
        environment: Ray sets in it which cards an actor sees.
        niceness: Ray's workers make way for the driver.
        out_of_memory_score: for the kernel, which ends Ray's workers first of all. Where only the actors had it
            they would be ended one after another in place of the trial that takes the memory.
        open_files: how many a process may have, soft limit; Ray raises it.
    """

    environment: dict[str, str]
    niceness: int
    out_of_memory_score: int
    open_files: int

    @staticmethod
    def of_this_process() -> ProcessEnvironment:
        """Returns this process's own."""
        score = 0
        with contextlib.suppress(OSError, ValueError):
            score = int(OUT_OF_MEMORY_SCORE.read_text())
        return ProcessEnvironment(
            environment={**DEFAULTS, **os.environ},
            niceness=os.getpriority(os.PRIO_PROCESS, 0),
            out_of_memory_score=score,
            open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        )

    def take_over(self) -> None:
        """Makes them this process's own, as far as it may: a server that began lower cannot go up again."""
        os.environ.clear()
        os.environ.update(self.environment)
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, self.niceness)
        with contextlib.suppress(OSError):
            OUT_OF_MEMORY_SCORE.write_text(str(self.out_of_memory_score))
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.open_files, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
