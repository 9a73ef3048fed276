"""Probes in processes of their own, as trials run: one alone, or several at the same moment."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from agropest import exit_codes
from agropest.planning.measurement import Measurement
from agropest.sweep.trial import TrialSpec
from agropest.tuning.workers import child

if TYPE_CHECKING:
    from agropest.training.run_context import RunContext

# Long enough for a few iterations, short enough not to wait for; a slow config takes MIN_ITERS iterations.
PROBE_S = 3.0
# A probe that is not through by then hangs.
LIMIT_S = 900.0


@dataclass(frozen=True)
class ProbeJob:
    """What a probe's process is started with.

    Attributes:
        device: the name that the measurement is kept under.
        concurrent: processes that measure at the same moment.
        log: file that takes what the process prints.
    """

    trial: TrialSpec
    context: RunContext
    device: str
    log: Path
    concurrent: int = 1
    seconds: float = PROBE_S


class ProbeError(Exception):
    """A probe ended without a measurement; the text says why."""


def run_together(job: ProbeJob) -> list[Measurement]:
    """Returns the measurements of ``job.concurrent`` processes that trained at the same time.

    Raises:
        ProbeError: one of them ended without a measurement (out of memory, a config that cannot be trained, killed).
    """
    job.log.parent.mkdir(parents=True, exist_ok=True)
    started = [child.fork(_main, (job,), f"probe {number}") for number in range(job.concurrent)]
    limit = time.monotonic() + LIMIT_S
    try:
        connections = [connection for _, connection in started]
        for connection in connections:
            _hear(connection, limit)
        for connection in connections:
            connection.send("go")
        return [_hear(connection, limit) for connection in connections]
    finally:
        for process, connection in started:
            connection.close()  # its end ends the process
            process.join(5)


def _hear(connection: Connection, limit: float) -> Measurement:
    """Waits for a probe's next word and returns it."""
    if not connection.poll(max(0.0, limit - time.monotonic())):
        raise ProbeError(f"it did not finish within {LIMIT_S:.0f} s")
    try:
        word = connection.recv()
    except (EOFError, OSError):
        raise ProbeError("its process was killed") from None
    if isinstance(word, str) and word != "ready":
        raise ProbeError(word)
    found: Measurement = word
    return found


def _main(job: ProbeJob, connection: Connection) -> None:
    """The probe's process."""
    os.setsid()
    file = os.open(job.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (1, 2):
        os.dup2(file, descriptor)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, force=True)
    go = threading.Event()
    threading.Thread(target=_listen, args=(connection, go), daemon=True).start()

    def wait() -> None:
        connection.send("ready")
        go.wait()

    from agropest.training.dry_run.probe import run_probe

    try:
        answer: Measurement | str = run_probe(job.trial, job.context, job.device, job.seconds, wait, job.concurrent)
    except Exception as error:
        logging.getLogger(__name__).exception("the probe ended with an error")
        answer = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
    connection.send(answer)
    logging.shutdown()
    os._exit(exit_codes.OK)


def _listen(connection: Connection, go: threading.Event) -> None:
    """Hears "go"; the pipe's end (whoever asked is gone) ends the process."""
    while True:
        try:
            connection.recv()
        except (EOFError, OSError):
            os._exit(exit_codes.LOST)
        go.set()
