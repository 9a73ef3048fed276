"""A fork server with torch and Detectron2 loaded, from which trials get their processes in 0.04 s instead of 4 s.

A launch starts one for all trials of its machine, before Ray: loading takes as long as starting Ray does, and now both
happen at once. Ray's actors find it by an environment variable; where there is none (another node of a cluster, or it
was killed), an actor starts its own.
"""

from __future__ import annotations

import contextlib
import multiprocessing.forkserver as forkserver
import os
import signal
from collections.abc import Iterator, Mapping
from multiprocessing import resource_tracker
from pathlib import Path

PRELOADED = "agropest.training.trial"
ADDRESS = "AGROPEST_FORK_SERVER"
# What torch and its libraries read as they are loaded; a trial sets its number of threads itself.
LOADED_WITH = {
    # OpenMP's threads spin while they wait unless set otherwise before torch loads. Beside other trials that takes time
    # from those that have work: two threads on two shared cores were ten times slower.
    "OMP_WAIT_POLICY": "PASSIVE",
    "OMP_NUM_THREADS": "1",
    # Large tensors of the CPU in pages of 2 MiB: an iteration of R50-FPN then has 3,000 page faults in place of 38,000.
    "THP_MEM_ALLOC_ENABLE": "1",
    # On a card: blocks that grow: batches of ever other sizes leave gaps that nothing fits into. Not measured yet.
    "PYTORCH_ALLOC_CONF": "expandable_segments:True",
}


class WarmServer(forkserver.ForkServer):
    """A fork server of this process: Python's own, apart from the one that other code of this process may use."""

    def start(self) -> str:
        """Starts it and returns its address; it loads what it preloads while this process continues."""
        self.ensure_running()
        return str(self._forkserver_address)  # type: ignore[attr-defined]

    def ensure_running(self) -> None:
        """Starts it, also again where it was killed; see Python's ``ForkServer``."""
        _make_importable_everywhere()
        self.set_forkserver_preload([PRELOADED])
        with _environment({name: os.environ.get(name, value) for name, value in LOADED_WITH.items()}):
            super().ensure_running()

    def stop(self) -> None:
        """Ends it, also where it is still loading; the processes that came from it continue."""
        with contextlib.suppress(OSError):  # it was killed
            os.kill(self._forkserver_pid, signal.SIGTERM)  # type: ignore[attr-defined]
        with contextlib.suppress(OSError):
            self._stop()  # type: ignore[attr-defined]

    @contextlib.contextmanager
    def forks(self) -> Iterator[None]:
        """Within it, processes of the "forkserver" context come from this server.

        Raises:
            OSError: in it, where the server has gone.
        """
        before = forkserver.connect_to_new_process
        forkserver.connect_to_new_process = self.connect_to_new_process
        try:
            yield
        finally:
            forkserver.connect_to_new_process = before


class _Found(WarmServer):
    """A server that another process of this machine has started.

    Args:
        address: of its socket.
    """

    def __init__(self, address: str) -> None:
        super().__init__()
        self._forkserver_address = address
        _, self._forkserver_alive_fd = os.pipe()  # is handed to every new process, which here needs it for nothing

    def ensure_running(self) -> None:
        """Starts nothing: whoever started it keeps it running."""
        resource_tracker.ensure_running()


_own: WarmServer | None = None


def warm_server() -> WarmServer:
    """Returns the server of this launch, or else one of this process, which is started the first time."""
    global _own
    if _own is None:
        address = os.environ.get(ADDRESS, "")
        if address and Path(address).exists():
            _own = _Found(address)
        else:
            _own = WarmServer()
            _own.start()
    return _own


def without_server() -> None:
    """Forgets a server that has gone: the next one is this process's own."""
    global _own
    _own = None
    os.environ.pop(ADDRESS, None)


@contextlib.contextmanager
def warm_server_for_all() -> Iterator[None]:
    """Starts a server that the processes started within find, too."""
    global _own
    server = WarmServer()
    address = server.start()
    _own = server
    try:
        with _environment({ADDRESS: address}):
            yield
    finally:
        _own = None
        server.stop()


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _make_importable_everywhere() -> None:
    """Puts this package on PYTHONPATH: the fork server of Python 3.11 preloads before it gets our ``sys.path``.

    What it cannot import it skips without a word, and every trial would then load torch and Detectron2 itself.
    """
    root = str(Path(__file__).resolve().parents[3])
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if root not in known:
        os.environ["PYTHONPATH"] = os.pathsep.join([root, *filter(None, known)])
