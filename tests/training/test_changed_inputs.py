"""Inputs that are replaced or damaged between the plan and their use: no number comes from them, and no trial fails."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from agropest.data.dataset import Dataset, load_dataset
from agropest.errors import ChangedInput, EnvironmentFault, TrialError
from agropest.modeling.build import build
from agropest.statistics.detections.boxes import GroundTruth
from agropest.store.records import TrialState
from agropest.store.store import Store
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.sweep.trial import TrialSpec
from agropest.training.evaluation import TestTimeAugmentation, detect
from agropest.training.input.image_cache import ENTRY_BYTES, open_cache
from agropest.training.input.mapper import ImageReader, TestMapper
from agropest.training.input.picture_file import read_image
from agropest.training.input.records import load_records
from agropest.training.run_context import RunContext
from agropest.training.trial import detectron2_config, run_trial


@pytest.fixture
def own_data(tiny_folder: Path, tmp_path: Path) -> Dataset:
    """A converted data set whose pictures may be replaced."""
    folder = tmp_path / "insects"
    shutil.copytree(tiny_folder, folder)
    return load_dataset(folder, tmp_path / "converted")


def trial_of(path: Path, dataset: Dataset, *settings: str) -> TrialSpec:
    return expand_trials(load_sweep(path, settings), dataset.fingerprint, dataset.class_names)[0]


def records_of(dataset: Dataset, split: str) -> list[dict[str, Any]]:
    return load_records(split, *dataset.paths[split]).dicts


def other_pixels(path: Path) -> None:
    with PIL.Image.open(path) as image:
        size = image.size
    PIL.Image.new("RGB", size, (10, 200, 30)).save(path)


def one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("change", [other_pixels, one_bit, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_picture_is_the_one_that_was_converted(own_data: Dataset, change: Callable[[Path], object]) -> None:
    record = records_of(own_data, "train")[0]
    assert read_image(record, "BGR").shape == (64, 64, 3)
    change(Path(record["file_name"]))
    with pytest.raises(ChangedInput, match=r"expected the picture that the sweep was planned with"):
        read_image(record, "BGR")


@pytest.mark.parametrize("image_format", ["EPS", "GIF", "PPM"])
def test_no_decoder_is_asked_that_no_data_set_needs(own_data: Dataset, image_format: str) -> None:
    """Not even where the hash is right: EPS goes to Ghostscript, whatever the file is called."""
    record = records_of(own_data, "train")[0]
    with PIL.Image.open(record["file_name"]) as image:
        image.load()
    image.save(record["file_name"], image_format)
    record["sha256"] = hashlib.sha256(Path(record["file_name"]).read_bytes()).hexdigest()
    with pytest.raises(TrialError, match="expected an image that can be read"):
        read_image(record, "BGR")


@pytest.mark.parametrize("split", ["train", "valid"])
def test_replaced_pictures_end_a_trial_which_goes_on_with_the_right_ones(
    tiny_sweep: Path, own_data: Dataset, tmp_path: Path, split: str
) -> None:
    trial = trial_of(tiny_sweep, own_data)
    context, undisturbed = RunContext(own_data.paths), Store(tmp_path / "undisturbed").folder(trial).claim()
    assert run_trial(trial, undisturbed, context, lambda record: None).status == TrialState.FINISHED
    kept = {path: path.read_bytes() for path in own_data.root.glob(f"{split}/images/*")}
    assert kept
    for path in kept:
        other_pixels(path)
    folder = Store(tmp_path / "results").folder(trial).claim()
    with pytest.raises(ChangedInput):
        run_trial(trial, folder, context, lambda record: None)
    assert folder.read_evaluations("valid") == []
    for path, content in kept.items():
        path.write_bytes(content)
    assert run_trial(trial, folder, context, lambda record: None).status == TrialState.FINISHED
    both = [[(r.iteration, r.metrics) for r in one.read_evaluations("valid")] for one in (folder, undisturbed)]
    assert both[0] == both[1]


def test_test_time_augmentation_reads_no_other_picture(tiny_sweep: Path, own_data: Dataset) -> None:
    sizes = ("TEST.AUG.MIN_SIZES=[64]", "TEST.AUG.MAX_SIZE=96")
    cfg = detectron2_config(trial_of(tiny_sweep, own_data, *sizes), "cpu")
    model, mapper, records = TestTimeAugmentation(cfg, build(cfg)), TestMapper(cfg), records_of(own_data, "valid")[:1]
    ids = dict(enumerate(range(1, 13)))
    assert detect(model, records, mapper, ids).num_images == 1
    item = mapper(records[0])
    other_pixels(Path(records[0]["file_name"]))
    with pytest.raises(ChangedInput):
        model([item])


@pytest.mark.parametrize("split", ["train", "valid", "test"])
@pytest.mark.parametrize("where", [0.2, 0.5, 0.9])
def test_converted_annotations_are_read_as_they_were_written(own_data: Dataset, split: str, where: float) -> None:
    path, root = own_data.paths[split]
    assert len(load_records(split, path, root).dicts) == len(GroundTruth.from_coco(path).images)
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(ChangedInput, match="launch the sweep again"):
        load_records(split, path, root)
    with pytest.raises(ChangedInput, match="launch the sweep again"):
        GroundTruth.from_coco(path)
    again = load_dataset(own_data.root, own_data.health.parent.parent)  # as a launch does
    assert again == own_data
    assert load_records(split, path, root).dicts


@pytest.mark.parametrize("at", ["pixels", "entry"])
def test_a_damaged_byte_of_the_decoded_cache_is_decoded_again(own_data: Dataset, tmp_path: Path, at: str) -> None:
    records = records_of(own_data, "train")
    expected = [read_image(record, "BGR") for record in records]

    def reader() -> ImageReader:  # a process's own
        return ImageReader(records, "BGR", cache=open_cache(tmp_path / "decoded", "a", records, "BGR"))

    for record in records:
        reader().read(record)
    (path,) = (tmp_path / "decoded").glob("*.raw")
    content = bytearray(path.read_bytes())
    num_bytes = 64 * 64 * 3
    start = len(content) - num_bytes * len(records)
    for number in range(len(records)):
        content[start + number * num_bytes + 5 if at == "pixels" else number * ENTRY_BYTES] ^= 4
    path.write_bytes(content)
    for _ in range(2):  # made again, and then whole
        one = reader()
        assert all(np.array_equal(one.read(record), image) for record, image in zip(records, expected, strict=True))
    cache = open_cache(tmp_path / "decoded", "a", records, "BGR")
    assert cache is not None and all(cache.get(record["file_name"]) is not None for record in records)


def weights_file(path: Path, model: torch.nn.Module) -> Path:
    arrays = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": "test"}))
    return path


def test_replaced_weights_end_a_trial_which_goes_on_with_the_right_ones(
    tiny_sweep: Path, own_data: Dataset, tmp_path: Path
) -> None:
    plain = trial_of(tiny_sweep, own_data)
    path = weights_file(tmp_path / "w.pkl", build(detectron2_config(plain, "cpu")))
    right = path.read_bytes()
    trial = trial_of(tiny_sweep, own_data, f"MODEL.WEIGHTS={path}")
    assert trial.weights.startswith("sha256:")
    one_bit(path)
    folder = Store(tmp_path / "results").folder(trial).claim()
    with pytest.raises(ChangedInput, match="expected the weights that the sweep was planned with"):
        run_trial(trial, folder, RunContext(own_data.paths), lambda record: None)
    assert folder.checkpointed() == set()
    path.write_bytes(right)
    assert run_trial(trial, folder, RunContext(own_data.paths), lambda record: None).status == TrialState.FINISHED


def test_replaced_timm_weights_are_noticed(tmp_path: Path) -> None:
    from agropest.sweep.trial import weights_identity
    from agropest.training.start.weights import require_timm_as_planned

    path = tmp_path / "t.pth"
    path.write_bytes(b"tensors")
    identity = weights_identity("", str(path))
    require_timm_as_planned(str(path), identity)
    path.write_bytes(b"others")
    with pytest.raises(ChangedInput):
        require_timm_as_planned(str(path), identity)


@pytest.mark.parametrize("address", ["https://example.org/r50.pkl", "s3://bucket/r50.pkl", "timm://resnet18"])
def test_an_address_that_is_not_fetched_is_refused_by_the_plan(
    tiny_sweep: Path, own_data: Dataset, address: str
) -> None:
    with pytest.raises(EnvironmentFault, match="expected a file or a detectron2:// address"):
        trial_of(tiny_sweep, own_data, f"MODEL.WEIGHTS={address}")
