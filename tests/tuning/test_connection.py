"""What a person is told when Ray does not start."""

from __future__ import annotations

from typing import Any

import pytest

from agropest.errors import EnvironmentFault
from agropest.tuning.connection import RayOptions, connected


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
    with pytest.raises(EnvironmentFault, match=words), connected(RayOptions(address, "off"), lambda *_: None):
        raise AssertionError("it has not started")


def test_a_fault_of_our_own_is_not_taken_for_rays(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def fail(**_: Any) -> None:
        raise TypeError("wrong arguments")

    monkeypatch.setattr(ray, "init", fail)
    with pytest.raises(TypeError), connected(RayOptions(None, "off"), lambda *_: None):
        raise AssertionError("it has not started")
