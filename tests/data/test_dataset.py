from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agropest.data import dataset as dataset_module
from agropest.data.dataset import Dataset, load_dataset
from agropest.data.health import read_findings
from agropest.errors import DataError

BOX = "0 0.5 0.5 0.2 0.4\n"
Fixture = Callable[..., Any]


@pytest.fixture
def root(write_set: Fixture) -> Path:
    folder: Path = write_set({"train/a": BOX, "train/b": "", "valid/c": BOX + BOX})
    return folder


@pytest.fixture
def no_reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, reading the data set again fails the test."""

    def forbid() -> None:
        monkeypatch.setattr(dataset_module, "find_source", lambda root: pytest.fail("read again"))

    return forbid


def test_what_a_data_set_tells(root: Path, tmp_path: Path) -> None:
    dataset = load_dataset(root, tmp_path / "cache")
    assert dataset.root == root.resolve()
    assert dataset.class_names == ("Ants", "Bees")
    assert list(dataset.splits) == ["train", "valid"]
    train, valid = dataset.split("train"), dataset.split("valid")
    assert (train.name, train.num_images, train.num_boxes) == ("train", 2, 1)
    assert (valid.num_images, valid.num_boxes) == (1, 1)
    content = json.loads(train.annotations.read_text())
    assert all((train.image_root / image["file_name"]).is_file() for image in content["images"])
    assert dataset.health.parent.name == f"set-{dataset.fingerprint[:12]}"
    [finding] = [f for f in read_findings(dataset.health) if f.rule == "duplicate-box"]
    assert (finding.split, finding.file, finding.line, finding.action) == ("valid", "valid/labels/c.txt", 2, "dropped")
    assert set(json.loads(dataset.health.read_text())[0]) == {"split", "file", "line", "rule", "action", "detail"}


def test_an_unchanged_set_is_not_read_again(root: Path, tmp_path: Path, no_reading: Callable[[], None]) -> None:
    first = load_dataset(root, tmp_path / "cache")
    no_reading()
    assert load_dataset(root, tmp_path / "cache") == first


def change_label(root: Path) -> None:
    (root / "train/labels/b.txt").write_text(BOX)


def change_label_in_size_and_time_alike(root: Path) -> None:
    path = root / "train/labels/a.txt"
    status = path.stat()
    path.write_text(BOX.replace("0.5 0.5", "0.5 0.4"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def change_image(root: Path) -> None:
    shutil.copy(root / "train/images/a.jpg", root / "train/images/b.jpg")


def add_image(root: Path) -> None:
    shutil.copy(root / "train/images/a.jpg", root / "train/images/z.jpg")


def remove_image(root: Path) -> None:
    (root / "train/images/b.jpg").unlink()


def rename_class(root: Path) -> None:
    (root / "data.yaml").write_text((root / "data.yaml").read_text().replace("Bees", "Wasps"))


CHANGES = [
    change_label,
    change_label_in_size_and_time_alike,
    change_image,
    add_image,
    remove_image,
    rename_class,
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_set_is_another(root: Path, tmp_path: Path, change: Callable[[Path], None]) -> None:
    first = load_dataset(root, tmp_path / "cache")
    change(root)
    assert load_dataset(root, tmp_path / "cache").fingerprint != first.fingerprint


def test_a_copy_elsewhere_has_the_same_fingerprint_and_bytes(root: Path, tmp_path: Path) -> None:
    first = load_dataset(root, tmp_path / "cache")
    shutil.copytree(root, tmp_path / "elsewhere" / "other")
    second = load_dataset(tmp_path / "elsewhere" / "other", tmp_path / "cache2")
    assert second.fingerprint == first.fingerprint
    assert second.split("train").annotations.read_bytes() == first.split("train").annotations.read_bytes()
    assert second.health.read_bytes() == first.health.read_bytes()


def truncate_annotations(dataset: Dataset) -> None:
    dataset.split("train").annotations.write_text("{")


def remove_health(dataset: Dataset) -> None:
    dataset.health.unlink()


def truncate_health(dataset: Dataset) -> None:
    dataset.health.write_text(dataset.health.read_text()[:-20])


def garble_description(dataset: Dataset) -> None:
    (dataset.health.parent / "dataset.json").write_text("[]")


def change_a_digit_of_a_box(dataset: Dataset) -> None:
    path = dataset.split("train").annotations
    text = path.read_text()
    changed = text.replace('"category_id": 1', '"category_id": 2', 1)
    assert len(changed) == len(text)
    assert changed != text
    path.write_text(changed)


def change_a_letter_of_a_class(dataset: Dataset) -> None:
    path = dataset.health.parent / "dataset.json"
    path.write_text(path.read_text().replace("Bees", "Beer"))


DAMAGE = [
    truncate_annotations,
    remove_health,
    truncate_health,
    garble_description,
    change_a_digit_of_a_box,
    change_a_letter_of_a_class,
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_mended(root: Path, tmp_path: Path, damage: Callable[[Dataset], None]) -> None:
    first = load_dataset(root, tmp_path / "cache")
    before = {path: path.read_bytes() for path in first.health.parent.rglob("*") if path.is_file()}
    damage(first)
    assert load_dataset(root, tmp_path / "cache") == first
    assert {path: path.read_bytes() for path in first.health.parent.rglob("*") if path.is_file()} == before


def _load(root: str, cache: str) -> str:
    return load_dataset(Path(root), Path(cache), processes=1).fingerprint


def test_processes_at_once_do_not_disturb_one_another(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with multiprocessing.get_context("forkserver").Pool(3) as pool:
        found = pool.starmap(_load, [(str(root), str(cache))] * 6)
    assert len(set(found)) == 1
    dataset = load_dataset(root, cache)
    assert json.loads(dataset.split("train").annotations.read_text())["images"][0]["id"] == 1
    assert not list(cache.rglob("*.tmp"))


def test_the_cache_may_not_lie_in_the_data_set(root: Path) -> None:
    with pytest.raises(DataError, match="expected a folder outside"):
        load_dataset(root, root / "results")
    assert not (root / "results").exists()


def test_a_split_that_is_not_there(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a split 'test', got \['train', 'valid'\]"):
        load_dataset(root, tmp_path / "cache").split("test")


def test_progress_is_told(root: Path, tmp_path: Path) -> None:
    seen: list[int] = []

    def start(total: int) -> Callable[[], object]:
        seen.append(total)
        return lambda: seen.append(1)

    load_dataset(root, tmp_path / "cache", on_image=start)
    assert seen == [3, 1, 1, 1]
