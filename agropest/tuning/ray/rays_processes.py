"""The processes of a Ray that a launch has started: signals that end the launch do not reach them, it ends them itself.

systemd, SLURM and a process group's ``kill`` send their signal to every process. Where Ray's node gets it as well,
Ray's library in the driver ends the driver with exit code 1, from C++, before the launch has written its tables. Ray
itself keeps SIGINT from its processes in the same way.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

# Those that end a launch (``tuning.shutdown.SIGNALS``); SIGINT is Ray's own care.
KEPT_OUT = frozenset({signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1})
ENDED_WITHIN_S = 2.0
STAT_PARENT, STAT_START = 1, 19  # fields of /proc/PID/stat behind the name


@contextlib.contextmanager
def kept_from_signals() -> Iterator[None]:
    """Processes that are started within block the signals that end a launch; this thread gets them when it is left."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, KEPT_OUT)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_signals_in() -> None:
    """Lets a process have them again that comes from one which was started so."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, KEPT_OUT)


def shut_down_ray() -> None:
    """Disconnects from Ray; ends every process of a Ray that this process has started.

    Ray tells each to end, waits a second and kills it: these do not listen, so they are killed at once. Their children
    (workers and agents) notice that and end by themselves; who has not within seconds is killed, too.
    """
    import ray
    from ray._private import worker

    node = worker._global_node
    children: dict[int, int] = {}
    if node is not None and node.is_head():
        children = _children_of({info.process.pid for infos in node.all_processes.values() for info in infos})
        _kills_at_once(node)
    ray.shutdown()
    _end(children)


def _kills_at_once(node: Any) -> None:
    kill_all = node.kill_all_processes
    node.kill_all_processes = lambda **_: kill_all(check_alive=False, allow_graceful=False)


def _children_of(parents: Collection[int]) -> dict[int, int]:
    """Returns the children of some processes, each with the time at which it started."""
    return {pid: start for pid, (parent, start) in _processes().items() if parent in parents and pid not in parents}


def _end(processes: Mapping[int, int]) -> None:
    limit = time.monotonic() + ENDED_WITHIN_S
    while (left := _still_there(processes)) and time.monotonic() < limit:
        time.sleep(0.02)
    for pid in left:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def _still_there(processes: Mapping[int, int]) -> list[int]:
    """Returns those that run still; another process with a number of theirs began later."""
    return [pid for pid, start in processes.items() if (_stat(pid) or (0, 0))[1] == start]


def _processes() -> dict[int, tuple[int, int]]:
    """Returns parent and start of every process."""
    found = {int(path.name): _stat(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdigit()}
    return {pid: stat for pid, stat in found.items() if stat is not None}


def _stat(pid: int) -> tuple[int, int] | None:
    """Returns parent and start (in ticks since the machine's) of a process; None where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else (int(fields[STAT_PARENT]), int(fields[STAT_START]))
