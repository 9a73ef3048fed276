"""Time and memory of a large data set: conversion, statistics, check, evaluation and bootstrap, each at two sizes.

    python -m benchmarks.bench_large_data [--images 100000] [--classes 365] [--resamples 1000] [--stages convert ...]

Draws small pictures that all differ, with boxes of many classes (Zipf's law), as a YOLO export: a quarter of the
pictures first, then all. Every stage runs in one process of its own. Prints its CPU seconds, seconds and peak memory at
both sizes, and the exponent with which the CPU time grows: 1 is linear.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

SIDE_PX, BOXES = 64, 5
SHARES = {"train": 0.8, "valid": 0.15, "test": 0.05}
STAGES = ("convert", "recognise", "stats", "check", "evaluate", "bootstrap")


def write_set(root: Path, num_images: int, num_classes: int) -> None:
    """Writes the set: every picture is 8x8 random colours enlarged to 64x64, every label has five boxes."""
    draw = np.random.default_rng(0)
    odds = 1 / np.arange(1, num_classes + 1)
    colours = draw.integers(0, 256, (num_images, 8, 8, 3), dtype=np.uint8)
    size = draw.uniform(0.1, 0.4, (num_images, BOXES, 2))
    centre = size / 2 + draw.uniform(0, 1, (num_images, BOXES, 2)) * (1 - size)
    classes = draw.choice(num_classes, (num_images, BOXES), p=odds / odds.sum())
    boxes = np.concatenate([centre, size], axis=2)
    ends = [round(sum(list(SHARES.values())[: i + 1]) * num_images) for i in range(len(SHARES))]
    for split, start, end in zip(SHARES, [0, *ends], ends, strict=False):
        for kind in ("images", "labels"):
            (root / split / kind).mkdir(parents=True)
        for i in range(start, end):
            content = io.BytesIO()
            picture = Image.fromarray(colours[i]).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
            picture.save(content, "JPEG", quality=80)
            (root / split / "images" / f"{i:06d}.jpg").write_bytes(content.getvalue())
            rows = zip(classes[i].tolist(), boxes[i].tolist(), strict=True)
            text = "".join(f"{c} {x:.6f} {y:.6f} {w:.6f} {h:.6f}\n" for c, (x, y, w, h) in rows)
            (root / split / "labels" / f"{i:06d}.txt").write_text(text)
    names = [f"class {i}" for i in range(num_classes)]
    (root / "data.yaml").write_text(f"train: train/images\nval: valid/images\ntest: test/images\nnames: {names}\n")


def run_stage(stage: str, root: Path, cache: Path, resamples: int) -> None:
    """Runs one stage in this process and prints what it took, as JSON."""
    work = _prepared(stage, root, cache, resamples)
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    took = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu, "peak_mib": peak / 1024}
    print(json.dumps(took))


def _prepared(stage: str, root: Path, cache: Path, resamples: int) -> Callable[[], object]:
    """Returns the work of a stage; what it starts from is read before."""
    from agropest.data.dataset import load_dataset
    from agropest.data.inspection.similarity import find_pairs, hash_pictures
    from agropest.data.inspection.summary import summarize
    from agropest.statistics.accuracy.average_precision import evaluate
    from agropest.statistics.bootstrap import paired_bootstrap
    from agropest.statistics.detections.boxes import GroundTruth
    from agropest.statistics.detections.matching import read_targets
    from benchmarks.synthetic import draw_detector

    if stage in ("convert", "recognise"):
        return lambda: load_dataset(root, cache, 1)
    dataset = load_dataset(root, cache)
    if stage == "stats":
        return lambda: summarize(dataset, None, 0.1)
    if stage == "check":
        return lambda: find_pairs(hash_pictures(dataset, 1))
    truth = GroundTruth.from_coco(dataset.split("valid").annotations)
    detectors = {name: draw_detector(np.random.default_rng(seed), truth) for seed, name in enumerate("ab")}
    if stage == "evaluate":
        return lambda: [evaluate(truth, boxes) for boxes in detectors.values()]
    return lambda: paired_bootstrap(read_targets(truth), detectors, resamples=resamples)


def measure(stage: str, root: Path, cache: Path, resamples: int) -> dict[str, float]:
    """Returns what a stage took in a process of its own."""
    words = ["--stage", stage, "--root", str(root), "--cache", str(cache), "--resamples", str(resamples)]
    command = [sys.executable, "-m", "benchmarks.bench_large_data", *words]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    took: dict[str, float] = json.loads(printed.splitlines()[-1])
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=100_000, metavar="N")
    parser.add_argument("--classes", type=int, default=365, metavar="N")
    parser.add_argument("--resamples", type=int, default=1000, metavar="N")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES, help="to measure; all need convert")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage:
        run_stage(arguments.stage, arguments.root, arguments.cache, arguments.resamples)
        return
    print(f"{arguments.classes} classes, {len(os.sched_getaffinity(0))} cores", flush=True)
    before: dict[str, float] = {}
    for num_images in (arguments.images // 4, arguments.images):
        cpu_s: dict[str, float] = {}
        with tempfile.TemporaryDirectory() as name:
            root, cache = Path(name, "set"), Path(name, "cache")
            write_set(root, num_images, arguments.classes)
            for stage in arguments.stages:
                took = measure(stage, root, cache, arguments.resamples)
                cpu_s[stage] = took["cpu_s"]
                grows = f", grows with exponent {math.log(cpu_s[stage] / before[stage], 4):.2f}" if before else ""
                print(
                    f"{num_images} images, {stage}: {took['cpu_s']:.1f} s of CPU, {took['wall_s']:.1f} s, "
                    f"{took['peak_mib']:.0f} MiB{grows}",
                    flush=True,
                )
        before = cpu_s


if __name__ == "__main__":
    main()
