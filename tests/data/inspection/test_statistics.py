from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agropest.data.dataset import Dataset, load_dataset
from agropest.data.inspection.statistics import box_scales, class_statistics, read_boxes, repeat_factors, resize_factors
from agropest.detectron2_ready import make_importable

Fixture = Callable[..., Any]


@pytest.fixture
def dataset(write_set: Fixture, tmp_path: Path) -> Dataset:
    labels = {
        "train/a": "0 .5 .5 .2 .4\n0 .5 .5 .4 .4\n1 .5 .5 1 1",
        "train/b": "0 .5 .5 .3 .4",
        "train/c": "",
        "train/d": "",
    }
    return load_dataset(write_set(labels), tmp_path / "cache")


def test_class_statistics(dataset: Dataset) -> None:
    told = class_statistics(dataset, "train")
    assert (told.num_images, told.num_boxes, told.num_empty_images) == (4, 4, 2)
    assert told.image_class_sets == ({0, 1}, {0}, set(), set())
    ants, bees = told.rows
    assert (ants.category_id, ants.name, ants.instances, ants.images) == (1, "Ants", 3, 2)
    assert (ants.image_fraction, ants.instance_fraction) == (0.5, 0.75)
    assert (bees.image_fraction, bees.instance_fraction) == (0.25, 0.25)
    assert (ants.small, ants.medium, ants.large) == (3, 0, 0)  # 20x20, 40x20, 30x20
    assert (bees.small, bees.medium, bees.large) == (0, 1, 0)  # 100x50


def test_repeat_factors_by_hand() -> None:
    factors = repeat_factors([{0}, {0, 1}, {0}, set()], threshold=0.75)
    # f = 3/4, 1/4; r = max(1, sqrt(1)), sqrt(3)
    assert factors.classes == pytest.approx((1.0, 3**0.5))
    assert factors.images == pytest.approx([1, 3**0.5, 1, 1])
    assert factors.epoch_size == pytest.approx(3 + 3**0.5)
    assert (factors.images > 1).any()


def test_repeat_factors_that_repeat_nothing() -> None:
    factors = repeat_factors([{0}, {1}], threshold=0.001, num_classes=3)
    assert factors.classes == (1.0, 1.0, 1.0)
    assert (factors.images == 1).all()
    assert repeat_factors([], 0.1).epoch_size == 0


def test_repeat_factors_are_detectron2s() -> None:
    make_importable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Detectron2's own imports
        from detectron2.data.samplers import RepeatFactorTrainingSampler
    rng = np.random.default_rng(0)
    held = [set(rng.choice(5, rng.integers(0, 4), p=[0.6, 0.25, 0.1, 0.04, 0.01]).tolist()) for _ in range(300)]
    dicts = [{"annotations": [{"category_id": c} for c in classes]} for classes in held]
    expected = RepeatFactorTrainingSampler.repeat_factors_from_category_frequency(dicts, 0.3).numpy()
    assert repeat_factors(held, 0.3).images == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("image_wh", "short", "most", "resized"),
    [
        ((640, 480), 800, 1333, (1067, 800)),
        ((640, 640), 704, 1333, (704, 704)),
        ((1000, 100), 800, 1333, (1333, 133)),
        ((333, 500), 160, 200, (133, 200)),
        ((333, 500), 0, 200, (333, 500)),
    ],
)
def test_sizes_are_detectron2s(image_wh: tuple[int, int], short: int, most: int, resized: tuple[int, int]) -> None:
    factors = resize_factors(np.array([image_wh], float), short, most)
    assert (factors * image_wh)[0] == pytest.approx(resized)
    make_importable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from detectron2.data.transforms import ResizeShortestEdge
    if short:
        transform = ResizeShortestEdge([short], most, "choice").get_transform(
            np.zeros((image_wh[1], image_wh[0], 3), np.uint8)
        )
        assert (transform.new_w, transform.new_h) == resized


def test_box_scales(dataset: Dataset) -> None:
    assert box_scales(dataset, "train", (50, 100), 1333).tolist() == [
        [[20, 20], [40, 20], [100, 50], [30, 20]],
        [[40, 40], [80, 40], [200, 100], [60, 40]],
    ]
    assert read_boxes(dataset, "train").xy.tolist() == [[40, 15], [30, 15], [0, 0], [35, 15]]
