from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agropest.data.formats.data_yaml import read_data_yaml
from agropest.data.place import data_place
from agropest.data.source import find_source
from agropest.errors import DataError

BOX = "0 0.5 0.5 0.2 0.4\n"
SPLITS = "train: ../train/images\nval: ../valid/images\n"
Fixture = Callable[..., Any]


@pytest.fixture
def folder(write_set: Fixture) -> Callable[[str | bytes], Path]:
    """Writes data.yaml beside train/images and valid/images; returns it."""
    return lambda text: write_set({"train/a": BOX, "valid/b": BOX}, text) / "data.yaml"


def read(file: Path) -> tuple[dict[int, str], dict[str, list[str]], list[str]]:
    root = file.parent.resolve()
    said = read_data_yaml(file, root)
    folders = {split: [f.relative_to(root).as_posix() for f in found] for split, found in said.folders.items()}
    rules = [f.rule for f in said.findings]
    return said.names, folders, rules


@pytest.mark.parametrize(
    ("names", "expected", "rules"),
    [
        ("[Ants, 'no', \"1\"]", {0: "Ants", 1: "no", 2: "1"}, []),
        ("{1: Bees, 0: Ants}", {0: "Ants", 1: "Bees"}, []),
        ("{0: Ants, 3: Bees}", {0: "Ants", 3: "Bees"}, ["names-gap"]),
        ("[蚂蚁, Abeille à miel]", {0: "蚂蚁", 1: "Abeille à miel"}, []),
        ("\n  0: Ants\n  1: Bees", {0: "Ants", 1: "Bees"}, []),
    ],
)
def test_names(folder: Fixture, names: str, expected: dict[int, str], rules: list[str]) -> None:
    assert read(folder(f"{SPLITS}names: {names}\n"))[::2] == (expected, rules)


@pytest.mark.parametrize(
    ("names", "part"),
    [
        ("[Ants, no]", r"names\[1\]: expected text, got False; put it into quotes"),
        ("[Ants, 12]", r"names\[1\]: expected text, got 12"),
        ("[Ants, 1.0]", r"names\[1\]: expected text, got 1.0"),
        ("[Ants, null]", r"names\[1\]: expected text, got None"),
        ("[Ants, '']", r"names\[1\]: expected a name"),
        ("[Ants, Ants]", r"names\[1\]: expected different names"),
        ("[]", "expected a list of class names"),
        ("Ants", "expected a list of class names, got 'Ants'"),
        ("{a: Ants}", "expected class numbers from 0 to 99999, got 'a'"),
        ("{-1: Ants}", "expected class numbers from 0 to 99999, got -1"),
    ],
)
def test_what_is_no_name_is_refused(folder: Fixture, names: str, part: str) -> None:
    with pytest.raises(DataError, match=part):
        read(folder(f"{SPLITS}names: {names}\n"))


def test_every_fault_at_once(folder: Fixture) -> None:
    with pytest.raises(DataError) as caught:
        read(folder("train: nowhere\nnc: two\nnames: [Ants, yes, 3]\n"))
    keys = [line.split("data.yaml: ")[1].split(":")[0] for line in caught.value.faults]
    assert keys == ["names[1]", "names[2]", "nc", "train"]


@pytest.mark.parametrize(("nc", "rules"), [("2", []), ("3", ["nc-differs"]), ("1", ["nc-differs"])])
def test_nc_against_names(folder: Fixture, nc: str, rules: list[str]) -> None:
    names, _, found = read(folder(f"{SPLITS}nc: {nc}\nnames: [Ants, Bees]\n"))
    assert (len(names), found) == (2, rules)


def test_labels_of_a_class_without_name_are_dropped(write_set: Fixture, converted: Fixture, told: Fixture) -> None:
    root = write_set({"train/a": "0 .5 .5 .2 .4\n1 .5 .5 .3 .4\n2 .5 .5 .4 .4"}, f"{SPLITS}names: {{0: Ants, 2: Bees}}")
    conversion = converted(root)
    assert conversion.contents["train"]["categories"] == [{"id": 1, "name": "Ants"}, {"id": 3, "name": "Bees"}]
    assert [a["category_id"] for a in conversion.contents["train"]["annotations"]] == [1, 3]
    assert told(conversion.findings, "names-gap") == [("train/labels/a.txt", 2, "class-without-name", "dropped")]


@pytest.mark.parametrize(
    "paths",
    [
        "train: ../train/images\nval: ../valid/images",
        "train: train/images\nvalid: valid/images",
        "train: ./train/images\nval: ./valid/images",
        "train: train\nval: valid",
        "path: /content/drive/set\ntrain: train/images\nval: valid/images",
        "path: .\ntrain: train/images\nval: valid/images",
        "train: /home/somebody/set/train/images\nval: /home/somebody/set/valid/images",
        "train: 'C:\\Users\\me\\set\\train\\images'\nval: 'C:\\Users\\me\\set\\valid\\images'",
        "train: ../../../train/images\nval: [valid/images]",
    ],
)
def test_paths_of_other_machines(folder: Fixture, paths: str) -> None:
    _, folders, _ = read(folder(f"{paths}\nnames: [Ants]\n"))
    assert {split: [f.split("/")[0] for f in found] for split, found in folders.items()} == {
        "train": ["train"],
        "valid": ["valid"],
    }


