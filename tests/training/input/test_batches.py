"""The batch stream: a function of seed and number alone, as Detectron2 maps, clean at its ends."""

from __future__ import annotations

import errno
import itertools
import multiprocessing
import os
import random
import signal
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

import agropest.training  # noqa: F401
from agropest.errors import TrialError
from agropest.modeling.config import SAMPLERS, add_agropest_config

with warnings.catch_warnings():  # fvcore calls torch.jit.script as it is imported, which torch warns of
    warnings.filterwarnings("ignore", ".*torch.jit.script")
    from detectron2.config import get_cfg
    from detectron2.data import DatasetMapper
    from detectron2.structures import BoxMode

    from agropest.training.input import mapper
    from agropest.training.input.batches import Batch, BatchStream
    from agropest.training.input.mapper import ImageReader

ALL_AUGMENTATIONS = [
    *("INPUT.COPY_PASTE.PROB", 0.7, "INPUT.ROTATION_DEGREES", 15.0, "INPUT.CROP.ENABLED", True),
    *("INPUT.PHOTOMETRIC.BRIGHTNESS", 0.3, "INPUT.PHOTOMETRIC.CONTRAST", 0.3, "INPUT.PHOTOMETRIC.SATURATION", 0.3),
]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """24 noise images, a third of them upright, with one to three boxes of four classes; the last has none."""
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    found = []
    for i in range(24):
        height, width = (80, 60) if i % 3 == 0 else (60, 80)
        name = folder / f"{i}.png"
        PIL.Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(name)
        corners = generator.uniform(0, [width / 2, height / 2], (int(generator.integers(1, 4)), 2))
        sides = generator.uniform(8, 28, corners.shape)
        annotations = [
            {"bbox": [*c, *s], "bbox_mode": BoxMode.XYWH_ABS, "category_id": int(generator.integers(4)), "iscrowd": 0}
            for c, s in zip(corners.tolist(), sides.tolist(), strict=True)
        ]
        found.append({"file_name": str(name), "image_id": i + 1, "height": height, "width": width})
        found[-1]["annotations"] = annotations if i < 23 else []
    return found


def config(*overrides: Any) -> Any:
    cfg = get_cfg()
    add_agropest_config(cfg)
    cfg.merge_from_list(["SOLVER.IMS_PER_BATCH", 4, "MODEL.ROI_HEADS.NUM_CLASSES", 4])
    cfg.merge_from_list(["INPUT.MIN_SIZE_TRAIN", [48, 64], "INPUT.MAX_SIZE_TRAIN", 90])
    cfg.merge_from_list(list(overrides))
    return cfg


def content(batch: Batch) -> list[tuple[Any, ...]]:
    """Everything in a batch, comparable."""
    return [
        (
            item["image_id"],
            item["image"].numpy().tobytes(),
            tuple(item["image"].shape),
            item["instances"].gt_boxes.tensor.numpy().tobytes(),
            item["instances"].gt_classes.tolist(),
        )
        for item in batch
    ]


