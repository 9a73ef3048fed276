"""summarize and compare on COCO files as any framework writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agropest.command_line import main

Files = dict[str, str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """gt.json of 40 images; good.json finds every box, shifted.json none well, empty.json none at all."""
    random = np.random.default_rng(0)
    images = [{"id": number, "file_name": f"{number}.jpg"} for number in range(1, 41)]
    annotations: list[dict[str, Any]] = []
    for image in images:
        for _ in range(2):
            bbox = [float(v) for v in (*random.uniform(0, 200, 2), *random.uniform(40, 90, 2))]
            annotations.append({"image_id": image["id"], "category_id": int(random.integers(1, 3)), "bbox": bbox})
    categories = [{"id": 1, "name": "ant"}, {"id": 2, "name": "=bee|[red]"}]
    content = {"images": images, "categories": categories, "annotations": annotations}
    (tmp_path / "gt.json").write_text(json.dumps(content))
    for name, shift in (("good", 1.0), ("shifted", 15.0)):
        boxes = [
            {**a, "bbox": [a["bbox"][0] + shift, *a["bbox"][1:]], "score": round(0.55 + 0.4 * random.random(), 3)}
            for a in annotations
        ]
        (tmp_path / f"{name}.json").write_text(json.dumps(boxes))
    (tmp_path / "empty.json").write_text("[]")
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_a_summary_with_ground_truth(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "summarize", folder / "good.json", "--gt", folder / "gt.json")
    assert code == 0
    for piece in ("80 boxes on 40 of 40 images", "COCO metrics", "Calibration", "TIDE", "Confusion", "=bee|[red]"):
        assert piece in out


def test_a_summary_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "summarize", folder / "good.json", "--gt", folder / "gt.json", "--json")
    told = json.loads(out)
    assert code == 0
    assert told["boxes"]["num_boxes"] == sum(told["boxes"]["by_class"].values()) == 80
    assert sum(told["boxes"]["histogram"]) == 80
    assert told["metrics"]["AP50"] == pytest.approx(100)
    assert told["metrics"]["APs"] is None
    assert told["error_types"]["counts"]["Miss"] == 0
    assert np.trace(told["confusion"]["counts"]) == 80
    assert told["confusion"]["class_names"] == ["ant", "=bee|[red]", "background"]


def test_a_summary_of_boxes_alone_and_of_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "summarize", folder / "shifted.json")
    assert code == 0
    assert "80 boxes on 40 images" in out
    assert "Calibration" not in out
    code, out, _ = run(capsys, "summarize", folder / "empty.json", "--gt", folder / "gt.json", "--json")
    told = json.loads(out)
    assert (code, told["metrics"]["AP"], told["calibration"]["ece"]) == (0, 0.0, None)
    assert told["error_types"]["counts"]["Miss"] == 80
    code, out, _ = run(capsys, "summarize", folder / "empty.json")
    assert (code, "0 boxes on 0 images, 0 (n/a)" in out) == (0, True)


def test_a_difference_that_is_there_gets_its_verdict(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", folder / "gt.json", folder / "shifted.json", folder / "good.json", "--resamples", 200]
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert "scores higher than shifted on these images: good" in out
    rows = [line.split("│") for line in out.splitlines() if line.startswith("│")]
    assert [(row[1].strip(), row[2].strip()) for row in rows] == [("1", "good"), ("2", "shifted")]
    code, out, _ = run(capsys, *words, "--json", "--baseline", folder / "good.json", "--metric", "AP75")
    told = json.loads(out)
    assert (told["metric"], told["baseline"]) == ("AP75", "good")
    shifted = told["variants"][1]
    assert (shifted["label"], shifted["difference"]["verdict"]) == ("shifted", "scores lower")
    assert set(shifted["per_class"]) == {"ant", "=bee|[red]"}


def test_the_same_detector_twice_is_a_tie(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "twin.json").write_text((folder / "good.json").read_text())
    words = ["compare", folder / "gt.json", folder / "good.json", folder / "twin.json", "--resamples", 200, "--json"]
    told = json.loads(run(capsys, *words)[1])
    assert told["variants"][1]["difference"]["p"] == 1
    assert [variant["ties_with_best"] for variant in told["variants"]] == [True, True]


def test_boxes_of_unknown_categories_are_told(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As of a detector that has one class too many: 40 boxes of 80 become those of none."""
    boxes = json.loads((folder / "good.json").read_text())
    other = [{**box, "category_id": box["category_id"] if box["category_id"] == 2 else 9} for box in boxes]
    (folder / "other-ids.json").write_text(json.dumps(other))
    unknown = sum(box["category_id"] == 1 for box in boxes)
    words = ["compare", folder / "gt.json", folder / "good.json", folder / "other-ids.json", "--resamples", 100]
    code, out, err = run(capfd, *words)
    told = f"{unknown} of 80 boxes are of categories that the ground truth lacks (ids 9; it has 1, 2)"
    assert code == 0
    assert f"other-ids: {told}" in out
    assert err == ""  # hotcoco would warn of them
    code, out, err = run(capfd, "summarize", folder / "other-ids.json", "--gt", folder / "gt.json")
    assert (code, err) == (0, "")
    assert f"{unknown} boxes of categories that the ground truth lacks" in out


@pytest.mark.parametrize(
    ("words", "pieces"),
    [
        (("summarize", "none.json"), ("none.json", "expected a readable file")),
        (("summarize", "gt.json"), ("gt.json: entry 0.score", "scores from 0 to 1")),
        (("compare", "gt.json", "good.json", "logits.json"), ("logits.json: entry 0.score", "got 3.5")),
        (
            ("compare", "gt.json", "good.json", "other.json"),
            ("other.json: expected boxes on the images", "image_id 999"),
        ),
        (("summarize", "logits.json"), ("expected scores from 0 to 1", "3.5")),
        (
            ("summarize", "other.json", "--gt", "gt.json"),
            ("other.json: expected boxes on the images of the ground truth", "image_id 999"),
        ),
        (("summarize", "good.json", "--gt", "good.json"), ("good.json", "COCO annotations")),
        (("summarize", "good.json", "--threshold", "7"), ("--threshold", "from 0 to 1")),
        (("compare", "gt.json", "good.json"), ("two results files", "summarize good.json --gt gt.json")),
        (("compare", "gt.json", "good.json", "empty.json", "--baseline", "goood"), ("--baseline", "'good'?")),
        (("compare", "gt.json", "good.json", "empty.json", "--metric", "AP-antt"), ("--metric", "'AP-ant'?")),
        (("compare", "gt.json", "good.json", "empty.json", "--resamples", "3"), ("--resamples", "at least 100")),
    ],
)
def test_bad_input_gets_one_clear_error(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    pieces: tuple[str, ...],
) -> None:
    monkeypatch.chdir(folder)
    box = {"image_id": 999, "category_id": 1, "bbox": [0, 0, 5, 5], "score": 0.5}
    (folder / "other.json").write_text(json.dumps([box]))
    (folder / "logits.json").write_text(json.dumps([{**box, "score": 3.5}]))
    code, _, err = run(capsys, *words)
    assert code == 2
    assert err.startswith("error: ")
    assert "Traceback" not in err
    for piece in pieces:
        assert piece in err
