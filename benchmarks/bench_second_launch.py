"""How long the second launch of a finished sweep takes: ``python -m benchmarks.bench_second_launch --trials 100``.

The store is made up: every trial finished, with ten evaluations and a test, boxes for as many images as AgroPest-12 has
(1,095 validation, 546 test, twelve boxes each). What is timed is ``launch.py`` from its start to its end, with an empty
replicate cache (the first time the statistics are computed) and with a full one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from agropest.data.dataset import load_dataset
from agropest.data.demo.draw import draw_demo_dataset
from agropest.statistics.detections.boxes import Boxes, GroundTruth
from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.store import Store
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep

ROOT = Path(__file__).resolve().parents[1]
MAX_ITER, PERIOD = 25000, 2500


def finished_sweep(folder: Path, num_trials: int, num_images: int, num_boxes: int) -> tuple[Path, Path]:
    """Makes up a finished sweep; returns its file and its results folder."""
    data, results = folder / "data", folder / "results"
    draw_demo_dataset(data, seed=3, train=8, valid=num_images, test=max(1, num_images // 2), image_size_px=64)
    file = folder / "finished.yaml"
    file.write_text(
        f"base: {ROOT / 'configs' / 'demo.yaml'}\ndata: {data}\nseeds: [1]\nsilence: [no-effect]\nstop: none\n"
        f"config: {{SOLVER.MAX_ITER: {MAX_ITER}, TEST.EVAL_PERIOD: {PERIOD}}}\nvariants:\n"
        + "".join(f"  v{i}: {{SOLVER.BASE_LR: {0.001 * (i + 1):.3f}}}\n" for i in range(num_trials))
    )
    store = Store(results)
    dataset = load_dataset(data, results / "data")
    draw = np.random.default_rng(0)
    truths = {split: GroundTruth.from_coco(dataset.splits[split].annotations) for split in ("valid", "test")}
    boxes = {split: _boxes(truth, num_boxes, draw) for split, truth in truths.items()}
    for trial in expand_trials(load_sweep(file), dataset.fingerprint, dataset.class_names):
        claimed = store.folder(trial).claim()
        claimed.write_spec(trial, "finished")
        for split, iterations in (("valid", range(PERIOD, MAX_ITER + 1, PERIOD)), ("test", [MAX_ITER])):
            for iteration in iterations:
                value = 40 * iteration / MAX_ITER + float(draw.uniform(0, 1))
                found = boxes[split]
                metrics = dict.fromkeys(("AP", "AP50", "AP75", "APm", "APl", "AP_deployed"), value) | {"APs": None}
                metrics |= {f"AP-{name}": value for name in dataset.class_names}
                record = EvaluationRecord(split, iteration, metrics, len(found), len(truths[split].images), 1.0)
                claimed.write_evaluation(record, found.save)
        claimed.write_status(Status(TrialState.FINISHED, MAX_ITER, 3000.0))
    return file, results


def _boxes(truth: GroundTruth, num_boxes: int, draw: np.random.Generator) -> Boxes:
    ids = np.repeat(np.array([image["id"] for image in truth.images], dtype=np.int64), num_boxes)
    corners = draw.uniform(0, 30, (len(ids), 4)).astype(np.float32)
    classes = draw.choice([category["id"] for category in truth.categories], len(ids)).astype(np.int64)
    return Boxes(ids, classes, corners, draw.uniform(0.05, 1, len(ids)).astype(np.float32))


def second_launch(file: Path, results: Path) -> tuple[float, str]:
    """Returns how long the launch takes, in seconds, and what it prints."""
    started = time.perf_counter()
    command = [sys.executable, str(ROOT / "launch.py"), str(file), "--results", str(results)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return time.perf_counter() - started, done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--images", type=int, default=1095, help="of validation; half as many of test")
    parser.add_argument("--boxes", type=int, default=12, help="of an image")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="agropest-second-") as scratch:
        file, results = finished_sweep(Path(scratch), arguments.trials, arguments.images, arguments.boxes)
        for what in ("empty replicate cache", "again", "and again"):
            seconds, _ = second_launch(file, results)
            print(f"{arguments.trials} finished trials, {what:22} {seconds:6.2f} s", flush=True)


if __name__ == "__main__":
    main()
