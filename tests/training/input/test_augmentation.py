"""Rotation, photometric changes, copy-paste and the evaluation mapper, by hand and by property."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import agropest.training  # noqa: F401
from agropest.errors import TrialError
from agropest.modeling.config import add_agropest_config

with warnings.catch_warnings():  # fvcore calls torch.jit.script as it is imported, which torch warns of
    warnings.filterwarnings("ignore", ".*torch.jit.script")
    from detectron2.config import get_cfg
    from detectron2.structures import BoxMode

    from agropest.training.input.augmentation import Photometric, RandomPhotometric, Rotation, train_augmentations
    from agropest.training.input.batches import BatchStream
    from agropest.training.input.copy_paste import BoxedImage, CopyPaste, blend, chosen_classes, cut
    from agropest.training.input.mapper import TestMapper


def config(*overrides: Any) -> Any:
    cfg = get_cfg()
    add_agropest_config(cfg)
    cfg.merge_from_list(["MODEL.ROI_HEADS.NUM_CLASSES", 4, *overrides])
    return cfg


def test_nothing_is_added_by_default() -> None:
    names = [type(augmentation).__name__ for augmentation in train_augmentations(config())]
    assert names == ["ResizeShortestEdge", "RandomFlip"]
    everything = config(
        *("INPUT.CROP.ENABLED", True, "INPUT.ROTATION_DEGREES", 5.0, "INPUT.PHOTOMETRIC.CONTRAST", 0.1),
        *("INPUT.RANDOM_FLIP", "none"),
    )
    names = [type(augmentation).__name__ for augmentation in train_augmentations(everything)]
    assert names == ["RandomCrop", "ResizeShortestEdge", "RandomRotation", "RandomPhotometric"]


@pytest.mark.parametrize("degrees", [30.0, -75.0, 160.0])
def test_rotation_moves_pixels_and_coordinates_alike(degrees: float) -> None:
    image = np.zeros((80, 100, 3), dtype=np.uint8)
    image[30:35, 60:65] = 255  # its centre is (62.5, 32.5)
    rotation = Rotation(80, 100, degrees, (0, 0, 0))
    turned = rotation.apply_image(image)
    assert turned.shape == image.shape
    y, x = np.argwhere(turned[:, :, 0] > 127).mean(axis=0) + 0.5
    ((expected_x, expected_y),) = rotation.apply_coords(np.array([[62.5, 32.5]]))
    assert (x, y) == (pytest.approx(expected_x, abs=0.5), pytest.approx(expected_y, abs=0.5))
    back = rotation.inverse().apply_coords(np.array([[expected_x, expected_y]]))
    np.testing.assert_allclose(back, [[62.5, 32.5]], atol=1e-9)


def test_a_quarter_turn_by_hand() -> None:
    rotation = Rotation(100, 100, 90.0, (0, 0, 0))  # counter-clockwise: what was right is up
    np.testing.assert_allclose(rotation.apply_coords(np.array([[90.0, 50.0]])), [[50.0, 10.0]], atol=1e-9)
    np.testing.assert_allclose(rotation.apply_box(np.array([[60.0, 40.0, 90.0, 50.0]])), [[40, 10, 50, 40]], atol=1e-6)


def test_a_turned_box_is_the_hull_of_its_corners_and_the_corners_are_filled() -> None:
    rotation = Rotation(100, 100, 45.0, (7, 8, 9))
    half = 10 * math.sqrt(2)
    box = rotation.apply_box(np.array([[40.0, 40.0, 60.0, 60.0]]))
    np.testing.assert_allclose(box, [[50 - half, 50 - half, 50 + half, 50 + half]], atol=1e-6)
    turned = rotation.apply_image(np.full((100, 100, 3), 200, dtype=np.uint8))
    assert turned[0, 0].tolist() == [7, 8, 9]
    grey = rotation.apply_image(np.full((100, 100, 1), 200, dtype=np.uint8))
    assert grey.shape == (100, 100, 1) and grey[0, 0].tolist() == [7]


def test_photometric_by_hand() -> None:
    image = np.array([[[10, 20, 30], [50, 60, 70]]], dtype=np.uint8)  # mean 40
    assert Photometric(1, 1, 1).apply_image(image).tolist() == image.tolist()
    assert Photometric(2, 1, 1).apply_image(image).tolist() == [[[20, 40, 60], [100, 120, 140]]]
    assert Photometric(1, 0.5, 1).apply_image(image).tolist() == [[[25, 30, 35], [45, 50, 55]]]  # half-way to 40
    assert Photometric(5, 1, 1).apply_image(image).tolist() == [[[50, 100, 150], [250, 255, 255]]]  # clipped
    grey = Photometric(1, 1, 0, luma=(0.0, 1.0, 0.0)).apply_image(image)
    assert grey.tolist() == [[[20, 20, 20], [60, 60, 60]]]
    # b = 2, c = 0.5, mean 80: 0.5 * 2 x + 40; then half-way to its middle channel
    all_three = Photometric(2, 0.5, 0.5, luma=(0.0, 1.0, 0.0)).apply_image(image)
    assert all_three.tolist() == [[[55, 60, 65], [95, 100, 105]]]


def test_photometric_factors_stay_in_their_range_and_know_the_channel_order() -> None:
    (augmentation,) = [
        a
        for a in train_augmentations(config("INPUT.PHOTOMETRIC.BRIGHTNESS", 0.2, "INPUT.PHOTOMETRIC.SATURATION", 0.5))
        if isinstance(a, RandomPhotometric)
    ]
    assert augmentation.luma == (0.114, 0.587, 0.299)  # blue first
    np.random.seed(0)
    drawn = [augmentation.get_transform(np.zeros((2, 2, 3), np.uint8)) for _ in range(300)]
    brightness, saturation = [t.brightness for t in drawn], [t.saturation for t in drawn]
    assert 0.8 <= min(brightness) < 0.82 and 1.18 < max(brightness) <= 1.2
    assert 0.5 <= min(saturation) < 0.53 and 1.47 < max(saturation) <= 1.5
    assert {t.contrast for t in drawn} == {1.0}


def test_blending_is_opaque_on_the_box_and_nothing_at_the_edge() -> None:
    target = np.zeros((20, 20, 3), dtype=np.uint8)
    blend(target, np.full((20, 20, 3), 200, dtype=np.uint8), np.array([5.0, 5.0, 15.0, 15.0]))
    assert (target[5:15, 5:15] == 200).all()
    assert target[10, :5, 0].tolist() == [20, 60, 100, 140, 180]  # 0.1, 0.3, ... of 200
    assert target[0, 0, 0] == 2


def test_a_part_is_cut_with_its_margin_within_the_image() -> None:
    pixels = np.arange(40 * 50 * 3, dtype=np.uint8).reshape(40, 50, 3)
    part, box = cut(pixels, np.array([10.0, 0.0, 35.0, 25.0]))  # margin 3 on each side; none above
    assert part.shape == (28, 31, 3)
    assert (part == pixels[0:28, 7:38]).all()
    assert box.tolist() == [3, 0, 28, 25]


def test_classes_to_paste() -> None:
    classes = [np.array([0, 0, 0, 1]), np.array([1, 2, 0]), np.array([], dtype=np.int64)]  # 4, 2, 1 boxes; no class 3
    assert chosen_classes([], classes, 4) == [2]  # half of three, rounded down
    assert chosen_classes([1, 0, 1], classes, 4) == [0, 1]
    for wrong in ([4], [-1], ["Ants"]):
        with pytest.raises(TrialError, match=r"INPUT\.COPY_PASTE\.CLASSES.*from 0 to 3"):
            chosen_classes(wrong, classes, 4)
    with pytest.raises(TrialError, match="have a training box"):
        CopyPaste(config("INPUT.COPY_PASTE.CLASSES", [3]), [np.zeros((0, 4))], [classes[2]], lambda _: None)


def test_copy_paste_adds_boxes_where_the_pixels_are() -> None:
    donor = np.full((60, 80, 3), 255, dtype=np.uint8)
    boxes = [np.array([[20.0, 15.0, 50.0, 40.0]]), np.array([[30.0, 30.0, 40.0, 40.0]])]
    classes = [np.array([1]), np.array([0])]
    paste = CopyPaste(
        config("INPUT.COPY_PASTE.PROB", 1.0, "INPUT.COPY_PASTE.CLASSES", [1]), boxes, classes, lambda _: donor
    )
    num_pasted = set()
    for seed in range(60):
        black = np.zeros((90, 100, 3), dtype=np.uint8)
        black.setflags(write=False)
        result = paste(BoxedImage(black, boxes[1], classes[1]), np.random.default_rng(seed))
        num_pasted.add(len(result.boxes) - 1)
        assert result.classes.tolist() == [0] + [1] * (len(result.boxes) - 1)
        assert result.boxes[0].tolist() == [30, 30, 40, 40]
        assert (result.boxes[:, :2] >= 0).all() and (result.boxes[:, 2:] <= [100, 90]).all()
        for x0, y0, x1, y1 in result.boxes[1:]:
            inside = result.pixels[math.ceil(y0) + 1 : math.floor(y1) - 1, math.ceil(x0) + 1 : math.floor(x1) - 1]
            assert inside.size and inside.min() > 200
            assert x1 - x0 <= 50 and y1 - y0 <= 45  # at most half the picture
        assert black.max() == 0
    assert num_pasted == {1, 2}


def test_copy_paste_hides_no_object_and_may_find_no_place() -> None:
    donor = np.full((60, 80, 3), 255, dtype=np.uint8)
    whole = np.array([[0.0, 0.0, 100.0, 90.0]])  # fills the picture
    paste = CopyPaste(
        config("INPUT.COPY_PASTE.PROB", 1.0, "INPUT.COPY_PASTE.CLASSES", [1]),
        [np.array([[20.0, 15.0, 50.0, 40.0]])],
        [np.array([1])],
        lambda _: donor,
    )
    for seed in range(20):
        image = BoxedImage(np.zeros((90, 100, 3), dtype=np.uint8), whole, np.array([0]))
        result = paste(image, np.random.default_rng(seed))
        assert result.boxes.tolist() == whole.tolist()
        assert result.pixels.max() == 0


def test_probability_is_the_share_of_images() -> None:
    boxes, classes = [np.array([[20.0, 15.0, 50.0, 40.0]])], [np.array([1])]
    donor = np.full((60, 80, 3), 255, dtype=np.uint8)
    paste = CopyPaste(config("INPUT.COPY_PASTE.PROB", 0.3), boxes, classes, lambda _: donor)
    empty = BoxedImage(np.zeros((90, 100, 3), dtype=np.uint8), np.zeros((0, 4)), np.zeros(0, dtype=np.int64))
    changed = [len(paste(empty, np.random.default_rng(seed)).boxes) > 0 for seed in range(500)]
    assert np.mean(changed) == pytest.approx(0.3, abs=0.06)


@pytest.fixture
def records(tmp_path: Path) -> list[dict[str, Any]]:
    generator = np.random.default_rng(0)
    found = []
    for i in range(10):
        name = tmp_path / f"{i}.png"
        PIL.Image.fromarray(generator.integers(0, 256, (50, 70, 3), dtype=np.uint8)).save(name)
        # Boxes at the edges, tiny ones, and one that reaches out of the image.
        boxes = [[0, 0, 20, 15], [60, 40, 15, 15], [30, 20, 1.5, 1.5], [10, 10, 55, 38]]
        annotations = [
            {"bbox": box, "bbox_mode": BoxMode.XYWH_ABS, "category_id": c, "iscrowd": 0} for c, box in enumerate(boxes)
        ]
        record = {"file_name": str(name), "image_id": i, "height": 50, "width": 70, "annotations": annotations}
        found.append(record)
    return found


@pytest.mark.parametrize("image_format", ["BGR", "RGB", "L"])
def test_augmented_boxes_are_inside_and_larger_than_a_pixel(records: list[dict[str, Any]], image_format: str) -> None:
    cfg = config(
        *("INPUT.FORMAT", image_format, "INPUT.MIN_SIZE_TRAIN", [20, 40, 64], "INPUT.MAX_SIZE_TRAIN", 100),
        *("INPUT.CROP.ENABLED", True, "INPUT.CROP.SIZE", [0.5, 0.5], "INPUT.ROTATION_DEGREES", 90.0),
        *("INPUT.COPY_PASTE.PROB", 0.5, "INPUT.PHOTOMETRIC.BRIGHTNESS", 0.5, "SOLVER.IMS_PER_BATCH", 4),
    )
    stream = BatchStream(records, cfg, 0)
    num_boxes = 0
    for n in range(25):
        for item in stream.batch(n):
            channels, height, width = item["image"].shape
            boxes = item["instances"].gt_boxes.tensor.numpy()
            num_boxes += len(boxes)
            assert channels == (1 if image_format == "L" else 3)
            assert item["instances"].image_size == (height, width)
            assert (boxes >= 0).all() and (boxes <= [width, height, width, height]).all()
            assert ((boxes[:, 2:] - boxes[:, :2]) > 1.0).all()
            assert len(item["instances"].gt_classes) == len(boxes)
    assert num_boxes > 100


def test_the_evaluation_mapper_resizes_and_keeps_what_the_image_is(records: list[dict[str, Any]]) -> None:
    item = TestMapper(config("INPUT.MIN_SIZE_TEST", 100, "INPUT.MAX_SIZE_TEST", 400))(records[3])
    assert tuple(item["image"].shape) == (3, 100, 140)
    assert {key: item[key] for key in ("image_id", "height", "width")} == {"image_id": 3, "height": 50, "width": 70}
    limited = TestMapper(config("INPUT.MIN_SIZE_TEST", 100, "INPUT.MAX_SIZE_TEST", 105))(records[3])
    assert tuple(limited["image"].shape) == (3, 75, 105)
    unchanged = TestMapper(config("INPUT.MIN_SIZE_TEST", 0))(records[3])["image"]
    stored = np.asarray(PIL.Image.open(records[3]["file_name"]))[:, :, ::-1]  # as BGR
    assert (unchanged.numpy().transpose(1, 2, 0) == stored).all()


def test_corners_are_detectron2s_to_the_last_bit() -> None:
    from detectron2.structures import BoxMode

    from agropest.training.input.mapper import _corners

    boxes = np.random.default_rng(0).uniform(0, 700, (200, 4)).round(3).tolist()
    annotations = [{"bbox": box, "bbox_mode": BoxMode.XYWH_ABS} for box in boxes]
    theirs = [BoxMode.convert(box, BoxMode.XYWH_ABS, BoxMode.XYXY_ABS) for box in boxes]
    assert np.array_equal(_corners(annotations), np.array(theirs, dtype=np.float64))
