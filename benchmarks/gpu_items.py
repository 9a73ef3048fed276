"""What may make one trial on a card faster, one change at a time: the table at the end of ``bench_gpu``.

Each row is measured in a process of its own. A row that needs a card is named as skipped where there is none.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agropest.data.dataset import Dataset
from agropest.machine import Card
from agropest.sweep.sections.resources import Resources
from agropest.sweep.trial import TrialSpec
from agropest.training.run_context import RunContext
from agropest.tuning.workers.card_sharing import TOOL, card_sharing, is_running
from agropest.tuning.workers.probing import ProbeError, ProbeJob, run_together
from benchmarks.bench_iteration import block, our_trainer, trial_of

WARM_UP = 3


@dataclass(frozen=True)
class Item:
    """One way to train.

    Attributes:
        settings: of the trial.
        change: a name of ``CHANGES``, applied to the trainer.
        against: name of the row that it is compared with.
        needs_card: whether it says nothing, or does not exist, on the CPU.
    """

    name: str
    settings: tuple[str, ...] = ()
    change: str = ""
    against: str = "ours"
    lean: bool = False
    needs_card: bool = True


@dataclass(frozen=True)
class Place:
    """Where and how long is measured."""

    dataset: Dataset
    folder: Path
    config: str
    settings: tuple[str, ...]
    workers: int
    device: str
    seconds: float


@dataclass(frozen=True)
class Rate:
    """What a row has come to: images per second and the most memory in GiB, or why there is nothing."""

    item: Item
    images_per_s: float = 0.0
    memory_gib: float = 0.0
    problem: str = ""


def items(largest_px: int) -> list[Item]:
    """Returns the rows that are one trial alone, each after the one that it is compared with.

    Args:
        largest_px: short side at which pictures of one size are compared.
    """
    amp, last, one_size = "SOLVER.AMP.ENABLED=true", "MODEL.CHANNELS_LAST=true", f"INPUT.MIN_SIZE_TRAIN=[{largest_px}]"
    return [
        Item("ours", needs_card=False),
        Item("copies from pageable memory", change="pageable"),
        Item("lean modules", lean=True, needs_card=False),
        Item("mixed precision, bfloat16", (amp,), "bfloat16", needs_card=False),
        Item("mixed precision, float16", (amp,)),
        Item("channels last", (last,), needs_card=False),
        Item("lean, float16, channels last", (amp, last), lean=True),
        Item("TF32 in matrix products", change="tf32"),
        Item("cudnn.benchmark", ("CUDNN_BENCHMARK=true",)),
        Item("one size", (one_size,), needs_card=False),
        Item("one size, cudnn.benchmark", (one_size, "CUDNN_BENCHMARK=true"), against="one size"),
        Item("one size, torch.compile of the backbone", (one_size,), "compile", against="one size"),
    ]


def _pageable(trainer: Any) -> None:
    import agropest.training.trainer as module

    module.on_device = lambda batch, device: batch  # type: ignore[assignment]


def _bfloat16(trainer: Any) -> None:
    import torch

    def losses_of(batch: Any) -> Any:
        with torch.autocast(trainer.device.type, dtype=torch.bfloat16):
            return trainer.training_model(batch)

    trainer._losses_of = losses_of
    trainer.scaler = torch.amp.GradScaler(trainer.device.type, enabled=False)  # bfloat16 has the range of float32


def _tf32(trainer: Any) -> None:
    import torch

    torch.set_float32_matmul_precision("high")


def _compile(trainer: Any) -> None:
    import torch

    trainer.model.backbone = torch.compile(trainer.model.backbone)


CHANGES: dict[str, Callable[[Any], None]] = {
    "pageable": _pageable,
    "bfloat16": _bfloat16,
    "tf32": _tf32,
    "compile": _compile,
}


def measured(item: Item, place: Place) -> Rate:
    """Returns one row; runs in a process of its own."""
    import torch

    trial = trial_of(place.dataset, place.folder, place.config, _joined(place.settings, item.settings))
    trainer = our_trainer(trial, place.dataset, place.folder, place.workers, place.device, lean=item.lean)
    if item.change:
        CHANGES[item.change](trainer)
    try:
        block(trainer.run_step, trainer, WARM_UP)
        started, done = time.perf_counter(), 0
        while time.perf_counter() - started < place.seconds or done < WARM_UP:
            block(trainer.run_step, trainer, 1)
            done += 1
        taken = time.perf_counter() - started
    finally:
        trainer.batches.close()  # type: ignore[attr-defined]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if place.device == "cuda":
        peak = torch.cuda.max_memory_reserved()
    return Rate(item, done * trial.config["SOLVER.IMS_PER_BATCH"] / taken, peak / 2**30)


def _joined(settings: Sequence[str], more: Sequence[str]) -> list[str]:
    """Returns the settings, of two that give one key the later."""
    return list({setting.partition("=")[0]: setting for setting in (*settings, *more)}.values())


def rates(place: Place, largest_px: int, until: float) -> Iterator[Rate]:
    """Yields each row as it is measured; one that fails, or would begin too late, says so.

    Args:
        until: of ``time.monotonic``: no row begins later.
    """
    for item in items(largest_px):
        if item.needs_card and place.device != "cuda":
            yield Rate(item, problem="skipped: needs a card")
        elif time.monotonic() > until:
            yield Rate(item, problem="skipped: the time is over")
        else:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
                try:
                    yield alone.submit(measured, item, place).result()
                except Exception as error:  # the other rows are to be had all the same
                    yield Rate(item, problem=f"failed: {type(error).__name__}: {str(error).strip().splitlines()[:1]}")


def sharing_rates(place: Place, card: Card, until: float) -> Iterator[Rate]:
    """Yields what two trials on one card train together: taking turns, and through CUDA MPS."""
    turns, mps = Item("two together, taking turns"), Item("two together, through CUDA MPS")
    trial = trial_of(place.dataset, place.folder, place.config, list(place.settings))
    for item in (turns, mps):
        said: list[str] = []
        if place.device != "cuda":
            yield Rate(item, problem="skipped: needs a card")
        elif time.monotonic() > until:
            yield Rate(item, problem="skipped: the time is over")
        elif item is turns and is_running():
            yield Rate(item, problem="skipped: an MPS daemon runs here already")
        else:
            sharing = replace(trial, resources=Resources(gpus=0.5, mps=item is mps))
            with card_sharing([sharing], said.append):
                if item is mps and not is_running():
                    yield Rate(item, problem=f"skipped: {said[0] if said else f'no {TOOL}'}")
                    continue
                yield _together(item, trial, place, card)


def _together(item: Item, trial: TrialSpec, place: Place, card: Card) -> Rate:
    context = RunContext(place.dataset.paths, device=place.device, loader_workers=place.workers, lean=False)
    try:
        found = run_together(ProbeJob(trial, context, card.name, place.folder / "log.txt", 2, place.seconds))
    except ProbeError as error:
        return Rate(item, problem=f"failed: {error}")
    images = sum(trial.config["SOLVER.IMS_PER_BATCH"] / one.step_s for one in found)
    return Rate(item, images, max(one.memory_bytes for one in found) / 2**30)


def table(found: Sequence[Rate]) -> str:
    """Returns the rows as a table in text."""
    known = {one.item.name: one.images_per_s for one in found if not one.problem}
    lines = [f"{'':<42} {'images/s':>9} {'times':>6} {'GiB':>6}  against"]
    for one in found:
        peer = known.get(one.item.against)
        if one.problem:
            lines.append(f"{one.item.name:<42} {one.problem}")
        else:
            times = f"{one.images_per_s / peer:.2f}" if peer else "-"
            lines.append(
                f"{one.item.name:<42} {one.images_per_s:>9.1f} {times:>6} {one.memory_gib:>6.1f}  {one.item.against}"
            )
    return "\n".join(lines)
