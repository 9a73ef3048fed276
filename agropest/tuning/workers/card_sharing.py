"""How trials share a card: one after another in time slices, or at once through NVIDIA's Multi-Process Service (MPS).

Without MPS the driver lets one process of a card compute at a time. With its daemon the kernels of several run side by
side; the processes find it by a folder, ``CUDA_MPS_PIPE_DIRECTORY``. ``nvidia-cuda-mps-control`` comes with the driver.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from agropest.sweep.trial import TrialSpec

TOOL = "nvidia-cuda-mps-control"
PIPES = "CUDA_MPS_PIPE_DIRECTORY"
USUAL_PIPES = "/tmp/nvidia-mps"  # NVIDIA's default
PATIENCE_S = 30.0


@contextlib.contextmanager
def card_sharing(trials: Sequence[TrialSpec], say: Callable[[str], None]) -> Iterator[None]:
    """Says how trials share a card; starts MPS where a sweep asks for it, and ends within what it has started.

    Args:
        trials: that wait to be run, sized.
        say: called with what a user should know.
    """
    if not any(trial.resources.per_card > 1 for trial in trials):
        yield
        return
    if is_running():
        say(f"trials that share a card use the CUDA MPS daemon that runs here ({_pipes()})")
        yield
        return
    tool, wanted = shutil.which(TOOL), any(trial.resources.mps for trial in trials)
    if tool is None or not wanted:
        mend = f"there is no {TOOL} here" if tool is None else "resources: {mps: true} starts CUDA MPS against that"
        if tool is not None or wanted:
            say(f"trials that share a card take turns on it: {mend}")
        yield
        return
    problem = _start(tool)
    if problem:
        say(f"CUDA MPS did not start ({problem}): trials that share a card take turns on it")
        yield
        return
    say(f"started CUDA MPS for the trials that share a card ({_pipes()}); it ends with this launch")
    try:
        yield
    finally:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run([tool], input="quit\n", capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def is_running() -> bool:
    """Returns whether an MPS daemon serves this machine's cards."""
    try:
        number = int((_pipes() / f"{TOOL}.pid").read_text())
        os.kill(number, 0)
    except (OSError, ValueError):
        return False
    return True


def _pipes() -> Path:
    return Path(os.environ.get(PIPES, USUAL_PIPES))


def _start(tool: str) -> str:
    """Starts the daemon; returns why it could not be, or nothing."""
    try:
        ended = subprocess.run([tool, "-d"], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if ended.returncode:
        return (ended.stderr or ended.stdout).strip() or f"exit code {ended.returncode}"
    return ""
