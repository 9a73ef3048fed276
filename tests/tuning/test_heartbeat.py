"""What a launch does every moment: show, say what waits, and end what cannot continue."""

from __future__ import annotations

import signal
from types import SimpleNamespace
from typing import Any

import pytest

from agropest.tuning import heartbeat
from agropest.tuning.heartbeat import Heartbeat
from agropest.tuning.ray.ray_watch import RayEndedToo
from agropest.tuning.shutdown import ShutdownRequest


class Console:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def session(problem: str | None = None) -> Any:
    """Returns as much of a session as the heartbeat reads."""
    console = Console()
    watch = SimpleNamespace(refreshed=0)
    watch.refresh = lambda: setattr(watch, "refreshed", watch.refreshed + 1)
    launch = SimpleNamespace(store=SimpleNamespace(problem=lambda: problem))
    return SimpleNamespace(progress=console, watch=watch, launch=launch, shutdown=ShutdownRequest(console))


@pytest.fixture(autouse=True)
def ray_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "require_own_ray", lambda: None)
    monkeypatch.setattr(heartbeat, "dead_process", lambda: None)


def test_every_beat_refreshes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "waiting", dict)
    beaten = session()
    beat = Heartbeat(beaten)
    beat()
    beat()
    assert beaten.watch.refreshed == 2 and not beaten.progress.said


def test_a_reason_to_wait_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = iter([{"a/s1": "no GPU is free"}, {"a/s1": "no GPU is free"}, {}, {"a/s1": "no GPU is free"}])
    monkeypatch.setattr(heartbeat, "waiting", lambda: next(reasons))
    monkeypatch.setattr(heartbeat, "WAITS_PERIOD_S", -1.0)
    beaten = session()
    beat = Heartbeat(beaten)
    beat()
    beat()
    assert beaten.progress.said == ["a/s1 waits: no GPU is free"]
    beat()
    beat()
    assert beaten.progress.said == ["a/s1 waits: no GPU is free"] * 2


def test_a_store_that_takes_nothing_ends_the_launch() -> None:
    beaten = session(problem="results: no space left")
    Heartbeat(beaten)()
    assert beaten.shutdown.problem == "results: no space left"


def test_a_signal_that_ended_ray_too_ends_tune(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "dead_process", lambda: "gcs_server")
    beaten = session()
    Heartbeat(beaten)()  # without a signal it is no business of the heartbeat's: see require_own_ray
    beaten.shutdown.signal_number = signal.SIGTERM
    with pytest.raises(RayEndedToo):
        Heartbeat(beaten)()
