"""One evaluation of 1,095 images apart from the forward passes: stock ``COCOEvaluator`` against ours.

    python -m benchmarks.bench_evaluation [--images 1095] [--boxes 100] [--rounds 3]

Both are handed the same outputs, as a detector's ``Instances``, and both end with AP, AP50, AP75 and AP per class, and
the boxes on disk. Ours computes AP at the deployed score threshold, too. A second line compares reading: the stock
mapper, which decodes each image anew, against the decoded-image cache that trials share.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from agropest.data.demo.insects import CLASS_NAMES
from agropest.modeling.config import add_agropest_config
from agropest.statistics.accuracy.average_precision import evaluate
from agropest.statistics.detections.boxes import GroundTruth
from agropest.training.evaluation import collect_boxes
from benchmarks.pairs import machine_line, seconds, tell

# isort: split
from detectron2.config import get_cfg
from detectron2.structures import Boxes, Instances

from benchmarks.stock import coco_evaluator, register

SIDE = 640


def write_ground_truth(path: Path, num_images: int, rng: np.random.Generator) -> dict[int, np.ndarray]:
    """Writes a COCO file as AgroPest-12's validation split is, 1.2 boxes in an image; returns boxes by image id."""
    annotations: list[dict[str, Any]] = []
    truth: dict[int, np.ndarray] = {}
    for image_id in range(1, num_images + 1):
        count = 1 + int(rng.random() < 0.2)
        corners = rng.uniform(0, SIDE / 2, (count, 2))
        sides = rng.uniform(60, SIDE / 2, (count, 2))
        classes = rng.integers(0, len(CLASS_NAMES), count)
        truth[image_id] = np.column_stack([corners, corners + sides, classes])
        for (x, y), (w, h), c in zip(corners.tolist(), sides.tolist(), classes.tolist(), strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": c + 1,
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "iscrowd": 0,
                }
            )
    images = [{"id": i, "file_name": f"{i}.jpg", "width": SIDE, "height": SIDE} for i in truth]
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(CLASS_NAMES)]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return truth


def outputs_of(truth: dict[int, np.ndarray], num_boxes: int, rng: np.random.Generator) -> list[tuple[int, Instances]]:
    """Returns a detector's outputs: the true boxes, moved a little, among others."""
    outputs = []
    for image_id, boxes in truth.items():
        corners = rng.uniform(0, SIDE / 2, (num_boxes, 2))
        found = np.concatenate([corners, corners + rng.uniform(20, SIDE / 2, (num_boxes, 2))], axis=1)
        classes = rng.integers(0, len(CLASS_NAMES), num_boxes)
        scores = rng.uniform(0.05, 0.6, num_boxes)
        known = min(len(boxes), num_boxes)
        found[:known] = boxes[:known, :4] + rng.normal(0, 12, (known, 4))
        classes[:known], scores[:known] = boxes[:known, 4], rng.uniform(0.2, 1.0, known)
        instances = Instances((SIDE, SIDE))
        instances.pred_boxes = Boxes(torch.from_numpy(found.astype(np.float32)))
        instances.pred_classes = torch.from_numpy(classes)
        instances.scores = torch.from_numpy(scores.astype(np.float32))
        outputs.append((image_id, instances))
    return outputs


def stock(outputs: list[tuple[int, Instances]], folder: Path) -> dict[str, Any]:
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = coco_evaluator("stock_valid", folder)
        evaluator.reset()
        for image_id, instances in outputs:
            evaluator.process([{"image_id": image_id}], [{"instances": instances}])
        metrics: dict[str, Any] = evaluator.evaluate()["bbox"]
    return metrics


def ours(outputs: list[tuple[int, Instances]], annotations: Path, folder: Path) -> dict[str, float | None]:
    ground_truth = GroundTruth.from_coco(annotations)
    boxes = collect_boxes(outputs, {i: i + 1 for i in range(len(CLASS_NAMES))})
    metrics = evaluate(ground_truth, boxes, 100)
    evaluate(ground_truth, boxes.at_threshold(0.5), 100)
    boxes.save(folder / "boxes.npz")
    return metrics


def compare_reading(folder: Path, num_images: int, rounds: int) -> None:
    """Reading one evaluation's images: stock's mapper against the shared cache of decoded images."""
    from detectron2.data import DatasetMapper

    from agropest.training.input.image_cache import open_cache
    from agropest.training.input.mapper import ImageReader, TestMapper

    rng = np.random.default_rng(1)
    noise = Image.fromarray(rng.integers(0, 256, (SIDE // 8, SIDE // 8, 3), dtype=np.uint8)).resize((SIDE, SIDE))
    records = []
    for number in range(num_images):
        path = folder / f"{number}.jpg"
        noise.save(path, quality=90)
        records.append({"file_name": str(path), "image_id": number, "height": SIDE, "width": SIDE, "annotations": []})
    cfg = get_cfg()
    add_agropest_config(cfg)
    theirs = DatasetMapper(cfg, is_train=False)
    cache = open_cache(folder / "cache", "bench", records, cfg.INPUT.FORMAT, 8 << 30)
    mapper = TestMapper(cfg, ImageReader(records, cfg.INPUT.FORMAT, cache=cache))
    peer, mine = [], []
    for _ in range(rounds):
        peer.append(seconds(lambda: [theirs(record) for record in records]))
        mine.append(seconds(lambda: [mapper(record) for record in records]))
    tell(f"reading {num_images} JPEGs of {SIDE} x {SIDE} and resizing them to 800, one process", peer, mine)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=1095, metavar="N")
    parser.add_argument("--boxes", type=int, default=100, metavar="N", help="detections in an image; default 100")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    print(machine_line(), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder, rng = Path(name), np.random.default_rng(0)
        annotations = folder / "valid.json"
        outputs = outputs_of(write_ground_truth(annotations, arguments.images, rng), arguments.boxes, rng)
        register({"valid": (str(annotations), str(folder))})
        peer, mine = [], []
        results: dict[str, Any] = {}
        for turn in range(arguments.rounds):
            peer.append(seconds(lambda: results.update(stock=stock(outputs, folder / "stock"))))
            mine.append(seconds(lambda: results.update(ours=ours(outputs, annotations, folder))))
            difference = abs(results["stock"]["AP"] - (results["ours"]["AP"] or 0.0))
            print(f"round {turn + 1}: AP {results['ours']['AP']:.3f}, differs by {difference:.1e}", flush=True)
        tell(f"evaluation of {arguments.images} images with {arguments.boxes} boxes each", peer, mine)
        compare_reading(folder, min(arguments.images, 200), arguments.rounds)


if __name__ == "__main__":
    main()
