"""A short trial that is thrown away: how fast a config trains and evaluates here, and what memory it takes at most.

The memory is that of the largest input: the images that are largest once resized to the largest training size, and
the batch of evaluated images that are largest. The speed is that of ordinary batches of the trial's own stream.

The learning rate is 0: the weights stay what they are, so that nothing diverges in the few iterations, whatever the
schedule. They are the trial's initial weights where those can be had, because the boxes that an untrained detector
finds take another time, and another memory, than a trained one's.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.utils.events import EventStorage

from agropest.errors import AgropestError
from agropest.modeling.precision import half_precision
from agropest.planning.measurement import Measurement
from agropest.sweep.trial import TrialSpec
from agropest.training.evaluation import IMAGES_PER_BATCH, TestTimeAugmentation, detect
from agropest.training.input.batches import BatchStream
from agropest.training.input.image_cache import open_split_cache
from agropest.training.input.mapper import Record, TestMapper, TrainMapper
from agropest.training.input.records import load_records
from agropest.training.processes.determinism import make_deterministic
from agropest.training.processes.gpu_memory import CONTEXT_BYTES
from agropest.training.run_context import RunContext
from agropest.training.start.weights import load_weights
from agropest.training.trainer import TrialTrainer
from agropest.training.trial import detectron2_config

logger = logging.getLogger(__name__)

WARM_UP_ITERS = 2
MIN_ITERS = 3
MAX_ITERS = 200
EVALUATION_BATCHES = 2


class Probe:
    """One probe in this process: prepare, then measure.

    Args:
        trial: whose config is measured.
        context: device, threads and loader workers to measure with.
    """

    def __init__(self, trial: TrialSpec, context: RunContext) -> None:
        self._started = time.perf_counter()
        torch.set_num_threads(context.num_threads)
        if context.deterministic:
            make_deterministic()
        self._trial, self._context = trial, context
        self._cfg = _at_rest(detectron2_config(trial, context.device))
        self._trainer = TrialTrainer(self._cfg, context.device, lean=context.lean)
        _load_initial_weights(self._trainer.model, self._cfg)
        self._splits = {name: load_records(name, *paths) for name, paths in context.splits.items()}
        annotations, images = context.splits["train"]
        records, place = self._splits["train"].dicts, (annotations.stem, images)  # as the trial names it
        cache = open_split_cache(context.image_cache, trial.data, place, records, self._cfg.INPUT.FORMAT)
        self._stream = BatchStream(records, self._cfg, trial.seed, cache=cache)
        self._start_s = time.perf_counter() - self._started
        self._iteration = 0

    def warm_up(self) -> None:
        """Trains and evaluates at the largest input: memory is at its most, kernels are chosen, files are read."""
        largest = largest_batch(self._stream.records, self._cfg, self._trial.seed)
        self._train(itertools.repeat(largest), WARM_UP_ITERS)
        split = self._splits["valid"]
        evaluated = largest_evaluated([r for one in self._splits.values() for r in one.dicts], self._cfg)
        model, mapper = self._trainer.evaluation_model(), TestMapper(self._cfg)
        with self._precision():
            detect(model, evaluated, mapper, split.category_ids)
            if self._cfg.TEST.AUG.ENABLED:
                detect(TestTimeAugmentation(self._cfg, model), evaluated[:1], mapper, split.category_ids)

    def measure(self, seconds: float, device: str, concurrent: int = 1) -> Measurement:
        """Returns the measurement.

        Args:
            seconds: to train for, at least; at least ``MIN_ITERS`` iterations are trained.
            device: its name.
            concurrent: processes that measure at this moment.
        """
        load_s = self._time_loading()
        step_s = self._time_training(seconds)
        return Measurement(
            device=device,
            threads=self._context.num_threads,
            loader_workers=self._context.loader_workers,
            step_s=step_s,
            load_s=load_s,
            evaluation_image_s=self._time_evaluation(),
            start_s=self._start_s,
            memory_bytes=self._memory_bytes(concurrent),
            concurrent=concurrent,
            lean=self._context.lean,
            deterministic=self._context.deterministic,
        )

    def _time_loading(self) -> float:
        """Returns seconds to prepare a batch of pictures that are decoded already, as they are after the first pass."""
        for n in range(MIN_ITERS):
            self._stream.batch(n)
        started = time.perf_counter()
        for n in range(MIN_ITERS):
            self._stream.batch(n)
        return (time.perf_counter() - started) / MIN_ITERS

    def _time_training(self, seconds: float) -> float:
        """Returns seconds per iteration; with loader workers, those are running when the clock starts."""
        batches = self._stream.iterate(0, self._context.loader_workers)
        try:
            self._train(batches, 1)
            self._synchronise()
            started, before = time.perf_counter(), self._iteration
            while True:
                self._train(batches, 1)
                done = self._iteration - before
                if done >= MIN_ITERS and (done >= MAX_ITERS or time.perf_counter() - started >= seconds):
                    break
            self._synchronise()
            return (time.perf_counter() - started) / done
        finally:
            batches.close()  # type: ignore[attr-defined]

    def _time_evaluation(self) -> float:
        split = self._splits["valid"]
        records = split.dicts[: EVALUATION_BATCHES * IMAGES_PER_BATCH]
        model = self._trainer.evaluation_model()
        with self._precision():
            return detect(model, records, TestMapper(self._cfg), split.category_ids).time_s / max(len(records), 1)

    def _precision(self) -> contextlib.AbstractContextManager[Any]:
        return half_precision(self._context.device, enabled=self._cfg.TEST.AMP.ENABLED)

    def _train(self, batches: Any, number: int) -> None:
        trainer = self._trainer
        trainer.batches = iter(batches)
        with EventStorage(self._iteration) as trainer.storage:
            for _ in range(number):
                trainer.iter = self._iteration
                trainer.run_step()
                self._iteration += 1

    def _synchronise(self) -> None:
        if self._context.device == "cuda":
            torch.cuda.synchronize()

    def _memory_bytes(self, concurrent: int) -> int:
        if self._context.device != "cuda":
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        free, total = torch.cuda.mem_get_info()
        # What the card holds beside torch's blocks: the context and the libraries of this process, for which a share's
        # limit leaves CONTEXT_BYTES. Of several processes it cannot be attributed.
        around = 0 if concurrent > 1 else total - free - torch.cuda.memory_reserved()
        around = max(CONTEXT_BYTES, around)
        return torch.cuda.max_memory_reserved() + around


def run_probe(
    trial: TrialSpec,
    context: RunContext,
    device: str,
    seconds: float,
    wait: Callable[[], None],
    concurrent: int = 1,
) -> Measurement:
    """Returns one measurement of a trial's config; nothing is stored.

    Args:
        device: its name.
        seconds: to train for.
        wait: is called once everything is warm, and returns when the clock may start (all probes together).
        concurrent: probes that run at this moment.

    Raises:
        torch.OutOfMemoryError: one such trial alone does not fit on the card.
        TrialError: the config cannot be trained.
    """
    probe = Probe(trial, replace(context, gpu_memory_fraction=0.0))
    probe.warm_up()
    wait()
    return probe.measure(seconds, device, concurrent)


def _at_rest(cfg: CfgNode) -> CfgNode:
    """Returns a config whose training changes no weight."""
    resting = cfg.clone()
    resting.defrost()
    resting.SOLVER.BASE_LR = 0.0
    resting.SOLVER.MAX_ITER = 10**9  # a scheduler does not go past its end, and a tiny schedule ends before the probe
    resting.SOLVER.LR_SCHEDULER_NAME = "WarmupMultiStepLR"  # GitHub main's cosine divides by the learning rate
    resting.freeze()
    return resting


def _load_initial_weights(model: torch.nn.Module, cfg: CfgNode) -> None:
    """Loads the trial's initial weights; where they cannot be had, the launch says so, and a probe does without."""
    try:
        load_weights(model, cfg.MODEL.WEIGHTS)
    except (AgropestError, OSError) as error:
        logger.warning("probing with random weights: %s", error)


