"""One launch at a time on one results folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from agropest.errors import StoreError, fault


@contextlib.contextmanager
def only_launch(root: Path, what: str) -> Iterator[None]:
    """Holds the results folder for this process; the kernel lets go of it however the process ends.

    Args:
        root: the results folder.
        what: is told to a second launch, e.g. the sweep file.

    Raises:
        StoreError: another launch holds it; says which process on which machine.
    """
    path = root / ".launch.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        fix = "give another folder with --results, or make room there"
        raise StoreError(fault(str(path), "expected a file to write to", error.strerror, fix)) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 500, 0).decode(errors="replace").strip()
            fix = "wait until it has ended, or give another folder with --results"
            raise StoreError(fault(str(root), "expected no other launch to be running there", owner, fix)) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}: {what}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
