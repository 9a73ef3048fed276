"""What a launch does at every step of Tune's loop: show, say what waits, and end what cannot continue."""

from __future__ import annotations

import signal
from types import SimpleNamespace
from typing import Any

import pytest

from agropest.tuning import loop_step
from agropest.tuning.loop_step import LoopStep
from agropest.tuning.ray.ray_watch import RayEndedToo
from agropest.tuning.shutdown import ShutdownRequest


class Console:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def session(problem: str | None = None) -> Any:
    """Returns as much of a session as a step reads."""
    console = Console()
    watch = SimpleNamespace(refreshed=0)
    watch.refresh = lambda: setattr(watch, "refreshed", watch.refreshed + 1)
    launch = SimpleNamespace(store=SimpleNamespace(problem=lambda: problem))
    return SimpleNamespace(progress=console, watch=watch, launch=launch, shutdown=ShutdownRequest(console))


@pytest.fixture(autouse=True)
def ray_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_step, "require_own_ray", lambda: None)
    monkeypatch.setattr(loop_step, "dead_process", lambda: None)


def test_every_step_refreshes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_step, "waiting", dict)
    its = session()
    step = LoopStep(its)
    step()
    step()
    assert its.watch.refreshed == 2 and not its.progress.said


def test_a_reason_to_wait_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = iter([{"a/s1": "no GPU is free"}, {"a/s1": "no GPU is free"}, {}, {"a/s1": "no GPU is free"}])
    monkeypatch.setattr(loop_step, "waiting", lambda: next(reasons))
    monkeypatch.setattr(loop_step, "WAITS_PERIOD_S", -1.0)
    its = session()
    step = LoopStep(its)
    step()
    step()
    assert its.progress.said == ["a/s1 waits: no GPU is free"]
    step()
    step()
    assert its.progress.said == ["a/s1 waits: no GPU is free"] * 2


def test_a_store_that_takes_nothing_ends_the_launch() -> None:
    its = session(problem="results: no space left")
    LoopStep(its)()
    assert its.shutdown.problem == "results: no space left"


def test_a_signal_that_ended_ray_too_ends_tune(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_step, "dead_process", lambda: "gcs_server")
    its = session()
    LoopStep(its)()  # without a signal it is no business of the step's: see require_own_ray
    its.shutdown.signal_number = signal.SIGTERM
    with pytest.raises(RayEndedToo):
        LoopStep(its)()
