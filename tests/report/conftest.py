"""A small sweep in a store, as launches leave it: two finished variants, one stopped, one failed; hostile names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agropest import files
from agropest.statistics.accuracy.evaluation import evaluate_all
from agropest.statistics.detections.boxes import Boxes, GroundTruth
from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.store import Store
from agropest.store.sweep_record import SplitRecord, SweepRecord, read_sweep_record, write_sweep_record
from agropest.store.trial_folder import TrialFolder
from agropest.store.weights_report import WeightsReport, write_weights_report
from agropest.sweep.factors import APPLIED, BASE_LEVEL
from agropest.sweep.sections.guard import Guard
from agropest.sweep.sections.reference import Reference
from agropest.sweep.trial import TrialSpec

HOSTILE = '</script><script>alert("x")</script>'
CLASSES = ("ant", HOSTILE, "=HYPERLINK(1)|&amp;", "Käfer_{50%}\\")
CONFIG = {"SOLVER.MAX_ITER": 30, "TEST.EVAL_PERIOD": 10, "SOLVER.BASE_LR": 0.01, "MODEL.WEIGHTS": "", "SEED": 1}


def draw_truth(
    random: np.random.Generator, root: Path, prefix: str, num_images: int, num_boxes: int = 2, noisy: bool = False
) -> GroundTruth:
    """Returns ground truth with a picture for every image but the last; ``noisy`` ones compress badly."""
    images, annotations = [], []
    for number in range(1, num_images + 1):
        name = f"{prefix}-{number}.jpg"
        images.append({"id": number, "file_name": name})
        if number < num_images:
            picture = Image.new("RGB", (120, 80), (40, 3 * number, 90))
            if noisy:
                picture = Image.frombytes("RGB", (480, 320), random.bytes(480 * 320 * 3))
            picture.save(root / name)
        for _ in range(num_boxes):
            bbox = [float(v) for v in (*random.uniform(0, 40, 2), *random.uniform(15, 40, 2))]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": int(random.integers(1, 5)),
                    "bbox": bbox,
                    "area": bbox[2] * bbox[3],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, start=1)]
    return GroundTruth(images, categories, annotations)


def detect(random: np.random.Generator, truth: GroundTruth, noise: float) -> Boxes:
    """Returns every annotation, moved about; one in five as another class."""
    bbox = np.array([a["bbox"] for a in truth.annotations]) + random.normal(0, noise, (len(truth.annotations), 4))
    category = np.array([a["category_id"] for a in truth.annotations])
    other = random.random(len(category)) < 0.2
    return Boxes(
        np.array([a["image_id"] for a in truth.annotations], dtype=np.int64),
        np.where(other, category % 4 + 1, category).astype(np.int64),
        np.maximum(bbox, 1).astype(np.float32),
        random.uniform(0.3, 1, len(category)).astype(np.float32),
    )


def put(folder: TrialFolder, split: str, iteration: int, truth: GroundTruth, boxes: Boxes) -> None:
    metrics = evaluate_all(truth, boxes)
    record = EvaluationRecord(split, iteration, metrics, len(boxes), len(truth.images), 0.5, 12.5)
    folder.write_evaluation(record, boxes.save)


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """results/<sweep> of that sweep; not to be written to but by exports."""
    root = tmp_path_factory.mktemp("report")
    store, random = Store(root / "results"), np.random.default_rng(0)
    pictures = root / "pictures"
    pictures.mkdir()
    truths = {name: draw_truth(random, pictures, name, number) for name, number in (("valid", 24), ("test", 12))}
    splits = {}
    for name, truth in truths.items():
        path = store.root / "data" / "set" / "annotations" / f"{name}.json"
        files.write_json(path, truth.to_coco())
        splits[name] = SplitRecord(path, pictures, len(truth.images), len(truth.annotations))
    trials = []
    for number, (label, status, noise) in enumerate(
        [
            ("base", TrialState.FINISHED, 6),
            ("good", TrialState.FINISHED, 1),
            ("slow", TrialState.STOPPED, 5),
            ("bad", TrialState.FAILED, 5),
        ]
    ):
        changed = {"SOLVER.BASE_LR": 0.01 * (number + 1), "MODEL.WEIGHTS": f"{HOSTILE}{label}"}
        overrides = changed if number else {}
        trial = TrialSpec(label, 1, {**CONFIG, **overrides}, data="f" * 64, overrides=overrides)
        folder = store.folder(trial).claim()
        folder.write_spec(trial)
        count = {TrialState.FINISHED: 3, TrialState.STOPPED: 1, TrialState.FAILED: 0}[status]
        for step in range(1, count + 1):
            put(folder, "valid", 10 * step, truths["valid"], detect(random, truths["valid"], noise * (5 - step) / 2))
        if status == TrialState.FINISHED:
            put(folder, "test", 30, truths["test"], detect(random, truths["test"], noise))
        if number == 1:
            write_weights_report(folder, WeightsReport(("a.weight",), ("rpn.b.weight (3,) -> (9,)",), (HOSTILE,), ()))
        reason = f"the loss is NaN {HOSTILE}" if status == TrialState.FAILED else ""
        folder.write_status(Status(status, 10 * count, 4.0 * count + 1, reason))
        trials.append(trial)
    record = SweepRecord(
        name="hostile",
        question=f"Is {HOSTILE} better?",
        baseline="base",
        metric="AP",
        design="",
        stop="asha",
        guards=(Guard("ant", 2.0),),
        trials=tuple(trials),
        resources={trial.name: "1 CPU" for trial in trials},
        data_name=HOSTILE,
        class_names=CLASSES,
        splits=splits,
        launched="2026-01-01T00:00:00+00:00",
        environment={"Python": "3.11", "CPU": HOSTILE},
        reference=Reference("as printed", {"base": {"test": {"AP": 40.0, "APs": None}}}),
    )
    return write_sweep_record(record, store).parent


@pytest.fixture(scope="session")
def large_sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """results/<sweep> of 50 finished trials with long names, many boxes, and pictures that compress badly."""
    root = tmp_path_factory.mktemp("large")
    store, random = Store(root / "results"), np.random.default_rng(0)
    truth = draw_truth(random, root, "valid", 30, num_boxes=25, noisy=True)
    path = store.root / "data" / "set" / "annotations" / "valid.json"
    files.write_json(path, truth.to_coco())
    trials = []
    for number in range(50):
        overrides = {"SOLVER.BASE_LR": 0.01 * (number + 1)} if number else {}
        label = f"multi_scale_anchor_generator+focal_loss+lr{number:02}" if number else "base"
        trial = TrialSpec(label, 1, {**CONFIG, **overrides}, data="f" * 64, overrides=overrides)
        folder = store.folder(trial).claim()
        folder.write_spec(trial)
        put(folder, "valid", 30, truth, detect(random, truth, 4 + number / 10))
        folder.write_status(Status(TrialState.FINISHED, 30, 13.0, ""))
        trials.append(trial)
    record = SweepRecord(
        name="large",
        question="Which of 50 is best?",
        baseline="base",
        metric="AP",
        design="",
        stop="none",
        guards=(Guard("ant", 2.0),),
        trials=tuple(trials),
        resources={},
        data_name="noise",
        class_names=CLASSES,
        splits={"valid": SplitRecord(path, root, len(truth.images), len(truth.annotations))},
        launched="2026-01-01T00:00:00+00:00",
        environment={},
    )
    return write_sweep_record(record, store).parent


@pytest.fixture(scope="session")
def factorial_sweep(sweep: Path) -> Path:
    """results/<sweep> of another one in the same store: two factors, of which the first finds the boxes better."""
    store, random = Store(sweep.parent), np.random.default_rng(1)
    record = read_sweep_record(sweep)
    truth, trials = record.ground_truths()["valid"], []
    for label, noise in (("baseline", 4), ("still", 1), ("other", 4), ("still+other", 1)):
        levels = {name: APPLIED if name in label.split("+") else BASE_LEVEL for name in ("still", "other")}
        trial = TrialSpec(label, 1, {**CONFIG, "SOLVER.GAMMA": float(len(trials))}, data="f" * 64, levels=levels)
        folder = store.folder(trial).claim()
        folder.write_spec(trial)
        put(folder, "valid", 30, truth, detect(random, truth, noise))
        folder.write_status(Status(TrialState.FINISHED, 30, 4.0))
        trials.append(trial)
    valid = {"valid": record.splits["valid"]}
    told = replace(
        record, name="factorial", baseline="baseline", design="full", guards=(), trials=tuple(trials), splits=valid,
        resources={trial.name: "1 CPU" for trial in trials}, reference=Reference(),
    )  # fmt: skip
    return write_sweep_record(told, store).parent
