"""Notices within seconds that Ray has gone, also while this process waits for it in C++ code.

Without its GCS, Ray's driver waits for a minute without a word and then ends the process by itself.
"""

from __future__ import annotations

import contextlib
import faulthandler
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from agropest.errors import fault

PERIOD_S = 1.0
# What happens in Python is noticed there first, and ended with tables.
GRACE_S = 4.0
# A cluster whose address refuses for so long has gone; a GCS that is started again is back sooner.
REFUSED_S = 15.0
FIX = "the machine may have run out of memory; launch again: it continues from what is stored"
# HTTP/2's connection preface, and an empty SETTINGS frame; a gRPC server answers with SETTINGS of its own at once.
HTTP2_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"


class RayEndedToo(Exception):
    """Whoever asked for the end has ended Ray's processes as well: there is nothing to wait for in Tune."""


def dead_process() -> str:
    """Returns which of the processes of a Ray that this process has started was killed; empty where none was."""
    from ray._private import worker

    node = worker._global_node
    if node is None or not node.is_head():
        return ""
    return next((name for name, _ in node.dead_processes() if name in ("raylet", "gcs_server")), "")


def gone(name: str) -> str:
    """Returns the fault of one of Ray's processes that was killed."""
    return fault("Ray", "expected its processes to stay", f"{name} was killed", FIX)


def cluster_address(given: str) -> str:
    """Returns ``host:port`` of the cluster that this process is connected to.

    Args:
        given: how it was named: ``auto``, ``host:port`` or ``ray://host:port``.
    """
    import ray

    if "://" in given:  # Ray Client knows no other
        return given.partition("://")[2]
    return str(ray.get_runtime_context().gcs_address)


@contextlib.contextmanager
def watched(address: str, on_gone: Callable[[str], None]) -> Iterator[None]:
    """Looks every second, in a thread, whether Ray is still there.

    Args:
        address: of the cluster, ``host:port``; empty: of a Ray that this process has started.
        on_gone: called with the fault, in that thread, when the main thread has not ended the launch within seconds.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_watch, args=(address, on_gone, ended), daemon=True, name="ray-watch")
    thread.start()
    try:
        yield
    finally:
        ended.set()


def speaks_grpc(host: str, port: int, within_s: float) -> bool:
    """Returns whether what listens there speaks HTTP/2, as Ray's GCS and its client server do.

    Raises:
        OSError: nothing listens there.
    """
    with socket.create_connection((host, port), within_s) as connection:
        connection.settimeout(within_s)
        try:
            connection.sendall(HTTP2_HELLO)
            answer = b""
            while len(answer) < 9:
                part = connection.recv(9 - len(answer))
                if not part:
                    return False
                answer += part
        except OSError:  # no answer, or the connection was broken off
            return False
    return answer[3] == 4  # the type of a SETTINGS frame


def _watch(address: str, on_gone: Callable[[str], None], ended: threading.Event) -> None:
    refused_s = 0.0
    while not ended.wait(PERIOD_S):
        if not address:
            if name := dead_process():
                if not ended.wait(GRACE_S):
                    on_gone(gone(name))
                return
            continue
        refused_s = refused_s + PERIOD_S if _refuses(address) else 0.0
        if refused_s >= REFUSED_S:
            fix = "start it again, and launch again: it continues from what is stored"
            on_gone(fault("Ray", "expected the cluster to stay", f"nothing listens at {address} any more", fix))
            return


def _refuses(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PERIOD_S).close()
    except OSError:
        return True
    return False


def end_rays_processes(folder: Path | None) -> None:
    """Ends what is left of the Ray that this process has started, so that its trials save their checkpoints.

    Args:
        folder: of this launch alone, which is removed.
    """
    from ray._private import worker

    faulthandler.dump_traceback(all_threads=True)  # into launch.log: where the main thread waits
    node = worker._global_node
    with contextlib.suppress(Exception):  # whatever is left of it ends by itself
        if node is not None and node.is_head():
            node.kill_all_processes(check_alive=False, allow_graceful=False)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
