"""What Tune calls back in the driver: to show progress, and to ask whether the sweep shall end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ray import tune


class _NotStored:
    """Tune pickles what it is given into its own notes, which nobody reads: the store is the truth."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class EndWhenAsked(_NotStored, tune.Stopper):
    """Ends the whole sweep once an event is set.

    Args:
        asked: is set by Ctrl-C.
    """

    def __init__(self, asked: threading.Event) -> None:
        self._asked = asked

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No single trial is stopped here; that is the scheduler's part."""
        return False

    def stop_all(self) -> bool:
        """Returns whether somebody asked."""
        return self._asked.is_set()


class Refresh(_NotStored, tune.Callback):
    """Calls a function at every step of Tune's loop (about ten times a second).

    Args:
        refresh: must be quick.
    """

    def __init__(self, refresh: Callable[[], None]) -> None:
        self._refresh = refresh

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """See Ray Tune's ``Callback``."""
        self._refresh()
