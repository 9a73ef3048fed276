"""One trial in several processes of a machine: Detectron2's DDP, gloo on the CPU, NCCL on cards.

The trial's own process (rank 0) trains, evaluates, saves and decides, as ever. The others follow: each trains on its
part of every batch until rank 0 is through with them, and holds nothing that is worth keeping. So nobody has to agree
on an interruption, and no iteration waits for a word.

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
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from detectron2.config import CfgNode
from detectron2.engine.defaults import create_ddp_model
from detectron2.utils.events import EventStorage

from agropest.errors import TrialError, fault
from agropest.training.batches import BatchStream
from agropest.training.mapper import Record
from agropest.training.trainer import TrialTrainer

logger = logging.getLogger(__name__)

# While rank 0 evaluates, the others wait in their next exchange.
WAIT = datetime.timedelta(days=7)
LEAVE_S = 10


@dataclass(frozen=True)
class Task:
    """What a follower is started with. It travels by pickle between our own processes.

    Attributes:
        world_size: processes that train together, rank 0 among them.
        meeting_point: new file by which the ranks find each other.
    """

    cfg: CfgNode
    device: str
    records: list[Record]
    num_threads: int
    loader_workers: int
    seed: int
    start: int
    end: int
    world_size: int
    meeting_point: str = ""


@contextlib.contextmanager
def trained_together(trainer: TrialTrainer, task: Task) -> Iterator[None]:
    """Starts the followers for the time of a training and makes ``trainer`` train with them.

    Args:
        trainer: of rank 0, in the state of ``task.start``.
        task: with a world size of 1 nothing is started.

    Raises:
        TrialError: a batch cannot be cut into equal parts.
        ChildProcessError: a follower died.
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
    try:
        _join(trainer, task, 0)
        yield
    except RuntimeError as error:
        if any(process.exitcode not in (None, 0) for process, _ in followers):
            raise ChildProcessError(f"a process that trained with this one died: {error}") from error
        raise
    finally:
        trainer.training_model = trainer.model
        for process, connection in followers:
            connection.close()  # its end ends the process
            process.join(LEAVE_S)
            process.kill()
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


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
        trainer.ema = None  # rank 0 averages
        trainer.load_state(state)
    devices = [torch.cuda.current_device()] if task.device == "cuda" else None
    trainer.rank = rank
    trainer.training_model = create_ddp_model(trainer.model, device_ids=devices, broadcast_buffers=False)


def _follow(task: Task, rank: int, connection: Connection) -> None:
    """A follower's process."""
    threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
    torch.set_num_threads(task.num_threads)
    if task.device == "cuda":
        torch.cuda.set_device(rank)
    stream = BatchStream(task.records, task.cfg, task.seed, part=(rank, task.world_size))
    trainer = TrialTrainer(task.cfg, task.device)
    _join(trainer, task, rank)
    trainer.batches = stream.iterate(task.start, task.loader_workers)
    with EventStorage(task.start) as trainer.storage:
        for trainer.iter in range(task.start, task.end):
            trainer.run_step()
    os._exit(0)


def _end_with(connection: Connection) -> None:
    """Ends this process when rank 0 has closed its end of the pipe, or has died."""
    with contextlib.suppress(EOFError, OSError):
        connection.recv()
    os._exit(0)
