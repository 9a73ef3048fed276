"""Times everything that is exported of a sweep of 50 trials, and its page.

    python -m benchmarks.bench_report [--trials 50] [--images 1000] [--keep DIR]

The store is made up, but of real files: COCO ground truth of 1,000 validation and 546 test pictures in 12 classes,
pictures that decode, and for every evaluation a file of boxes with the metrics that COCO evaluation gives them. Export
is timed in processes of its own: as the end of a launch finds the store (finished trials have kept their bootstrap
replicates, those of stopped ones are computed), once more (all are kept), and with none kept. CPU seconds are printed
beside the clock's: on a machine that does other things, they say more.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from agropest import files
from agropest.report.page.document import write_page
from agropest.statistics.accuracy.average_precision import evaluate
from agropest.statistics.detections.boxes import Boxes, GroundTruth
from agropest.statistics.detections.matching import Targets, read_targets
from agropest.store.chosen import chosen_evaluation
from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.replicate_cache import keep_replicates
from agropest.store.store import Store
from agropest.store.sweep_record import SplitRecord, SweepRecord, environment, read_sweep_record, write_sweep_record
from agropest.sweep.detectron2_keys import default_config
from agropest.sweep.trial import TrialSpec

CLASSES = "Ants Bees Beetles Caterpillars Earthworms Earwigs Grasshoppers Moths Slugs Snails Wasps Weevils".split()  # noqa: SIM905
SIZE_PX, MAX_ITER, EVALUATIONS = 640, 25000, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="make the store there and leave it")
    arguments = parser.parse_args()
    root = arguments.keep or Path(tempfile.mkdtemp(prefix="bench-report-"))
    try:
        started = time.perf_counter()
        folder = make_sweep(root, arguments.trials, arguments.images)
        print(f"made up {arguments.trials} trials in {time.perf_counter() - started:.1f} s (not part of the figures)")
        measure(folder)
    finally:
        if arguments.keep is None:
            shutil.rmtree(root)


def measure(folder: Path) -> None:
    """Prints seconds and sizes."""
    record = read_sweep_record(folder)
    started = time.perf_counter()
    write_page(record, Store(folder.parent), running=True, refresh_s=10)
    print(f"page while it runs: {time.perf_counter() - started:.2f} s")
    timed_export("everything, as a launch ends", folder)
    timed_export("everything, once more", folder)
    for kept in folder.parent.glob("trials/*/replicates"):
        shutil.rmtree(kept)
    timed_export("everything, no replicates kept", folder)
    for path in sorted(folder.iterdir()):
        print(f"  {path.name}: {path.stat().st_size / 1e6:.3f} MB")


def timed_export(what: str, folder: Path) -> None:
    """Exports in a process of its own, and prints how long that took, the start of Python included."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "agropest", "export", str(folder)], check=True, stdout=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    print(f"{what}: {time.perf_counter() - started:.2f} s, {cpu:.2f} s of CPU", flush=True)


def make_sweep(root: Path, num_trials: int, num_images: int) -> Path:
    """Makes up a finished sweep below ``root``; returns its folder."""
    random = np.random.default_rng(0)
    store = Store(root / "results")
    truths = {"valid": _truth(random, num_images, root / "data"), "test": _truth(random, 546, root / "data")}
    splits = {}
    for name, truth in truths.items():
        path = store.root / "data" / "made-up" / "annotations" / f"{name}.json"
        files.write_json(path, truth.to_coco(), indent=None)
        splits[name] = SplitRecord(path, root / "data", len(truth.images), len(truth.annotations))
    base = {**default_config(), "SOLVER.MAX_ITER": MAX_ITER, "TEST.EVAL_PERIOD": MAX_ITER // EVALUATIONS}
    trials = [_trial(base, number) for number in range(num_trials)]
    easy = {name: random.random(len(truth.annotations)) for name, truth in truths.items()}
    targets = {name: read_targets(truth) for name, truth in truths.items()}
    for number, trial in enumerate(trials):
        _store_trial(store, trial, truths, easy, number)
        _keep(store, trial, targets)
    record = SweepRecord(
        name="made-up",
        question=f"Which of {num_trials} made-up detectors is best?",
        baseline=trials[0].label,
        metric="AP",
        design="",
        stop="asha",
        guards=(),
        trials=tuple(trials),
        resources={},
        data_name="made-up",
        class_names=tuple(CLASSES),
        splits=splits,
        launched="2026-01-01T00:00:00+00:00",
        environment=environment(),
    )
    return write_sweep_record(record, store).parent


def _trial(base: dict[str, object], number: int) -> TrialSpec:
    overrides = {} if number == 0 else {"SOLVER.BASE_LR": round(0.001 + 0.0002 * number, 5)}
    label = "baseline" if number == 0 else f"lr{overrides['SOLVER.BASE_LR']}"
    return TrialSpec(label, 42, {**base, **overrides, "SEED": 42}, data="0" * 64, overrides=overrides)


def _truth(random: np.random.Generator, num_images: int, folder: Path) -> GroundTruth:
    folder.mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for image_id in range(1, num_images + 1):
        name = f"{num_images}-{image_id}.jpg"
        picture = Image.new("RGB", (SIZE_PX, SIZE_PX), tuple(int(v) for v in random.integers(90, 220, 3)))
        pen = ImageDraw.Draw(picture)
        images.append({"id": image_id, "file_name": name, "width": SIZE_PX, "height": SIZE_PX})
        for _ in range(1 + random.poisson(0.22)):
            w, h = random.uniform(60, 500, 2)
            x, y = random.uniform(0, SIZE_PX - w), random.uniform(0, SIZE_PX - h)
            pen.ellipse((x, y, x + w, y + h), fill=tuple(int(v) for v in random.integers(0, 120, 3)))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": int(random.integers(1, len(CLASSES) + 1)),
                    "bbox": [float(v) for v in (x, y, w, h)],
                    "area": float(w * h),
                    "iscrowd": 0,
                }
            )
        picture.save(folder / name, quality=80)
    return GroundTruth(images, [{"id": n, "name": name} for n, name in enumerate(CLASSES, start=1)], annotations)