def largest_evaluated(records: Sequence[Record], cfg: CfgNode) -> list[Record]:
    """Returns the images of the evaluation's largest batch: of one size, with the most pixels in all."""
    by_size: dict[tuple[int, int], list[Record]] = defaultdict(list)
    for record in records:
        by_size[record["height"], record["width"]].append(record)
    batches = [alike[:IMAGES_PER_BATCH] for alike in by_size.values()]
    sizes = cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST
    return max(batches, key=lambda batch: len(batch) * _resized_area(batch[0], *sizes))


def largest_batch(records: Sequence[Record], cfg: CfgNode, seed: int) -> list[Record]:
    """Returns a batch of the images that are largest at the network's input, at the largest training size."""
    largest = cfg.clone()
    largest.defrost()
    largest.INPUT.MIN_SIZE_TRAIN = [max(cfg.INPUT.MIN_SIZE_TRAIN)]
    largest.INPUT.CROP.ENABLED = False
    largest.INPUT.COPY_PASTE.PROB = 0.0
    largest.freeze()
    # Most pixels after the resize, then most boxes: an image with many boxes keeps more matches in memory.
    sizes = largest.INPUT.MIN_SIZE_TRAIN[0], largest.INPUT.MAX_SIZE_TRAIN
    order = sorted(records, key=lambda r: (-_resized_area(r, *sizes), -len(r["annotations"])))
    chosen = (order * cfg.SOLVER.IMS_PER_BATCH)[: cfg.SOLVER.IMS_PER_BATCH]
    mapper = TrainMapper(chosen, largest, cache_bytes=0)
    return [mapper(index, (seed, 0, index)) for index in range(len(chosen))]


def _resized_area(record: Record, min_size_px: int, max_size_px: int) -> float:
    """Returns the pixels of an image after Detectron2's ``ResizeShortestEdge``; a minimum of 0 leaves it as it is."""
    short, long = sorted((record["height"], record["width"]))
    scale = min(min_size_px / short, max_size_px / long) if min_size_px else 1.0
    return float(short * scale) * float(long * scale)