def taken(stream: BatchStream, start: int, num_batches: int, num_workers: int) -> list[Any]:
    batches = stream.iterate(start, num_workers)
    try:
        return [content(batch) for batch in itertools.islice(batches, num_batches)]
    finally:
        batches.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_0_1_and_4_workers_give_identical_batches(records: list[dict[str, Any]], sampler: str) -> None:
    cfg = config("DATALOADER.SAMPLER_TRAIN", sampler, "DATALOADER.REPEAT_THRESHOLD", 0.9, *ALL_AUGMENTATIONS)
    expected = taken(BatchStream(records, cfg, 3), 0, 14, 0)
    assert len({str(batch) for batch in expected}) == 14
    for num_workers in (1, 4):
        assert taken(BatchStream(records, cfg, 3), 0, 14, num_workers) == expected
    assert taken(BatchStream(records, cfg, 3), 9, 5, 0) == expected[9:]  # continuing
    assert taken(BatchStream(records, cfg, 3), 9, 5, 1) == expected[9:]
    assert content(BatchStream(records, cfg, 3).batch(11)) == expected[11]  # alone
    assert taken(BatchStream(records, cfg, 4), 0, 14, 0) != expected  # another seed
    assert not multiprocessing.active_children()


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")  # Detectron2's mapper, not ours
@pytest.mark.parametrize("crop", [(), ("INPUT.CROP.ENABLED", True, "INPUT.RANDOM_FLIP", "vertical")])
def test_without_our_keys_it_is_detectron2s_mapper(records: list[dict[str, Any]], crop: tuple[Any, ...]) -> None:
    cfg = config("INPUT.MIN_SIZE_TRAIN_SAMPLING", "range", *crop)
    theirs = DatasetMapper(cfg, is_train=True)
    stream = BatchStream(records, cfg, 3)
    for n in range(10):
        for slot, (index, item) in enumerate(zip(stream.images(n), stream.batch(n), strict=True)):
            before = np.random.get_state()
            np.random.seed(np.random.SeedSequence((3, n, slot)).generate_state(5)[:4])
            expected = theirs(stream.records[index])
            np.random.set_state(before)
            assert item["image"].equal(expected["image"])
            kept = expected["instances"][expected["instances"].gt_boxes.nonempty(1.0)]
            assert torch.allclose(item["instances"].gt_boxes.tensor, kept.gt_boxes.tensor, atol=1e-4)
            assert item["instances"].gt_classes.equal(kept.gt_classes)
            assert {key: item[key] for key in ("file_name", "image_id", "height", "width")} == {
                key: expected[key] for key in ("file_name", "image_id", "height", "width")
            }


@pytest.mark.parametrize("num_workers", [0, 1])
def test_no_generator_is_drawn_from(records: list[dict[str, Any]], num_workers: int) -> None:
    states = (np.random.get_state()[1].tolist(), random.getstate(), torch.get_rng_state().tolist())  # type: ignore[index]
    taken(BatchStream(records, config(*ALL_AUGMENTATIONS), 3), 0, 3, num_workers)
    after = (np.random.get_state()[1].tolist(), random.getstate(), torch.get_rng_state().tolist())  # type: ignore[index]
    assert states == after


def test_what_others_draw_changes_nothing(records: list[dict[str, Any]]) -> None:
    stream = BatchStream(records, config(*ALL_AUGMENTATIONS), 3)
    expected = content(stream.batch(2))
    np.random.seed(12345)
    random.seed(7)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(9)
        assert content(stream.batch(2)) == expected


def test_grouping_keeps_wide_and_upright_apart(records: list[dict[str, Any]]) -> None:
    grouped = BatchStream(records, config(), 3)
    mixed = BatchStream(records, config("DATALOADER.ASPECT_RATIO_GROUPING", False), 3)
    wide = [[{item["width"] > item["height"] for item in s.batch(n)} for n in range(12)] for s in (grouped, mixed)]
    assert {len(kinds) for kinds in wide[0]} == {1}
    assert {len(kinds) for kinds in wide[1]} == {1, 2}


def test_empty_images_are_left_out_or_not(records: list[dict[str, Any]]) -> None:
    crowd = [{**records[0]["annotations"][0], "iscrowd": 1}]
    some = [*records[:4], {**records[5], "annotations": crowd}, records[23]]
    assert len(BatchStream(some, config(), 0).records) == 4
    everything = BatchStream(some, config("DATALOADER.FILTER_EMPTY_ANNOTATIONS", False), 0)
    shown = {item["image_id"]: len(item["instances"]) for n in range(6) for item in everything.batch(n)}
    assert shown[24] == 0 and shown[6] == 0  # no box; a crowd alone
    with pytest.raises(TrialError, match="FILTER_EMPTY_ANNOTATIONS"):
        BatchStream([records[23]], config(), 0)


