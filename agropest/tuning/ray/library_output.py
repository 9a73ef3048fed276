"""Keeps what libraries print off the console: while Ray runs, it goes into the sweep's ``launch.log``."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO


@contextlib.contextmanager
def library_output_to(log: Path) -> Iterator[TextIO]:
    """Sends this process's standard output and error, also of C++ code, to the end of a file.

    Yields:
        Where standard output went before: the console of those who have something to say to a person.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    before = [os.dup(descriptor) for descriptor in (1, 2)]
    with os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace", buffering=1) as console:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        _point_at(file, file)
        os.close(file)
        try:
            yield console
        finally:
            _point_at(*before)
            for descriptor in before:
                os.close(descriptor)


def _point_at(stdout: int, stderr: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a pipe whose reader has gone
            stream.flush()
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
