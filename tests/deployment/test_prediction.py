"""predict: annotated pictures, COCO results, YOLO labels; what is broken costs itself alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agropest.__main__ import main
from agropest.deployment.drawing import annotated, class_colour
from agropest.deployment.parity import Found
from agropest.deployment.pictures import find_pictures
from agropest.errors import DataError
from agropest.statistics.detections.boxes import Boxes
from tests.deployment.conftest import Trained
from tests.deployment.test_model_folder import packaged, stored


@pytest.fixture(scope="session")
def model(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packaged(trained, "narrow", tmp_path_factory.mktemp("model") / "m").path


def draw(path: Path, size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (90, 120, 60)).save(path)
    return path


def test_what_is_written_are_the_stored_boxes(
    trained: Trained, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = stored(trained, "narrow")
    root, out = trained.record.splits["valid"].image_root, tmp_path / "p"
    paths = [str(path) for path, _ in expected]
    words = ["predict", str(model), *paths, "--out", str(out), "--json", "--yolo", "--threshold", "0.08"]
    assert main([*words, "--device", "cpu"]) == 0
    count = sum(int((found.scores >= 0.08).sum()) for _, found in expected)
    assert 0 < count < sum(len(found.scores) for _, found in expected)
    assert f"{count} boxes of score 0.08 or more on {len(paths)} pictures" in capsys.readouterr().out

    images = json.loads((out / "images.json").read_text())
    boxes = Boxes.from_coco_results(out / "predictions.json")
    assert len(boxes) == count
    assert [one["file_name"] for one in images["images"]] == [str(Path(path).resolve()) for path in paths]
    assert [one["name"] for one in images["categories"]] == list(trained.record.class_names)
    for number, (path, found) in enumerate(expected, start=1):
        own = boxes.where(boxes.image_id == number)
        kept = found.scores >= 0.08
        np.testing.assert_allclose(np.sort(own.score), np.sort(found.scores[kept]), atol=1e-5)
        name = Path(path).relative_to(root).name
        lines = (out / "labels" / name).with_suffix(".txt").read_text().splitlines()
        assert len(lines) == kept.sum() == len(own)
        for line, (x, y, w, h), category in zip(lines, own.bbox_xywh, own.category_id, strict=True):
            index, *shares, _ = line.split()
            assert int(index) == category - 1
            cx, cy, sw, sh = (float(one) * 64 for one in shares)
            np.testing.assert_allclose([cx - sw / 2, cy - sh / 2, sw, sh], [x, y, w, h], atol=1e-3)
        with Image.open((out / name).with_suffix(".jpg")) as picture, Image.open(path) as original:
            assert picture.size == original.size
    assert (out / "labels" / "classes.txt").read_text().splitlines() == list(trained.record.class_names)


def test_a_broken_picture_costs_that_picture(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw(tmp_path / "in" / "good.png")
    (tmp_path / "in" / "bad.jpg").write_bytes(b"no picture")
    code = main(["predict", str(model), str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--json"])
    told = capsys.readouterr()
    assert code == 1
    assert told.err.count("left out:") == 1
    assert "bad.jpg: expected a picture that can be read" in told.err
    assert "on 1 pictures" in told.out
    assert [path.name for path in (tmp_path / "out").glob("*.jpg")] == ["good.jpg"]
    assert len(json.loads((tmp_path / "out" / "images.json").read_text())["images"]) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["{model}", "{here}/nothing"], "expected pictures"),
        (["{model}", "{here}/good.png", "--threshold", "2"], "expected a score from 0 to 1"),
        (["{here}", "{here}/good.png"], "expected a model folder"),
    ],
)
def test_a_wrong_word_is_one_error(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    draw(tmp_path / "good.png")
    filled = [word.format(model=model, here=tmp_path) for word in words]
    assert main(["predict", *filled, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.count("error:") == 1
    assert told in error


def test_pictures_are_found_once_and_have_names_of_their_own(tmp_path: Path) -> None:
    for name in ("a/one.jpg", "a/deep/one.png", "b/one.jpg", "a/out/one.jpg"):
        draw(tmp_path / name)
    (tmp_path / "a" / "notes.txt").write_text("x")
    words = [str(tmp_path / "a"), str(tmp_path / "b" / "*.jpg"), str(tmp_path / "a" / "one.jpg")]
    found = find_pictures(words, tmp_path / "a" / "out")
    assert [str(one.name) for one in found] == ["deep/one.png", "one.jpg", "one-2.jpg"]
    with pytest.raises(DataError) as caught:
        find_pictures([str(tmp_path / "none"), str(tmp_path / "a" / "notes.*")], tmp_path / "out")
    assert len(caught.value.faults) == 2


def test_boxes_are_drawn_where_they_are(tmp_path: Path) -> None:
    path = draw(tmp_path / "p.png", (200, 100))
    found = Found(np.array([[50.0, 40.0, 90.0, 80.0]]), np.array([0.87]), np.array([3]))
    picture = annotated(path, found, ["a", "b", "c", "Käfer"])
    assert picture.getpixel((50, 60)) == class_colour(3)
    assert picture.getpixel((70, 60)) == (90, 120, 60)
    assert len({class_colour(index) for index in range(80)}) > 75


def test_a_picture_on_its_side_is_drawn_upright(tmp_path: Path) -> None:
    picture = Image.new("RGB", (60, 40))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "side.jpg", exif=exif)
    found = Found(np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=np.int64))
    assert annotated(tmp_path / "side.jpg", found, []).size == (40, 60)
