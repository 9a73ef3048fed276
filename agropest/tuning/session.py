"""A launch that is connected to Ray: what every step of running its trials shares."""

from __future__ import annotations

from dataclasses import dataclass

from agropest.machine import Machine
from agropest.tuning.launch import Launch
from agropest.tuning.shutdown import ShutdownRequest
from agropest.tuning.spending import Spending
from agropest.tuning.stopping.stopping_state import StoppingState
from agropest.tuning.watch.progress import Progress
from agropest.tuning.watch.watch import Watch


@dataclass(frozen=True)
class Session:
    """What the trials of one launch are run with.

    Attributes:
        launch: whose trials are run.
        progress: the console.
        watch: everything that shows the trials while they run.
        shutdown: set when the launch is to end before its trials have.
        spending: what the launch has spent of its budget, over all its rounds.
        machine: what the trials run on; measured speeds are stored under its name.
        stopping: where early stopping looks at all trials at once; None where it looks at one at a time.
        is_repair: whether the trials were stopped early, and are only completed.
    """

    launch: Launch
    progress: Progress
    watch: Watch
    shutdown: ShutdownRequest
    spending: Spending
    machine: Machine
    stopping: StoppingState | None = None
    is_repair: bool = False
