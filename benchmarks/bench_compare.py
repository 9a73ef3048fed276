"""Time and memory of ``compare`` on large files: several detectors, images and classes as in COCO, or more.

    python -m benchmarks.bench_compare [--images 5000] [--classes 80] [--detectors 5] [--resamples 2000]

Draws a ground truth with seven objects an image, of classes by Zipf's law, and detectors that find most of them and 20
boxes an image that are wrong. Writes them as COCO files, runs the command in a process of its own and prints its
seconds, its CPU seconds and the peak memory of its largest process and of all its processes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from agropest.statistics.detections.boxes import GroundTruth
from benchmarks.synthetic import draw_detector

SIDE_PX, OBJECTS, FALSE = 640, 7, 20.0


def draw_truth(random: np.random.Generator, num_images: int, num_classes: int) -> GroundTruth:
    """Returns a ground truth in which every class has objects."""
    odds = 1 / np.arange(1, num_classes + 1)
    number = num_images * OBJECTS
    classes = random.choice(num_classes, number, p=odds / odds.sum())
    classes[:num_classes] = np.arange(num_classes)
    size = random.uniform(20, 200, (number, 2))
    corner = random.uniform(0, 1, (number, 2)) * (SIDE_PX - size)
    boxes = np.concatenate([corner, size], axis=1).round(2).tolist()
    images = [
        {"id": i, "width": SIDE_PX, "height": SIDE_PX, "file_name": f"{i:06d}.jpg"} for i in range(1, num_images + 1)
    ]
    annotations = [
        {
            "id": i + 1,
            "image_id": i % num_images + 1,
            "category_id": int(classes[i]) + 1,
            "bbox": boxes[i],
            "area": boxes[i][2] * boxes[i][3],
            "iscrowd": 0,
        }
        for i in range(number)
    ]
    categories = [{"id": i + 1, "name": f"class {i}"} for i in range(num_classes)]
    return GroundTruth(images, categories, annotations)


def write_files(folder: Path, num_images: int, num_classes: int, num_detectors: int) -> list[str]:
    """Writes the ground truth and the detectors; returns their paths."""
    truth = draw_truth(np.random.default_rng(0), num_images, num_classes)
    paths = [folder / "truth.json"]
    paths[0].write_text(json.dumps(truth.to_coco()))
    for number in range(num_detectors):
        boxes = draw_detector(np.random.default_rng(number + 1), truth, 0.1 + 0.01 * number, FALSE)
        boxes = replace(boxes, score=boxes.score.round(4))
        paths.append(folder / f"detector{number}.json")
        paths[-1].write_text(json.dumps(boxes.to_coco_results()))
    return [str(path) for path in paths]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for option, value in (("--images", 5000), ("--classes", 80), ("--detectors", 5), ("--resamples", 2000)):
        parser.add_argument(option, type=int, default=value, metavar="N", help=f"default {value}")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        paths = write_files(Path(name), arguments.images, arguments.classes, arguments.detectors)
        size = sum(Path(path).stat().st_size for path in paths) / 2**20
        command = [sys.executable, "-m", "agropest", "compare", *paths, "--resamples", str(arguments.resamples)]
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        wall = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{arguments.detectors} detectors, {arguments.images} images, {arguments.classes} classes, "
        f"{arguments.resamples} resamples ({size:.0f} MiB of JSON), {len(os.sched_getaffinity(0))} cores: "
        f"{wall:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of CPU; largest process {used.ru_maxrss / 2**10:.0f} MiB"
    )


if __name__ == "__main__":
    main()
