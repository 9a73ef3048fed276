"""A trial in a process of its own, forked from a server that has torch and Detectron2 loaded already.

The Ray actor that relays for a trial (``agropest.tuning.workers.trainable``) is reused for many; the trial itself
gets a clean process (CUDA memory, Detectron2's global state, threads) in about 0.04 s instead of 4 s. The two talk
over a pipe:

    child -> actor   ("evaluation", record)     waits for the answer
                     ("end", status, reason, error number of the operating system or 0)
    actor -> child   "continue"                    the answer to an evaluation
                     "interrupt"                at any time: save a checkpoint and end

The pipe's end is a command, too: an actor that was killed leaves a child that saves a checkpoint and ends.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import multiprocessing
import os
import pickle
import queue
import signal
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agropest import exit_codes
from agropest.errors import ChangedInput, is_out_of_gpu_memory
from agropest.store.completeness import still_stopped
from agropest.store.records import OUT_OF_MEMORY, EvaluationRecord, TrialState
from agropest.store.trial_folder import LostClaim, TrialFolder
from agropest.sweep.trial import TrialSpec
from agropest.tuning.ray.rays_processes import KEPT_OUT, let_signals_in
from agropest.tuning.workers.process_environment import ProcessEnvironment
from agropest.tuning.workers.warm_server import warm_server, without_server

if TYPE_CHECKING:
    from agropest.training.run_context import RunContext

GO_ON, INTERRUPT = "continue", "interrupt"
LOST = "lost claim"
# An interrupted child has this long to save its checkpoint; after that it ends without one.
INTERRUPT_LIMIT_S = 60.0


@dataclass(frozen=True)
class Job:
    """What a child is started with. It travels by pickle between our own processes."""

    trial: TrialSpec
    folder: Path
    context: RunContext
    note: str = ""  # is added to the trial's notes

    def packed(self) -> bytes:
        """Returns the job as bytes, which cost an actor that gets the jobs of a thousand trials next to nothing."""
        return zlib.compress(pickle.dumps(self), 1)

    @staticmethod
    def unpack(content: bytes) -> Job:
        """Returns the job of :meth:`packed`."""
        job: Job = pickle.loads(zlib.decompress(content))
        return job


def start(job: Job) -> tuple[BaseProcess, Connection]:
    """Starts a child and returns it with the actor's end of the pipe."""
    return fork(_main, (job,), job.trial.name)


def fork(target: Callable[..., None], arguments: tuple[Any, ...], name: str) -> tuple[BaseProcess, Connection]:
    """Starts ``target(*arguments, connection)`` in a warm process; returns it with our end of the pipe."""
    try:
        return _fork(target, arguments, name)
    except (ConnectionError, FileNotFoundError, EOFError):  # the server was killed
        without_server()
        return _fork(target, arguments, name)


def _fork(target: Callable[..., None], arguments: tuple[Any, ...], name: str) -> tuple[BaseProcess, Connection]:
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    inherited = ProcessEnvironment.of_this_process()
    process = context.Process(target=_begin, args=(inherited, target, *arguments, theirs), name=name, daemon=False)
    with contextlib.closing(theirs), _without_main_module(), warm_server().forks():
        process.start()
    return process, ours


def _begin(inherited: ProcessEnvironment, target: Callable[..., None], *arguments: Any) -> None:
    inherited.take_over()
    target(*arguments)


@contextlib.contextmanager
def _without_main_module() -> Iterator[None]:
    """Hides ``__main__`` (Ray's worker script) while a child is described: it would be run again there."""
    main = sys.modules["__main__"]
    hidden = {name: getattr(main, name, None) for name in ("__file__", "__spec__")}
    for name in hidden:
        setattr(main, name, None)
    try:
        yield
    finally:
        for name, value in hidden.items():
            setattr(main, name, value)


