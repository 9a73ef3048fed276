"""What makes Ray's own pages read like the sweep: names of trials where Ray would show its workers' numbers.

Ray takes an actor's name once, at its creation, and an actor runs many trials one after another (a new one each time
would cost seconds, see docs/inside.md). So the Actors page names the trial that an actor began with, and says so; what
it runs now is its process title (Cluster page, ``ps``) and the prefix of its log lines; and the Logs page lists every
trial's own log under the trial's name.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

# Ray's log monitor takes this as the name of the actor whose lines follow.
ACTOR_NAME_MARK = ":actor_name:"


def named_trainable(trainable: Any) -> Any:
    """Returns a function trainable as a class whose actors are named after the first trial they run.

    Args:
        trainable: the function, with its parameters and resources.
    """
    from ray.tune.trainable import wrap_function

    class Trial(wrap_function(trainable)):  # type: ignore[misc]  # a class made at run time
        """Shown by Ray as the actor's class."""

        def __repr__(self) -> str:
            return f"{self.config['trial']} and what follows"

    Trial.__qualname__ = "Trial"  # Ray shows this one, and would show where it was defined
    return Trial


def show_trial(name: str) -> None:
    """Names this worker process after the trial that it runs now; Ray renames it at every report."""
    import ray

    ray._raylet.setproctitle(f"ray::{name}")  # type: ignore[attr-defined]


def announce_trial(name: str, log: Path) -> None:
    """Marks in this worker's log where a trial begins, and lists the trial's log on Ray's Logs page.

    Args:
        name: of the trial.
        log: the trial's log; need not exist yet.
    """
    import ray

    for stream in (sys.stdout, sys.stderr):
        print(f"{ACTOR_NAME_MARK}{name}", file=stream, flush=True)
    node = ray._private.worker.global_worker.node  # type: ignore[attr-defined]
    link = Path(node.get_logs_dir_path()) / f"trial-{name.replace('/', '-')}.log"
    with contextlib.suppress(OSError):  # it is for looking at only
        link.unlink(missing_ok=True)
        link.symlink_to(log)
