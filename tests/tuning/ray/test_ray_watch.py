"""Ray that is not there, not Ray, or gone: noticed within seconds, and said."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agropest.errors import EnvironmentFault
from agropest.tuning.ray import connection, ray_watch
from agropest.tuning.ray.connection import RayOptions, connected
from agropest.tuning.ray.ray_watch import HTTP2_HELLO, speaks_grpc, watched

SETTINGS = b"\0\0\x06\x04\0\0\0\0\0" + b"\0\x04\0\0\xff\xff"


@contextmanager
def answering(answer: bytes | None) -> Iterator[int]:
    """Yields the port of a server that answers everybody the same; None: nothing at all."""
    heard: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                heard.append(client)  # it stays open
                if answer is not None:
                    client.recv(100)
                    client.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    for client in heard:
        client.close()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(SETTINGS, True), (b"HTTP/1.1 400 Bad Request\r\n\r\n", False), (b"SSH-2.0-OpenSSH\r\n", False), (None, False)],
)
def test_a_grpc_server_is_distinguished_from_anything_else(answer: bytes | None, expected: bool) -> None:
    assert HTTP2_HELLO.startswith(b"PRI * HTTP/2.0")  # RFC 9113, section 3.4
    with answering(answer) as port:
        assert speaks_grpc("127.0.0.1", port, 1.0) is expected


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_an_address_where_something_else_listens_is_refused(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("it would wait without end"))
    monkeypatch.setattr(connection, "REACHED_WITHIN_S", 0.5)
    with answering(None) as port:
        address = form.format(port)
        with (
            pytest.raises(EnvironmentFault, match=f"--address: .*{address}: something else listens there"),
            connected(RayOptions(address), lambda *_: None),
        ):
            raise AssertionError("it is no Ray")


def test_a_cluster_that_no_longer_listens_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_watch, "PERIOD_S", 0.05)
    monkeypatch.setattr(ray_watch, "REFUSED_S", 0.2)
    told: list[str] = []
    noticed = threading.Event()

    def on_gone(problem: str) -> None:
        told.append(problem)
        noticed.set()

    with answering(SETTINGS) as port:
        monkeypatch.setattr(ray_watch, "REFUSED_S", 1e9)
        with watched(f"127.0.0.1:{port}", on_gone):
            assert not noticed.wait(0.3)
    monkeypatch.setattr(ray_watch, "REFUSED_S", 0.2)
    with watched(f"127.0.0.1:{port}", on_gone):
        assert noticed.wait(30)
    assert f"nothing listens at 127.0.0.1:{port} any more" in told[0]


def test_a_killed_process_of_our_own_ray_is_reported_unless_the_launch_ends_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray_watch, "PERIOD_S", 0.02)
    monkeypatch.setattr(ray_watch, "GRACE_S", 0.02)
    monkeypatch.setattr(ray_watch, "dead_process", lambda: "gcs_server")
    noticed, late = threading.Event(), threading.Event()
    with watched("", lambda problem: noticed.set()):
        assert noticed.wait(30)
    monkeypatch.setattr(ray_watch, "GRACE_S", 30.0)
    with watched("", lambda problem: late.set()):
        pass
    assert not late.is_set()