def _main(job: Job, connection: Connection) -> None:
    """The child: runs the trial with its output going to the trial's log."""
    # A session of its own: Ray kills an actor's process group, and Ctrl-C reaches the terminal's; both would take the
    # checkpoint that is to be saved with them. The pipe tells us when the actor is gone, so nothing is orphaned.
    os.setsid()
    gc.freeze()  # what the server has loaded stays shared: a collection would write to every object of it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    inbox = _Inbox(connection)
    for number in KEPT_OUT:
        signal.signal(number, lambda *_: inbox.interrupt())
    let_signals_in()
    folder = TrialFolder(job.folder)
    end: tuple[str, str, int]
    try:
        folder = folder.claim()
        log_to(folder)
        logging.getLogger(__name__).info("process %d of fork server %d", os.getpid(), os.getppid())
        from agropest.training.kinds import run_any_trial

        if job.note:
            status = folder.status()
            folder.write_status(replace(status, notes=(*status.notes, job.note)))

        def tell(record: EvaluationRecord) -> None:
            connection.send(("evaluation", record))
            inbox.wait_for_answer()

        status = run_any_trial(job.trial, folder, job.context, tell, inbox.interrupted.is_set)
        end = (status.status, status.reason, 0)
    except LostClaim:
        end = (LOST, "another process has taken this trial over", 0)
    except Exception as error:
        logging.getLogger(__name__).exception("the trial ended with an error")
        end = (*_failure(error), (error.errno or 0) if isinstance(error, OSError) else 0)
        with contextlib.suppress(OSError):  # a full disk: the status on disk stays what it was
            before = folder.status()
            if before.status == TrialState.STOPPED:  # what was damaged of it is being made again
                folder.write_status(still_stopped(before, end[1]))
            else:
                folder.write_status(replace(before, status=end[0], reason=end[1]))
    with contextlib.suppress(OSError):
        connection.send(("end", *end))
    logging.shutdown()
    os._exit(exit_codes.OK)  # atexit handlers and threads of libraries have nothing left to do here


def _failure(error: Exception) -> tuple[TrialState, str]:
    """Returns status and reason: what the machine did to a trial can be continued with, what it did itself cannot."""
    if isinstance(error, ChangedInput):
        return TrialState.INTERRUPTED, str(error)
    reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
    if is_out_of_gpu_memory(error):
        return TrialState.INTERRUPTED, OUT_OF_MEMORY
    # torch tells of a killed loader worker from a signal handler, in whatever line the trial happens to be.
    lost_worker = isinstance(error, RuntimeError) and "DataLoader worker" in str(error)
    return (TrialState.INTERRUPTED if isinstance(error, OSError) or lost_worker else TrialState.FAILED), reason


def log_to(folder: TrialFolder) -> None:
    """Sends stdout, stderr (also of C code) and logging to the trial's log."""
    folder.path.mkdir(parents=True, exist_ok=True)
    file = os.open(folder.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (1, 2):
        os.dup2(file, descriptor)
    os.close(file)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115 - for the life of the process
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    layout = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=logging.INFO, format=layout, stream=sys.stderr, force=True)
    logging.captureWarnings(True)


class _Inbox:
    """Reads the pipe in a thread, so that an interrupt is noticed while the trial trains."""

    def __init__(self, connection: Connection) -> None:
        self.interrupted = threading.Event()
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def wait_for_answer(self) -> None:
        """Waits for the answer to an evaluation, or an interrupt."""
        self._answers.get()

    def interrupt(self) -> None:
        """Asks the trial to end; ends the process hard when it has not within the limit."""
        if not self.interrupted.is_set():
            self.interrupted.set()
            limit = threading.Timer(INTERRUPT_LIMIT_S, os._exit, (exit_codes.LOST,))
            limit.daemon = True
            limit.start()
        self._answers.put(GO_ON)

    def _read(self, connection: Connection) -> None:
        while True:
            try:
                word = connection.recv()
            except (EOFError, OSError):
                word = INTERRUPT
            if word == INTERRUPT:
                self.interrupt()
                return
            self._answers.put(word)