def test_a_class_that_the_model_does_not_have(records: list[dict[str, Any]]) -> None:
    with pytest.raises(TrialError, match=r"MODEL\.ROI_HEADS\.NUM_CLASSES \(3\).*got 3"):
        BatchStream(records, config("MODEL.ROI_HEADS.NUM_CLASSES", 3), 0)


def broken(records: list[dict[str, Any]], folder: Path) -> Iterator[tuple[dict[str, Any], str]]:
    half = Path(records[0]["file_name"]).read_bytes()[:2000]
    (folder / "half.png").write_bytes(half)
    (folder / "text.png").write_text("no image")
    for name in ("half.png", "text.png", "missing.png"):
        yield {**records[0], "file_name": str(folder / name)}, name
    yield {**records[0], "height": 81}, "expected 60 x 81 pixels.*got .60 x 80"


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_image_that_cannot_be_read_is_named(records: list[dict[str, Any]], tmp_path: Path, num_workers: int) -> None:
    cases = list(broken(records, tmp_path))
    assert len(cases) == 4
    for record, says in cases:
        with pytest.raises(TrialError, match=says) as caught:
            taken(BatchStream([record], config(), 0), 0, 1, num_workers)
        assert "Traceback" not in str(caught.value) and len(caught.value.faults) == 1
    assert not multiprocessing.active_children()


def test_an_error_of_the_disk_is_not_the_images(records: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("builtins.open", fails)
    with pytest.raises(OSError, match="Input/output error"):
        taken(BatchStream(records[:1], config(), 0), 0, 1, 0)


def test_closing_ends_the_workers(records: list[dict[str, Any]]) -> None:
    batches = BatchStream(records, config(), 0).iterate(0, 2)
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    batches.close()  # type: ignore[attr-defined]
    assert not multiprocessing.active_children()


def test_a_killed_worker_is_an_error(records: list[dict[str, Any]]) -> None:
    batches = BatchStream(records, config(), 0).iterate(0, 2)
    next(batches)
    victim = multiprocessing.active_children()[0]
    # RuntimeError where torch's signal handler finds out before we ask for a batch.
    with pytest.raises((ChildProcessError, RuntimeError), match="DataLoader worker"):
        os.kill(victim.pid or 0, signal.SIGKILL)
        for _ in range(500):
            next(batches)
            time.sleep(0.01)
    batches.close()  # type: ignore[attr-defined]
    assert not multiprocessing.active_children()


def test_a_small_set_stays_decoded_and_a_large_one_does_not(
    records: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    original = mapper.read_image

    def noted(record: dict[str, Any], image_format: str) -> Any:
        reads.append(record["file_name"])
        return original(record, image_format)

    monkeypatch.setattr(mapper, "read_image", noted)
    expected = taken(BatchStream(records, config(*ALL_AUGMENTATIONS), 3, cache_bytes=0), 0, 12, 0)
    assert len(reads) >= 48
    reads.clear()
    assert taken(BatchStream(records, config(*ALL_AUGMENTATIONS), 3), 0, 12, 0) == expected
    assert len(reads) == len(set(reads)) <= 23
    reads.clear()
    small = ImageReader(records, "BGR", cache_bytes=3 * 60 * 80 * 24 - 1)  # a byte too small for all 24
    first, second = small.read(records[0]), small.read(records[0])
    assert len(reads) == 2 and (first == second).all()
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0, 0] = 1


def test_a_batch_is_ready_fast(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (192, 192, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "a.jpg")
    box = {"bbox": [20, 30, 90, 80], "bbox_mode": BoxMode.XYWH_ABS, "category_id": 0}
    record = {"file_name": str(tmp_path / "a.jpg"), "image_id": 1, "height": 192, "width": 192, "annotations": [box]}
    stream = BatchStream([record], config("INPUT.MIN_SIZE_TRAIN", [192]), 0, cache_bytes=0)
    stream.batch(0)
    seconds = []
    for n in range(30):
        started = time.process_time()
        stream.batch(n)
        seconds.append((time.process_time() - started) / 4)
    assert min(seconds) < 0.003  # per image, decoding included; 0.0012 s on a quiet core
