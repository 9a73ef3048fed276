"""One trial in several processes of a machine: Detectron2's DDP, gloo on the CPU, NCCL on cards.

The trial's own process (rank 0) trains, evaluates, saves and decides, as ever. The others follow: each trains on its
part of every batch until rank 0 is through with them, and holds nothing that is worth keeping. So the processes need
not agree on an interruption, and no iteration waits for a message.

A follower that is lost is noticed twice. With gloo the next exchange fails at once. NCCL's continues waiting, in a call
that no exception reaches: there a thread that watches the followers ends this process, and its exit code says why.

The batches are those of one process, cut into equal parts, and the gradient is the mean over the parts. What differs
from one process is the order of sums, and which anchors and proposals are sampled: each rank draws for its own images.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import logging
import multiprocessing
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from detectron2.config import CfgNode
from detectron2.engine.defaults import create_ddp_model
from detectron2.utils.events import EventStorage

from agropest import exit_codes
from agropest.errors import (
    AgropestError,
    ChangedInput,
    TrialError,
    fault,
    is_out_of_gpu_memory,
)
from agropest.training.input.batches import BatchStream
from agropest.training.input.mapper import Record
from agropest.training.processes.determinism import make_deterministic
from agropest.training.trainer import TrialTrainer

logger = logging.getLogger(__name__)

# While rank 0 evaluates, the others wait in their next exchange.
WAIT = datetime.timedelta(days=7)
LEAVE_S = 10
# An exchange fails a moment before or after the process that it fails for is seen to have ended.
SETTLE_S = 2.0
# So long an exchange has to fail by itself once a follower is lost.
NOTICE_S = 20.0
LEAVE = "leave"


@dataclass(frozen=True)
class Task:
    """What a follower is started with. It travels by pickle between our own processes.

    Attributes:
        world_size: processes that train together, rank 0 among them.
        lean: as in ``RunContext``, as ``deterministic``.
        meeting_point: new file by which the ranks find each other.
    """

    cfg: CfgNode
    device: str
    records: Sequence[Record]
    num_threads: int
    loader_workers: int
    seed: int
    start: int
    end: int
    world_size: int
    training_version: int
    lean: bool = True
    deterministic: bool = False
    meeting_point: str = ""


@contextlib.contextmanager
def trained_together(trainer: TrialTrainer, task: Task) -> Iterator[None]:
    """Starts the followers for the time of a training and makes ``trainer`` train with them.

    Args:
        trainer: of rank 0, in the state of ``task.start``.
        task: with a world size of 1 nothing is started.

    Raises:
        TrialError: a batch cannot be cut into equal parts, or a follower failed by the trial's doing.
        ChildProcessError: a follower died.
        torch.OutOfMemoryError: a follower's card was too small.
    """
    if task.world_size == 1:
        yield
        return
    require_equal_parts(task.cfg.SOLVER.IMS_PER_BATCH, task.world_size)
    with (
        tempfile.TemporaryDirectory(prefix="agropest-ranks-") as folder,
        _followed(trainer, replace(task, meeting_point=str(Path(folder, "meet")))),
    ):
        yield


@contextlib.contextmanager
def _followed(trainer: TrialTrainer, task: Task) -> Iterator[None]:
    context = multiprocessing.get_context("forkserver")
    followers: list[tuple[BaseProcess, Connection]] = []
    for rank in range(1, task.world_size):
        ours, theirs = context.Pipe()
        # Not a daemon: those may not have loader workers.
        process: BaseProcess = context.Process(target=_follow, args=(task, rank, theirs))
        process.start()
        theirs.close()
        followers.append((process, ours))
    watch, is_through = _Watch(followers), False
    try:
        _join(trainer, task, 0)
        yield
        is_through = True
    except RuntimeError as error:
        lost = watch.lost(SETTLE_S)
        if lost is not None:
            raise lost.as_error() from error
        raise
    finally:
        watch.end()
        trainer.training_model = trainer.model
        # NCCL's group is left by all ranks together, or not at all: an interrupted trial's process ends anyway.
        if is_through:
            for _, connection in followers:
                with contextlib.suppress(OSError):
                    connection.send(LEAVE)
        if torch.distributed.is_initialized() and (is_through or task.device != "cuda"):
            torch.distributed.destroy_process_group()
        for process, connection in followers:
            connection.close()  # its end ends the process
            process.join(LEAVE_S)
            process.kill()


# Errors that rank 0 raises as they are.
TOLD_AS: dict[str, type[AgropestError]] = {"trial": TrialError, "input": ChangedInput}


@dataclass(frozen=True)
class _Lost:
    """Why a follower ended before its time: by a signal or an exit (no kind), or with an error that it has sent."""

    text: str
    kind: str = ""

    @staticmethod
    def of(error: Exception) -> _Lost:
        kinds = {"memory": is_out_of_gpu_memory(error), **{name: isinstance(error, c) for name, c in TOLD_AS.items()}}
        kind = next((name for name, is_it in kinds.items() if is_it), "")
        return _Lost(str(error) if kind in TOLD_AS else f"{type(error).__name__}: {error}", kind)

    def as_error(self) -> Exception:
        if self.kind == "memory":
            return torch.OutOfMemoryError(self.text)
        if self.kind in TOLD_AS:
            return TOLD_AS[self.kind](self.text)
        return ChildProcessError(f"a process that trained with this one died: {self.text}")

    @property
    def exit_code(self) -> int:
        codes = {"memory": exit_codes.OUT_OF_GPU_MEMORY, "trial": exit_codes.FAILED, "input": exit_codes.CHANGED_INPUT}
        return codes.get(self.kind, exit_codes.LOST)


class _Watch:
    """Notices in a thread that a follower is lost, and ends this process where its training does not notice."""

    def __init__(self, followers: list[tuple[BaseProcess, Connection]]) -> None:
        self._followers = followers
        self._first: _Lost | None = None
        self._noticed, self._ended = threading.Event(), threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def lost(self, seconds: float) -> _Lost | None:
        """Returns why a follower was lost, if one is within some seconds."""
        self._noticed.wait(seconds)
        return self._first

    def end(self) -> None:
        """From now on followers may end."""
        self._ended.set()

    def _run(self) -> None:
        places: list[Any] = [thing for process, pipe in self._followers for thing in (process.sentinel, pipe)]
        try:
            wait(places)
        except (OSError, ValueError):  # a pipe that is closed at the end
            return
        if self._ended.is_set():
            return
        self._first = next(filter(None, map(self._why, self._followers)), _Lost("it has ended"))
        logger.error("a process that trained with this one is lost: %s", self._first.text)
        self._noticed.set()
        if not self._ended.wait(NOTICE_S):
            os._exit(self._first.exit_code)

    @staticmethod
    def _why(follower: tuple[BaseProcess, Connection]) -> _Lost | None:
        process, pipe = follower
        with contextlib.suppress(EOFError, OSError):
            if pipe.poll():
                lost: _Lost = pipe.recv()
                return lost
        process.join(1)
        return None if process.exitcode is None else _Lost(f"exit code {process.exitcode}")


def require_equal_parts(batch_size: int, world_size: int) -> None:
    """Refuses a batch that the processes cannot share equally.

    Raises:
        TrialError: it is not a multiple of their number.
    """
    if batch_size % world_size:
        rule = f"expected a multiple of the {world_size} processes that train together"
        fix = "change it, or resources.processes (resources.gpus)"
        raise TrialError(fault("SOLVER.IMS_PER_BATCH", rule, batch_size, fix))


def _join(trainer: TrialTrainer, task: Task, rank: int) -> None:
    """Meets the other ranks, takes over the state of rank 0, and wraps the model."""
    # What is exchanged stays on this machine.
    os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = "lo"
    torch.distributed.init_process_group(
        "nccl" if task.device == "cuda" else "gloo",
        init_method=f"file://{task.meeting_point}",
        rank=rank,
        world_size=task.world_size,
        timeout=WAIT,
    )
    content: list[Any] = [None]
    if rank == 0:
        buffer = io.BytesIO()
        torch.save(trainer.state(), buffer)
        content = [buffer.getvalue()]
    torch.distributed.broadcast_object_list(content, src=0)
    if rank:
        state = torch.load(io.BytesIO(content[0]), map_location="cpu", weights_only=True)
        trainer.averages = {}  # rank 0 averages
        trainer.load_state(state)
    devices = [torch.cuda.current_device()] if task.device == "cuda" else None
    trainer.rank = rank
    trainer.training_model = create_ddp_model(trainer.model, device_ids=devices, broadcast_buffers=False)


def _follow(task: Task, rank: int, connection: Connection) -> None:
    """A follower's process."""
    may_leave = threading.Event()
    threading.Thread(target=_end_with, args=(connection, may_leave), daemon=True).start()
    try:
        _train_along(task, rank)
    except Exception as error:
        logger.exception("rank %d ended with an error", rank)
        with contextlib.suppress(OSError):
            connection.send(_Lost.of(error))
        os._exit(exit_codes.LOST)
    may_leave.wait()
    torch.distributed.destroy_process_group()
    os._exit(exit_codes.OK)


def _train_along(task: Task, rank: int) -> None:
    """Trains on this rank's part of every batch, as often as rank 0 will."""
    torch.set_num_threads(task.num_threads)
    if task.deterministic:
        make_deterministic()
    if task.device == "cuda":
        torch.cuda.set_device(rank)
    stream = BatchStream(task.records, task.cfg, task.seed, part=(rank, task.world_size))
    trainer = TrialTrainer(task.cfg, task.device, task.training_version, lean=task.lean)
    _join(trainer, task, rank)
    trainer.batches = stream.iterate(task.start, task.loader_workers)
    with EventStorage(task.start) as trainer.storage:
        for trainer.iter in range(task.start, task.end):
            trainer.run_step()


def _end_with(connection: Connection, may_leave: threading.Event) -> None:
    """Hears that the training is through; ends this process when rank 0 has closed its end of the pipe, or has died."""
    with contextlib.suppress(EOFError, OSError):
        while connection.recv() == LEAVE:
            may_leave.set()
    os._exit(exit_codes.OK)