def _store_trial(
    store: Store, trial: TrialSpec, truths: dict[str, GroundTruth], easy: dict[str, np.ndarray], number: int
) -> None:
    random = np.random.default_rng([1, number])
    skill = 0.55 + 0.1 * float(random.random())
    status = TrialState.FAILED if number % 25 == 24 else TrialState.STOPPED if number % 5 == 3 else TrialState.FINISHED
    count = {TrialState.FAILED: 0, TrialState.STOPPED: 2, TrialState.FINISHED: EVALUATIONS}[status]
    folder = store.folder(trial).claim()
    folder.write_spec(trial)
    for step in range(1, count + 1):
        at = skill * (0.5 + 0.5 * step / EVALUATIONS)
        _store_evaluation(folder, "valid", step * MAX_ITER // EVALUATIONS, truths["valid"], easy["valid"], at, random)
    if status == TrialState.FINISHED:
        chosen = chosen_evaluation(folder, "AP")
        iteration = chosen.iteration if chosen else MAX_ITER
        _store_evaluation(folder, "test", iteration, truths["test"], easy["test"], skill, random)
    reason = "the loss became NaN at iteration 812" if status == TrialState.FAILED else ""
    folder.write_status(Status(status, count * MAX_ITER // EVALUATIONS, 600.0 * count + 3 * number, reason))


def _keep(store: Store, trial: TrialSpec, targets: dict[str, Targets]) -> None:
    """Keeps replicates of what a finished trial is ranked by, as a trial itself does at its end."""
    folder = store.folder(trial)
    chosen = chosen_evaluation(folder, "AP")
    if folder.status().status == TrialState.FINISHED and chosen is not None:
        for record in (chosen, *folder.read_evaluations("test")):
            keep_replicates(folder, record, targets[record.split], "AP", trial.config)


def _store_evaluation(
    folder: object,
    split: str,
    iteration: int,
    truth: GroundTruth,
    easy: np.ndarray,
    skill: float,
    random: np.random.Generator,
) -> None:
    boxes = _detect(truth, easy, skill, random)
    metrics = evaluate(truth, boxes)
    deployed = evaluate(truth, boxes.at_threshold(0.5))
    metrics |= {"AP_deployed": deployed["AP"], "AP50_deployed": deployed["AP50"]}
    record = EvaluationRecord(split, iteration, metrics, len(boxes), len(truth.images), 21.0, 34.0 + 4 * skill)
    folder.write_evaluation(record, boxes.save)  # type: ignore[attr-defined]


def _detect(truth: GroundTruth, easy: np.ndarray, skill: float, random: np.random.Generator) -> Boxes:
    """Returns what a detector of some skill may find: good boxes of easy objects, poor ones, and boxes on nothing."""
    image = np.array([a["image_id"] for a in truth.annotations])
    category = np.array([a["category_id"] for a in truth.annotations])
    bbox = np.array([a["bbox"] for a in truth.annotations])
    found = easy < skill + 0.2 * random.random(len(easy))
    rows = []
    for repeat, (noise, low) in enumerate(((0.06, 0.3), (0.2, 0.05), (0.3, 0.05))):
        mask = found if repeat == 0 else random.random(len(easy)) < 0.6
        moved = bbox[mask] + random.normal(0, noise * 100, bbox[mask].shape) * [1, 1, 0.5, 0.5]
        moved[:, 2:] = np.maximum(moved[:, 2:], 8)
        guessed = np.where(
            random.random(mask.sum()) < 0.8, category[mask], random.integers(1, len(CLASSES) + 1, mask.sum())
        )
        score = low + (0.95 - low) * random.random(mask.sum()) ** (1 if repeat == 0 else 3)
        rows.append((image[mask], guessed, moved, score))
    stray = 3 * len(truth.images)
    corner, size = random.uniform(0, 400, (stray, 2)), random.uniform(40, 240, (stray, 2))
    ids = random.integers(1, len(truth.images) + 1, stray)
    rows.append(
        (
            ids,
            random.integers(1, len(CLASSES) + 1, stray),
            np.hstack([corner, size]),
            0.05 + 0.6 * random.random(stray) ** 4,
        )
    )
    image_id, category_id, xywh, score = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    order = np.argsort(image_id, kind="stable")
    return Boxes(
        image_id[order].astype(np.int64),
        category_id[order].astype(np.int64),
        xywh[order].astype(np.float32),
        score[order].astype(np.float32),
    )


if __name__ == "__main__":
    main()
