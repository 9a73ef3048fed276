"""The end of a launch whose Ray has gone while the main thread waits for it in C++ code, from which nothing returns."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from agropest import exit_codes
from agropest.store.upkeep.lost_trials import settle
from agropest.tuning.launch import Launch
from agropest.tuning.ray.ray_watch import cluster_address, end_rays_processes, watched
from agropest.tuning.shutdown import ShutdownRequest
from agropest.tuning.watch.progress import Progress

ROOT = Path(__file__).resolve().parents[2]


def ended_where_ray_is_gone(
    launch: Launch,
    progress: Progress,
    shutdown: ShutdownRequest,
    wait_for_checkpoints: Callable[[], None],
    folder: Path | None,
) -> contextlib.AbstractContextManager[None]:
    """Ends the process, from another thread, seconds after Ray has gone; the trials save their checkpoints first.

    Where a signal has asked for the end, Ray's processes may have got it, too (systemd and SLURM send SIGTERM to all of
    a launch): then the tables are written all the same.

    Args:
        launch: whose trials run.
        progress: the console.
        shutdown: of the launch.
        wait_for_checkpoints: returns when no trial writes any more.
        folder: of this launch alone; is removed.
    """

    def on_gone(problem: str) -> None:
        number = shutdown.signal_number
        try:
            if not number:
                progress.say(f"error: {problem}")
            end_rays_processes(folder)
            wait_for_checkpoints()
            settle(launch.trials, launch.store)
            if number:
                export = [sys.executable, "-m", "agropest", "export", str(launch.folder)]
                subprocess.run(export, cwd=ROOT, check=False)  # what it prints goes to launch.log
            progress.close()
        finally:  # the main thread waits for Ray, whatever failed here
            os._exit(exit_codes.of_signal(number) if number else exit_codes.FAULT)

    return watched(cluster_address(launch.ray.cluster) if launch.ray.cluster else "", on_gone)
