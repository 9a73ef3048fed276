"""The fork server that all trials of a machine come from."""

from __future__ import annotations

import os
import resource
import signal
from multiprocessing.connection import Connection
from typing import Any

import pytest

from agropest.tuning.workers import child, warm_server
from agropest.tuning.workers.warm_server import ADDRESS, warm_server_for_all


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that takes seconds is loaded."""
    monkeypatch.setattr(warm_server, "PRELOADED", "json")


def describe(connection: Connection) -> None:
    connection.send(
        {
            "server": os.getppid(),
            "nice": os.getpriority(os.PRIO_PROCESS, 0),
            "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            "environment": dict(os.environ),
        }
    )


def forked() -> dict[str, Any]:
    process, connection = child.fork(describe, (), "one")
    told: dict[str, Any] = connection.recv()
    process.join(60)
    return told


def ask(connection: Connection) -> None:
    """Stands for a Ray actor: lower than the server in every way, and it has a trial forked."""
    os.nice(3)
    resource.setrlimit(resource.RLIMIT_NOFILE, (321, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    os.environ["CUDA_VISIBLE_DEVICES"] = "7"
    connection.send(forked())


def test_a_trial_comes_from_the_launchs_server_and_has_its_actors_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    with warm_server_for_all():
        here = forked()
        process, connection = child.fork(ask, (), "actor")
        trial = connection.recv()
        process.join(60)
    assert trial["server"] == here["server"] != os.getpid()
    assert trial["nice"] == here["nice"] + 3
    assert trial["files"] == 321 < here["files"]
    assert trial["environment"]["CUDA_VISIBLE_DEVICES"] == "7"
    assert "CUDA_VISIBLE_DEVICES" not in here["environment"] or here["environment"]["CUDA_VISIBLE_DEVICES"] != "7"
    # A second process of the trial loads torch itself.
    assert trial["environment"]["OMP_WAIT_POLICY"] == "PASSIVE"
    assert ADDRESS not in os.environ


def test_a_server_that_was_killed_is_made_up_for() -> None:
    with warm_server_for_all():
        first = forked()["server"]
        os.kill(first, signal.SIGKILL)
        second = forked()["server"]
        assert second not in (first, os.getpid())
        assert forked()["server"] == second
    warm_server.without_server()
