"""One launch at a time on one results folder, and one process at a time where a trial changes hands.

The lock is the kernel's (``flock``): it is gone the moment its process is, however that ends. Some network file systems
do not pass it between machines. So the holder also touches the lock file every few seconds, and a launch on another
machine that got the kernel's lock all the same waits until that has stopped. Where a file system has no locks at all,
so does one on the same machine.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from agropest.errors import StoreError, fault

LOCK = ".launch.lock"
TOUCH_S = 5.0
# A holder that no kernel tells of is taken for gone when it has not touched the file for this long.
STALE_S = 60.0
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)


@contextlib.contextmanager
def only_launch(root: Path, what: str) -> Iterator[None]:
    """Holds the results folder for this process.

    Args:
        root: the results folder.
        what: a second launch names it in its error, e.g. the sweep file.

    Raises:
        StoreError: another launch holds it; says which process on which machine.
    """
    path = root / LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        fix = "give another folder with --results, or make room there"
        raise StoreError(fault(str(path), "expected a file to write to", error.strerror, fix)) from None
    ended = threading.Event()
    try:
        _acquire(descriptor, root)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}: {what}\n".encode(), 0)
        threading.Thread(target=_touch, args=(descriptor, ended), daemon=True).start()
        yield
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)  # no launch has to wait for one that has ended
    finally:
        ended.set()
        os.close(descriptor)


@contextlib.contextmanager
def held_alone(path: Path) -> Iterator[None]:
    """Holds a lock file while something is read and then written; whoever holds it already is waited for.

    Where there are no locks, or no room for the file, nothing is held.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:
        yield
        return
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def held_if_free(path: Path) -> Iterator[bool]:
    """Takes a lock file if no process holds it; yields whether it is held. It is free again when its process is gone.

    Where there are no locks, or no room for the file, every process that asks gets the lock.
    """
    try:
        path.parent.mkdir(exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:
        yield True
        return
    try:
        is_held = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            is_held = False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        yield is_held
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, root: Path) -> None:
    owner = os.pread(descriptor, 500, 0).decode(errors="replace").strip()
    has_locks = True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        fix = "wait until it has ended, or give another folder with --results"
        raise StoreError(fault(str(root), "expected no other launch to be running there", owner, fix)) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        has_locks = False
    age = _age_s(descriptor, root)
    if age < 0:  # a clock was set back since: from now on it ages, unless its holder is there and touches it
        os.utime(descriptor)
        age = 0.0
    is_near = f" on {socket.gethostname()}: " in owner
    may_live = not is_near or (not has_locks and _is_alive(owner))
    if owner and may_live and age < STALE_S:
        fix = f"wait until it has ended; if it was killed, for {STALE_S:.0f} s after that"
        rule = f"expected no launch of {'this' if is_near else 'another'} machine to be running there"
        raise StoreError(fault(str(root), rule, f"{owner}, {age:.0f} s ago", fix))


def _is_alive(owner: str) -> bool:
    """Returns whether the process that a lock file of this machine names is there, and is not this one."""
    pid = owner.removeprefix("process ").partition(" ")[0]
    return pid != str(os.getpid()) and pid.isdecimal() and Path(f"/proc/{pid}").is_dir()


def _age_s(descriptor: int, root: Path) -> float:
    """Returns how long ago the lock file was touched, by the clock of the file system that holds it."""
    probe = root / f"{LOCK}.{os.getpid()}"
    probe.touch()
    try:
        return probe.stat().st_mtime - os.fstat(descriptor).st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _touch(descriptor: int, ended: threading.Event) -> None:
    while not ended.wait(TOUCH_S):
        with contextlib.suppress(OSError):  # a full disk or a vanished folder is noticed elsewhere
            os.utime(descriptor)
