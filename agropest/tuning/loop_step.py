"""What happens at every step of Tune's loop while it runs the trials."""

from __future__ import annotations

import time

from agropest.tuning.ray.connection import require_own_ray
from agropest.tuning.ray.ray_watch import RayEndedToo, dead_process
from agropest.tuning.ray.waiting import waiting
from agropest.tuning.session import Session

WAITS_PERIOD_S = 2.0


class LoopStep:
    """Shows what the trials do and what they wait for, and ends what cannot continue.

    Args:
        session: of the launch.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._waits: dict[str, str] = {}
        self._asked_at = time.monotonic()

    def __call__(self) -> None:
        """Runs once.

        Raises:
            RayEndedToo: the signal that ends the launch has ended Ray as well.
            EnvironmentFault: Ray's other processes are dead.
        """
        session = self._session
        session.watch.refresh()
        if time.monotonic() > self._asked_at + WAITS_PERIOD_S:
            self._say_what_waits()
        session.shutdown.say()
        if problem := session.launch.store.problem():  # nothing can be stored any more
            session.shutdown.cannot_continue(problem)
        if session.shutdown.signal_number and dead_process():  # systemd and SLURM signal every process of the launch
            raise RayEndedToo
        require_own_ray()

    def _say_what_waits(self) -> None:
        """Says why a trial does not start, once for each reason."""
        before, self._waits, self._asked_at = self._waits, waiting(), time.monotonic()
        for name, reason in self._waits.items():
            if before.get(name) != reason:
                self._session.progress.say(f"{name} waits: {reason}")
