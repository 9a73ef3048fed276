from __future__ import annotations

import hashlib
import re
import time
from pathlib import Path

import pytest
import yaml

from agropest.data.convert import convert
from agropest.data.demo.draw import draw_demo_dataset
from agropest.data.demo.insects import CLASS_NAMES
from agropest.data.source import find_source
from agropest.errors import DataError


def digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(str(p.relative_to(folder)).encode() + p.read_bytes() for p in files)).hexdigest()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "set"
    assert draw_demo_dataset(folder, seed=3, train=120, valid=8, test=4, image_size_px=192)
    return folder


def test_the_layout_is_a_yolov8_export(demo: Path) -> None:
    content = yaml.safe_load((demo / "data.yaml").read_text())
    assert content == {
        "train": "../train/images",
        "val": "../valid/images",
        "test": "../test/images",
        "nc": 12,
        "names": list(CLASS_NAMES),
    }
    for split, number in (("train", 120), ("valid", 8), ("test", 4)):
        images = sorted((demo / split / "images").iterdir())
        assert len(images) == number
        assert all(re.fullmatch(r"[a-z]+-\d+-_jpg\.rf\.[0-9a-f]{32}\.jpg", image.name) for image in images)
        assert {p.stem for p in images} == {p.stem for p in (demo / split / "labels").iterdir()}


def test_it_converts_without_a_finding(demo: Path) -> None:
    conversion = convert(find_source(demo.resolve()), processes=1)
    assert conversion.findings == ()
    counts = [0] * 13
    for annotation in conversion.contents["train"]["annotations"]:
        counts[annotation["category_id"]] += 1
    assert counts[1] / counts[9] == pytest.approx(4, rel=0.15)  # ants, slugs
    assert all(count > 0 for count in counts[1:])
    longest = [max(a["bbox"][2:]) for a in conversion.contents["train"]["annotations"]]
    assert max(longest) / min(longest) >= 6
    per_image = [a["image_id"] for a in conversion.contents["train"]["annotations"]]
    assert {per_image.count(i) for i in set(per_image)} == {1, 2, 3, 4, 5, 6, 7, 8}


def test_a_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        draw_demo_dataset(tmp_path / name, seed=seed, train=2, valid=1, test=0, image_size_px=64)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert {p.name for p in (tmp_path / "a/train/images").iterdir()}.isdisjoint(
        p.name for p in (tmp_path / "c/train/images").iterdir()
    )


def test_the_same_set_is_drawn_once_and_another_replaces_it(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    sizes = {"valid": 1, "test": 1, "image_size_px": 64}
    assert draw_demo_dataset(folder, train=2, **sizes)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert not draw_demo_dataset(folder, train=2, **sizes)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert draw_demo_dataset(folder, train=3, **sizes)
    assert len(list((folder / "train/images").iterdir())) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_folder_of_somebody_elses_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="new or empty folder"):
        draw_demo_dataset(tmp_path, train=1, valid=1, test=1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_all_bad_arguments_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        draw_demo_dataset(tmp_path / "x", seed=-1, train=-2, image_size_px=10)
    assert [line.split(":")[0] for line in caught.value.faults] == ["train", "seed", "image_size_px"]
    assert list(tmp_path.iterdir()) == []


# The only test that is about speed, so not where others use the machine.
@pytest.mark.slow
def test_drawing_is_quick(tmp_path: Path) -> None:
    start = time.process_time()
    draw_demo_dataset(tmp_path / "set", train=30, valid=0, test=0)
    assert time.process_time() - start < 30 * 15 / 900 * 2  # 15 s for 900 pictures; twice that, for a busy machine
