"""A drawn data set of a few small pictures and a sweep that trains on it in seconds."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import numpy as np
import pytest

from agropest import files
from agropest.data.dataset import Dataset, Split, load_dataset
from agropest.data.demo.draw import draw_demo_dataset

ROOT = Path(__file__).resolve().parents[1]

# The same examples every time, and none that fails because the machine was busy.
hypothesis.settings.register_profile(
    "tests", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")

# AgroPest-12: boxes of each class in its 11,502 training images; a twentieth of them here.
BOXES = (2231, 1596, 1058, 1740, 1083, 1182, 1071, 1062, 918, 1199, 1167, 975)

# Overrides that make any sweep small enough for a test: a pixel budget, not another model.
TINY = f"""
base: {ROOT / "configs" / "demo.yaml"}
config:
  INPUT: {{MIN_SIZE_TRAIN: [64], MIN_SIZE_TEST: 64, MAX_SIZE_TRAIN: 96, MAX_SIZE_TEST: 96}}
  MODEL.FPN.OUT_CHANNELS: 32
  MODEL.ROI_BOX_HEAD.FC_DIM: 32
  SOLVER: {{IMS_PER_BATCH: 2, MAX_ITER: 4, WARMUP_ITERS: 1, CHECKPOINT_PERIOD: 2, BASE_LR: 0.01}}
  TEST.EVAL_PERIOD: 2
"""


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A YOLO export of 10 + 6 + 4 pictures of 64 px."""
    folder = tmp_path_factory.mktemp("tiny") / "insects"
    draw_demo_dataset(folder, seed=3, train=10, valid=6, test=4, image_size_px=64)
    return folder


@pytest.fixture(scope="session")
def tiny_dataset(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The same, converted."""
    return load_dataset(tiny_folder, tmp_path_factory.mktemp("converted"))


def write_tiny_sweep(path: Path, data: Path) -> Path:
    """Writes a sweep file with two variants over a data set; returns its path."""
    path.write_text(
        f"{TINY}\nquestion: Does focal loss help?\ndata: {data}\nseeds: [1]\n"
        "variants:\n  baseline: {}\n  focal: {MODEL.ROI_BOX_HEAD.CLS_LOSS: softmax_focal}\n"
    )
    return path


@pytest.fixture
def tiny_sweep(tmp_path: Path, tiny_folder: Path) -> Path:
    """A sweep file with two variants over the tiny data set."""
    return write_tiny_sweep(tmp_path / "tiny.yaml", tiny_folder)


@pytest.fixture(scope="session")
def agropest(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A data set with AgroPest-12's class frequencies: one large box in each image of 640 x 640."""
    folder = tmp_path_factory.mktemp("frequencies")
    classes = np.repeat(np.arange(1, 13), [number // 20 for number in BOXES]).tolist()
    images = [
        {"id": i, "file_name": f"{i}.jpg", "width": 640, "height": 640, "source": f"{i}"}
        for i in range(1, len(classes) + 1)
    ]
    box = [20, 20, 560, 560]
    annotations = [
        {"id": i, "image_id": i, "category_id": c, "bbox": box, "area": 560 * 560, "iscrowd": 0}
        for i, c in enumerate(classes, start=1)
    ]
    categories = [{"id": i, "name": f"class{i}"} for i in range(1, 13)]
    path = folder / "train.json"
    files.write_json(path, {"images": images, "annotations": annotations, "categories": categories})
    splits = {name: Split(name, path, folder, len(images), len(images)) for name in ("train", "valid")}
    return Dataset(folder, "f", tuple(c["name"] for c in categories), splits, folder / "health.json")  # type: ignore[arg-type]
