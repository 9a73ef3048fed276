"""The batch stream: batch n of a trial is a pure function of its seed and n.

Neither the number of loader workers nor an interruption changes which images a batch holds or how they are augmented.
Detectron2's own samplers are infinite iterators that start over when a run is resumed.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import warnings
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import torch.utils.data
from detectron2.config import CfgNode

from agropest.errors import ChangedInput, TrialError, fault
from agropest.training.input import handover
from agropest.training.input.batch_plan import BatchPlan
from agropest.training.input.image_cache import ImageCache
from agropest.training.input.mapper import CACHE_BYTES, Record, TrainMapper
from agropest.training.input.packed_records import PackedRecords
from agropest.training.input.samplers import make_sampler

logger = logging.getLogger(__name__)

Batch = list[dict[str, Any]]


class BatchStream:
    """The batches of one trial.

    Args:
        records: Detectron2 data set dicts, class indices contiguous from 0.
        cfg: effective Detectron2 config: sampler, batch size, aspect-ratio grouping, augmentation.
        seed: of the trial.
        cache_bytes: of decoded images, over all workers; a set that does not fit is decoded anew each time.
        cache: of decoded images, shared with other trials; then none is kept here.
        part: (rank, number of ranks): of every batch that part is prepared; see ``training.processes.distributed``.

    Raises:
        TrialError: no image is left to train on, or a class index is not one of the model's.
    """

    def __init__(
        self,
        records: Sequence[Record],
        cfg: CfgNode,
        seed: int,
        cache_bytes: int = CACHE_BYTES,
        cache: ImageCache | None = None,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        if cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS:
            records = PackedRecords(r for r in records if any(not a.get("iscrowd", 0) for a in r["annotations"]))
        if not records:
            fix = "check the data set, or set DATALOADER.FILTER_EMPTY_ANNOTATIONS: false"
            raise TrialError(fault("training images", "expected at least one image with a box", 0, fix))
        self.records, self.seed, self._cache_bytes = records, seed, cache_bytes
        rank, world_size = part
        share = cfg.SOLVER.IMS_PER_BATCH // world_size
        self._slots = range(rank * share, (rank + 1) * share)
        self._mapper = TrainMapper(records, cfg, cache_bytes, cache)
        self._largest_px = (max(cfg.INPUT.MIN_SIZE_TRAIN), cfg.INPUT.MAX_SIZE_TRAIN)
        self._plan = BatchPlan(
            make_sampler(
                cfg.DATALOADER.SAMPLER_TRAIN,
                _classes(records, cfg.MODEL.ROI_HEADS.NUM_CLASSES),
                cfg.MODEL.ROI_HEADS.NUM_CLASSES,
                cfg.DATALOADER.REPEAT_THRESHOLD,
                seed,
                use_sqrt=cfg.DATALOADER.get("REPEAT_SQRT", True),  # Detectron2 0.6 has no such key
            ),
            cfg.SOLVER.IMS_PER_BATCH,
            [int(r["width"] <= r["height"]) if cfg.DATALOADER.ASPECT_RATIO_GROUPING else 0 for r in records],
        )

    def images(self, n: int) -> list[int]:
        """Returns which of ``records`` batch ``n`` holds, as indices."""
        return self._plan.batch(n)

    def batch(self, n: int) -> Batch:
        """Returns batch ``n``, counted from 0 over the whole training, as Detectron2's models take it.

        Raises:
            TrialError: an image cannot be read.
        """
        images = self.images(n)
        return [self._mapper(images[slot], (self.seed, n, slot)) for slot in self._slots]

    def iterate(self, start: int, num_workers: int) -> Iterator[Batch]:
        """Yields batch ``start`` and all that follow, without end. Closing it ends the workers.

        Args:
            start: number of the first batch.
            num_workers: processes that prepare batches ahead; 0: the calling one does, when asked.

        Raises:
            TrialError: an image cannot be read.
            ChildProcessError: a worker was killed.
        """
        if num_workers == 0:
            yield from map(self.batch, count(start))
        else:
            yield from self._from_workers(start, num_workers)

    def _from_workers(self, start: int, num_workers: int) -> Iterator[Batch]:
        by_pipe = not handover.has_room(len(self._slots), self._largest_px, num_workers)
        if by_pipe:
            logger.warning("%s has too little room: batches go through pipes", handover.PLACE)
        with warnings.catch_warnings():
            # How many workers is the user's choice.
            warnings.filterwarnings("ignore", ".*worker processes in total", UserWarning)
            # Python 3.12 warns of fork in a process with threads. The workers use neither torch's threads nor a GPU.
            warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)
            loader = torch.utils.data.DataLoader(
                _Numbered(self, by_pipe),
                batch_size=None,
                sampler=_From(start),
                num_workers=num_workers,
                # A trial's process comes from a fork server, whose way of starting processes it would inherit: the
                # stream would have to travel by pickle, and its images be decoded anew in each.
                multiprocessing_context="fork",
                collate_fn=_as_is,
                worker_init_fn=_start_worker,
                generator=torch.Generator(),  # else the loader draws from the generator that the training uses
            )
            prepared = iter(loader)
        try:
            while True:
                batch = _next(prepared)
                if isinstance(batch, TrialError | ChangedInput):
                    raise batch
                yield handover.unpacked(batch) if isinstance(batch, bytes) else batch
        finally:
            _end_workers(prepared)


class _Numbered(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """A stream as a data set whose items are batches; as bytes where they go through pipes."""

    def __init__(self, stream: BatchStream, by_pipe: bool) -> None:
        self.stream, self.by_pipe = stream, by_pipe

    def __getitem__(self, n: int) -> Batch | bytes | TrialError | ChangedInput:
        try:
            batch = self.stream.batch(n)
            return handover.packed(batch) if self.by_pipe else batch
        except (TrialError, ChangedInput) as error:
            return error  # raised in a worker, it would arrive with the worker's traceback as its message


class _From(torch.utils.data.Sampler[int]):
    """Batch numbers from ``start`` on, without end."""

    def __init__(self, start: int) -> None:
        self.start = start

    def __iter__(self) -> Iterator[int]:
        return count(self.start)


def _next(prepared: Iterator[Any]) -> Any:
    try:
        return next(prepared)
    except (RuntimeError, ConnectionError, FileNotFoundError, EOFError) as error:
        # torch says "DataLoader worker ... is killed" or "exited"; a half-sent batch breaks off with the others.
        if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
            raise
        raise ChildProcessError(f"a DataLoader worker was killed: {error}") from error


def _end_workers(prepared: Any) -> None:
    """Ends the workers at once, not when the loader is collected; none is left."""
    try:
        prepared._shutdown_workers()
    except RuntimeError as error:  # torch's signal handler tells of a killed worker in whatever line it happens to be
        if "DataLoader worker" not in str(error):
            raise
    for worker in prepared._workers:  # torch tells one that does not listen after 5 s to end, and does not wait for it
        worker.join(timeout=5)
        if worker.is_alive():
            worker.kill()
            worker.join()


def _start_worker(worker: int) -> None:
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the trial ends its workers
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not the trial's handler, which was inherited
    info: Any = torch.utils.data.get_worker_info()
    stream: BatchStream = info.dataset.stream
    stream._mapper.reader.keep_within(stream._cache_bytes // info.num_workers)


def _as_is(batch: Any) -> Any:
    return batch


def _classes(records: Sequence[Record], num_classes: int) -> list[list[int]]:
    classes = [[a["category_id"] for a in record["annotations"]] for record in records]
    highest = max((c for its in classes for c in its), default=-1)
    if highest >= num_classes:
        rule = f"expected class indices below MODEL.ROI_HEADS.NUM_CLASSES ({num_classes})"
        raise TrialError(fault("training images", rule, highest, "set it to the number of classes of the data set"))
    return classes
