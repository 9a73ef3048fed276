"""Parameters, operations, latency and memory of a trained model, each in a process of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import statistics
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from agropest.analysis.models.inference_cost import InferenceCost
from agropest.analysis.models.model_choice import ChosenModel
from agropest.deployment.config import deployed_config, merged
from agropest.deployment.detector import Detector
from agropest.deployment.weights import evaluated_weights
from agropest.modeling.build import count_parameters

NUM_WARM = 3


def measure(
    chosen: ChosenModel, pictures: Sequence[Path], device: str, threads: int, num_runs: int
) -> tuple[InferenceCost, tuple[int, int]]:
    """Returns what a model costs, and height and width of the first picture at its input.

    It is measured in a process of its own, so that the memory of one model is not what another has left.

    Raises:
        StoreError: its checkpoint is gone.
        TrialError: a picture cannot be read.
    """
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(measured_here, (chosen, list(pictures), device, threads, num_runs))


def measured_here(
    chosen: ChosenModel, pictures: Sequence[Path], device: str, threads: int, num_runs: int
) -> tuple[InferenceCost, tuple[int, int]]:
    """Returns the same, measured in this process."""
    torch.set_num_threads(threads)
    warnings.filterwarnings("ignore", message="torch.meshgrid")  # Detectron2's, on today's torch
    state = evaluated_weights(chosen)
    before = _start_memory(device)
    detector = Detector(merged(deployed_config(chosen.trial), device), state, device)
    items = [detector.prepare(path) for path in pictures]
    operations = count_operations(detector, items[0])
    seconds = run_times(detector, items, num_runs)
    fast, median, slow = statistics.quantiles(seconds, n=4)
    height, width = items[0]["image"].shape[1:]
    cost = InferenceCost(
        label=chosen.trial.label,
        seed=chosen.trial.seed,
        signature=chosen.trial.signature,
        parameters=count_parameters(detector.plain)[0],
        gflops=operations / 1e9,
        latency_ms=1000 * median,
        fast_ms=1000 * fast,
        slow_ms=1000 * slow,
        memory_mib=(_peak_memory(device) - before) / 2**20,
    )
    return cost, (int(height), int(width))


def run_times(detector: Detector, items: Sequence[dict[str, Any]], num_runs: int) -> list[float]:
    """Returns the seconds of each run after those that warm the model; the pictures take turns."""
    seconds = []
    for number in range(NUM_WARM + num_runs):
        item = items[number % len(items)]
        _wait(detector.device)
        started = time.perf_counter()
        with torch.inference_mode():
            detector.model([item])
        _wait(detector.device)
        seconds.append(time.perf_counter() - started)
    return seconds[NUM_WARM:]


def count_operations(detector: Detector, item: dict[str, Any]) -> int:
    """Returns the floating point operations of one picture's convolutions and matrix products."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        detector.model([item])
    return int(counter.get_total_flops())


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _start_memory(device: str) -> int:
    """Returns the bytes in use now, and lets the peak begin anew."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return 0
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak that VmHWM tells begins here
    return _kib("VmRSS") * 1024


def _peak_memory(device: str) -> int:
    return int(torch.cuda.max_memory_reserved()) if device == "cuda" else _kib("VmHWM") * 1024


def _kib(name: str) -> int:
    """Returns a figure of /proc/self/status; getrusage's peak would be the parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
