from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from agropest import files
from agropest.data.annotations import require_as_converted
from agropest.data.dataset import Dataset, load_dataset
from agropest.data.demo.draw import draw_demo_dataset
from agropest.data.inspection.statistics import read_split
from agropest.data.training_sets.opened import open_training_sets
from agropest.data.training_sets.selection import WHOLE, TrainingSelection
from agropest.errors import ChangedInput, DataError

V2 = TrainingSelection("v2")


@pytest.fixture
def other(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny data set, to be changed."""
    shutil.copytree(tiny_folder, tmp_path / "v2")
    return tmp_path / "v2"


def opened(folder: Path) -> Dataset:
    return load_dataset(folder, folder.parent / "cache", 1)


def relabel(folder: Path, split: str) -> None:
    label = sorted((folder / split / "labels").glob("*.txt"))[0]
    label.write_text("0 0.5 0.5 0.5 0.5\n")


def test_a_share_is_a_data_set_of_its_own(tiny_dataset: Dataset) -> None:
    half, tenth = TrainingSelection(share=0.5), TrainingSelection(share=0.1, seed=7)
    sets = open_training_sets([WHOLE, half, tenth, half], tiny_dataset, {})
    assert {words: one.num_images for words, one in sets.others.items()} == {
        "train (50 %)": {"train": 5, "valid": 6, "test": 4},
        "train (10 %, seed 7)": {"train": 1, "valid": 6, "test": 4},
    }
    assert len({tiny_dataset.fingerprint, *sets.fingerprints.values()}) == 3
    assert sets.of({"DATASETS.TRAIN": ["train"]}) is tiny_dataset
    chosen = sets.of({"DATASETS.TRAIN": ["train (50 %)"]})
    assert chosen.splits["valid"] == tiny_dataset.splits["valid"]
    assert {image["file_name"] for image in read_split(chosen, "train")["images"]} < {
        image["file_name"] for image in read_split(tiny_dataset, "train")["images"]
    }
    assert list(sets.splits) == ["train", "valid", "test", "train (50 %)", "train (10 %, seed 7)"]


def test_a_share_is_checked_when_it_is_read_and_made_again_where_it_is_damaged(tiny_dataset: Dataset) -> None:
    half = TrainingSelection(share=0.5, seed=3)
    path = open_training_sets([half], tiny_dataset, {}).splits["train (50 %, seed 3)"].annotations
    require_as_converted(path)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"category_id":', b'"category_id": ', 1))
    with pytest.raises(ChangedInput):
        require_as_converted(path)
    open_training_sets([half], tiny_dataset, {})
    require_as_converted(path)
    assert path.read_bytes() == whole


def test_versions_are_validated_by_the_first(tiny_dataset: Dataset, other: Path) -> None:
    relabel(other, "train")
    relabel(other, "valid")
    shutil.rmtree(other / "test")
    version = opened(other)
    sets = open_training_sets([WHOLE, V2], tiny_dataset, {"v2": version})
    joined = sets.others["train (v2)"]
    assert joined.splits["train"] == version.splits["train"]
    assert [joined.splits[name] for name in ("valid", "test")] == [
        tiny_dataset.splits[name] for name in ("valid", "test")
    ]
    assert len({joined.fingerprint, version.fingerprint, tiny_dataset.fingerprint}) == 3
    assert sets.remarks == (
        "data.v2: its own valid split is not used (the same pictures with other annotations): all variants share the "
        "first's",
    )


def test_a_version_with_the_same_validation_is_the_data_set_that_it_is_alone(
    tiny_dataset: Dataset, other: Path
) -> None:
    relabel(other, "train")
    version = opened(other)
    sets = open_training_sets([V2, TrainingSelection("v2", 0.5)], tiny_dataset, {"v2": version})
    assert sets.others["train (v2)"] == version
    assert sets.others["train (50 % of v2)"].num_images == {"train": 5, "valid": 6, "test": 4}
    assert sets.remarks == ()


def test_a_version_that_trains_on_what_is_validated_on_is_refused(tiny_dataset: Dataset, other: Path) -> None:
    picture = sorted((other / "valid" / "images").iterdir())[0]
    shutil.copy(picture, other / "train" / "images" / "new.jpg")
    with pytest.raises(
        DataError, match=r"data\.v2: expected no picture of the first version's valid among its training pictures, got "
    ):
        open_training_sets([V2], tiny_dataset, {"v2": opened(other)})


def test_copies_of_what_is_validated_on_are_told(tiny_folder: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("two", 2)):
        draw_demo_dataset(tmp_path / name, seed=seed, train=4, valid=2, test=2, image_size_px=64)
    picture = sorted((tmp_path / "one" / "valid" / "images").iterdir())[0]
    target = sorted((tmp_path / "two" / "train" / "images").iterdir())[0]
    stem = re.sub(r"\.rf\..*", "", picture.stem) + ".rf.0123456789abcdef0123456789abcdef"
    label = tmp_path / "two" / "train" / "labels" / f"{target.stem}.txt"
    label.rename(label.with_stem(stem))
    target.rename(target.with_stem(stem))
    one, two = opened(tmp_path / "one"), opened(tmp_path / "two")
    remarks = open_training_sets([V2], one, {"v2": two}).remarks
    assert any(text.startswith("data.v2: 1 source pictures of its train split have copies") for text in remarks)


def test_versions_with_other_classes_are_refused(tiny_dataset: Dataset, other: Path) -> None:
    text = (other / "data.yaml").read_text()
    (other / "data.yaml").write_text(text.replace("Ants", "Aphids"))
    with pytest.raises(DataError, match=r"data\.v2: expected the classes of the first version.*'Ants', 'Aphids'"):
        open_training_sets([V2], tiny_dataset, {"v2": opened(other)})


def test_damaged_annotations_are_not_chosen_from(tiny_folder: Path, tmp_path: Path) -> None:
    dataset = load_dataset(tiny_folder, tmp_path / "cache", 1)
    path = dataset.splits["train"].annotations
    files.write_json(path, files.read_json(path) | {"licenses": []})
    with pytest.raises(ChangedInput):
        open_training_sets([TrainingSelection(share=0.5)], dataset, {})