def test_several_folders_of_a_split(write_set: Fixture, converted: Fixture) -> None:
    root = write_set(
        {"train/a": BOX, "more/b": BOX}, "train: [train/images, more/images, ./train/images]\nnames: [A]\n"
    )
    conversion = converted(root)
    files = [image["file_name"] for image in conversion.contents["train"]["images"]]
    assert files == ["more/images/b.jpg", "train/images/a.jpg"]
    assert "folder-twice" in {f.rule for f in conversion.findings}


def test_missing_and_unnamed_splits(write_set: Fixture, told: Fixture) -> None:
    root = write_set({"train/a": BOX, "test/b": BOX}, "train: train/images\nval: valid/images\nnames: [A]\n").resolve()
    source = find_source(root)
    assert source.splits == ("train", "test")
    assert [(f.split, f.rule) for f in source.findings] == [("valid", "split-missing"), ("test", "split-not-in-yaml")]


def test_a_set_needs_no_test_split(folder: Fixture) -> None:
    assert read(folder("train: train/images\nval: valid/images\nnames: [A]\n"))[2] == []
    assert read(folder("train: train/images\nnames: [A]\n"))[2] == ["split-not-in-yaml"]  # valid's folder is used


def test_a_split_without_a_key_is_read_where_it_usually_is(write_set: Fixture) -> None:
    root = write_set({"train/a": BOX}, "train: images/train\nnames: [A]\n").resolve()
    for split in ("train", "val"):
        (root / "images" / split).mkdir(parents=True)
    assert read(root / "data.yaml")[1:] == (
        {"train": ["images/train"], "valid": ["images/val"]},
        ["split-not-in-yaml"],
    )


def test_two_keys_for_one_split(folder: Fixture) -> None:
    _, folders, rules = read(folder(f"{SPLITS}valid: elsewhere\nnames: [A]\n"))
    assert folders["valid"] == ["valid/images"]
    assert rules == ["split-key-twice"]


@pytest.mark.parametrize("path", ["train/images", "./train/images/", "../x/train/images"])
def test_one_folder_for_two_splits_is_refused(write_set: Fixture, path: str) -> None:
    root = write_set({"train/a": BOX}, f"train: train/images\nval: {path}\nnames: [A]\n").resolve()
    with pytest.raises(DataError, match="train and val: expected other pictures in each split, got 'train/images for"):
        find_source(root)


def test_a_folder_outside_the_data_set_is_not_read(write_set: Fixture, tmp_path: Path) -> None:
    write_set({"train/a": BOX}, None, name="other")
    root = write_set({"valid/a": BOX}, "train: ../other/train/images\nval: valid/images\nnames: [A]\n", name="set")
    (root / "link").symlink_to(tmp_path / "other/train/images")
    with pytest.raises(DataError, match="expected a folder of images inside"):
        find_source(root.resolve())
    (root / "data.yaml").write_text("train: link\nval: valid/images\nnames: [A]\n")
    with pytest.raises(DataError, match="expected a folder of images inside"):
        find_source(root.resolve())


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"names: [a\n", "expected YAML in UTF-8"),
        (b"\xff\xfe\x00", "expected YAML in UTF-8"),
        (b"- a\n", "expected keys and values"),
        (b"", "expected keys and values, got None"),
        (b"!!python/object/apply:os.system ['true']\n", "expected YAML in UTF-8"),
        (b"names: [A]\nnames: [B]\ntrain: train/images\n", "key .*names.* is given twice"),
        (b"names: [A]\ntrain: 5\n", "expected a folder of images, got 5"),
    ],
)
def test_what_is_no_data_yaml(folder: Fixture, content: bytes, part: str) -> None:
    with pytest.raises(DataError, match=part):
        read(folder(content))


def test_a_byte_order_mark_and_unknown_keys(folder: Fixture) -> None:
    assert read(folder(b"\xef\xbb\xbf" + f"{SPLITS}names: [A]\r\nflag: 1\n".encode()))[2] == ["unknown-key"]


def test_the_folder_or_its_data_yaml_may_be_named(folder: Fixture) -> None:
    file = folder(f"{SPLITS}names: [A]\n")
    assert data_place(file).root == data_place(file.parent).root == file.parent.resolve()


@pytest.mark.parametrize(("name", "got"), [("nowhere", "no such folder"), ("empty", "an empty")])
def test_no_data_set_says_where_to_get_one(tmp_path: Path, name: str, got: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        find_source(data_place(tmp_path / name).root)
    [line] = caught.value.faults
    for part in (str(tmp_path / name), got, "data.yaml, train/images", "Kaggle", "crop pests", "AgroPest-12"):
        assert part in line


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("file.zip", b"x", "got 'a file'; unpack it"),
        ("notes.txt", b"x", "got 'a file'; name the folder"),
        ("folder/set.zip", b"x", "unpack the archive"),
        ("folder/result.json", b'{"images": [], "annotations": [], "categories": []}', "its name tells no split"),
        ("folder/classes.txt", b"ant", "write a data.yaml"),
        ("folder/readme.md", b"x", "put what describes the set there"),
    ],
)
def test_what_somebody_has_is_not_told_to_be_another_set(tmp_path: Path, name: str, content: bytes, part: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        find_source(data_place(tmp_path / name.split("/")[0]).root)
    [line] = caught.value.faults
    assert part in line
    assert "Kaggle" not in line


def test_a_folder_of_no_split_is_told(write_set: Fixture) -> None:
    root = write_set(
        {"train/a": BOX, "train/sub/b": BOX, "extra/c": BOX, "extra/d": BOX}, "train: train/images\nnames: [A]\n"
    )
    found = [(f.file, f.detail) for f in find_source(root.resolve()).findings if f.rule == "folder-not-read"]
    assert found == [("extra/images", "2 images of no split")]
