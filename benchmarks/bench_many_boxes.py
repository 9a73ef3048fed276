"""CPU time of converting one picture with very many boxes, as a YOLO label file and as COCO annotations.

    python -m benchmarks.bench_many_boxes [--boxes 5000 20000 80000]

Every box is another one, so that looking for duplicates finds none. Prints CPU seconds for each number and format, and
the exponent with which they grow from the smallest number to the largest: 1 is linear.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from agropest.data.dataset import load_dataset

SIDE_PX = 1024


def write_yolo(root: Path, boxes: np.ndarray) -> None:
    """Writes train with one picture and all boxes ([boxes, 4]: centre and size in shares), and valid with one box."""
    for split, some in (("train", boxes), ("valid", boxes[:1])):
        for kind in ("images", "labels"):
            (root / split / kind).mkdir(parents=True)
        _picture(root / split / "images" / f"{split}.png")
        lines = "".join(f"0 {x:.7f} {y:.7f} {w:.7f} {h:.7f}\n" for x, y, w, h in some.tolist())
        (root / split / "labels" / f"{split}.txt").write_text(lines)
    (root / "data.yaml").write_text("train: train/images\nval: valid/images\nnames: [insect]\n")


def write_coco(root: Path, boxes: np.ndarray) -> None:
    """Writes the same as COCO annotations."""
    (root / "annotations").mkdir(parents=True)
    for split, some in (("train", boxes), ("val", boxes[:1])):
        (root / split).mkdir()
        _picture(root / split / f"{split}.png")
        corners = np.column_stack([some[:, :2] - some[:, 2:] / 2, some[:, 2:]]) * SIDE_PX
        annotations = [
            {"id": i, "image_id": 1, "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            for i, box in enumerate(corners.tolist(), start=1)
        ]
        images = [{"id": 1, "file_name": f"{split}.png", "width": SIDE_PX, "height": SIDE_PX}]
        content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "insect"}]}
        (root / "annotations" / f"{split}.json").write_text(json.dumps(content))


def _picture(path: Path) -> None:
    colour = (40, 120, 60) if path.stem == "train" else (60, 120, 40)
    Image.new("RGB", (SIDE_PX, SIDE_PX), colour).save(path)


def random_boxes(number: int) -> np.ndarray:
    """Returns boxes [number, 4] inside the picture, all different: centre and size in shares."""
    draw = np.random.default_rng(number)
    size = draw.uniform(0.005, 0.05, (number, 2))
    return np.column_stack([size / 2 + draw.uniform(0, 1, (number, 2)) * (1 - size), size])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boxes", type=int, nargs="+", default=[5_000, 20_000, 80_000])
    numbers = parser.parse_args().boxes
    for name, write in (("YOLO", write_yolo), ("COCO", write_coco)):
        seconds = []
        for number in numbers:
            with tempfile.TemporaryDirectory() as folder:
                write(Path(folder) / "set", random_boxes(number))
                started = time.process_time()
                dataset = load_dataset(Path(folder) / "set", Path(folder) / "cache", processes=1)
                seconds.append(time.process_time() - started)
                if dataset.splits["train"].num_boxes != number:
                    raise SystemExit(f"{dataset.splits['train'].num_boxes} boxes were converted of {number}")
            print(f"{name}: {number:,} boxes in a picture: {seconds[-1]:.2f} s of CPU", flush=True)
        if len(numbers) > 1:
            exponent = math.log(seconds[-1] / seconds[0]) / math.log(numbers[-1] / numbers[0])
            print(f"{name}: grows with the power {exponent:.2f} of the number")


if __name__ == "__main__":
    main()
