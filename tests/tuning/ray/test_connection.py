"""What a person is told when Ray does not start."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from agropest.errors import EnvironmentFault
from agropest.tuning.ray import connection
from agropest.tuning.ray.connection import RayOptions, connected


@pytest.mark.parametrize(
    ("address", "error", "words"),
    [
        (None, Exception("The current node timed out during startup."), "Ray: expected it to start, got 'The current"),
        (None, ConnectionError("no GCS"), "Ray: expected it to start, got 'no GCS'"),
        ("127.0.0.1:9", ConnectionError("nobody there"), "--address: expected a Ray cluster, got 'nobody there'"),
    ],
)
def test_a_ray_that_does_not_start_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, address: str | None, error: Exception, words: str
) -> None:
    import ray

    def fail(**_: Any) -> None:
        raise error

    monkeypatch.setattr(ray, "init", fail)
    monkeypatch.setattr(connection, "_require_reachable", lambda *_: None)
    with pytest.raises(EnvironmentFault, match=words), connected(RayOptions(address, False), lambda *_: None):
        raise AssertionError("it has not started")


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://localhost:{}"])
def test_the_address_of_no_cluster_is_refused_at_once(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray itself tries for minutes and says nothing."""
    import ray

    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = form.format(taken.getsockname()[1])
        connection._require_reachable(address, "--address")
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("it tries"))
    with (
        pytest.raises(EnvironmentFault, match=rf"--address: expected a Ray cluster, got '{address}: .*refused"),
        connected(RayOptions(address), lambda *_: None),
    ):
        raise AssertionError("there is none")
    for wrong in ("somewhere", "127.0.0.1:port", "127.0.0.1:99999"):
        with pytest.raises(EnvironmentFault, match="--address: expected a Ray cluster"):
            connection._require_reachable(wrong, "--address")


class Started(Exception):
    """Ray would start now."""


def said_before_the_start(monkeypatch: pytest.MonkeyPatch, options: RayOptions) -> str:
    """Returns what a person reads before Ray is started or connected to."""
    import ray

    def start(**_: Any) -> None:
        raise Started

    said: list[str] = []
    monkeypatch.setattr(ray, "init", start)
    monkeypatch.setattr(connection, "_require_reachable", lambda *_: None)
    with pytest.raises(Started), connected(options, lambda text, _: said.append(text)):
        raise AssertionError("it has not started")
    return "\n".join(said)


def test_a_dashboard_that_others_reach_is_warned_of_before_it_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert "CVE-2023-48022" in said_before_the_start(monkeypatch, RayOptions(None, True, "0.0.0.0"))
    assert "WARNING" not in said_before_the_start(monkeypatch, RayOptions(None, True))


def test_a_dashboard_without_a_token_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert "RAY_AUTH_MODE=disabled" in said_before_the_start(monkeypatch, RayOptions(None, True))
    # Without a dashboard, too: others could overwrite the pickled code in Ray's store.
    assert "RAY_AUTH_MODE=disabled" in said_before_the_start(monkeypatch, RayOptions(None, False))
    assert "RAY_AUTH_MODE=disabled" in said_before_the_start(monkeypatch, RayOptions("127.0.0.1:6379"))
    monkeypatch.delenv("RAY_AUTH_MODE")
    assert "WARNING" not in said_before_the_start(monkeypatch, RayOptions(None, False))


def test_options_that_a_cluster_takes_no_notice_of_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    said = said_before_the_start(monkeypatch, RayOptions("127.0.0.1:6379", False, "0.0.0.0"))
    assert "--dashboard-host, --no-dashboard changes nothing" in said
    assert "changes nothing" not in said_before_the_start(monkeypatch, RayOptions("127.0.0.1:6379"))
    assert "changes nothing" not in said_before_the_start(monkeypatch, RayOptions(None, False))


def test_a_fault_of_our_own_is_not_taken_for_rays(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def fail(**_: Any) -> None:
        raise TypeError("wrong arguments")

    monkeypatch.setattr(ray, "init", fail)
    with pytest.raises(TypeError), connected(RayOptions(None, False), lambda *_: None):
        raise AssertionError("it has not started")
