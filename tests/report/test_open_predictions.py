"""The stored boxes as COCO results, and a script for FiftyOne that refers to them."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agropest.__main__ import main
from agropest.statistics.accuracy.evaluation import evaluate_all
from agropest.statistics.detections.boxes import Boxes, GroundTruth
from agropest.store.store import Store
from agropest.store.sweep_record import read_sweep_record


def test_every_evaluation_is_a_results_file(sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predictions", str(sweep), str(tmp_path / "p")]) == 0
    record, store = read_sweep_record(sweep), Store(sweep.parent)
    count = 0
    for trial in record.trials:
        folder = store.folder(trial)
        for one in [*folder.read_evaluations("valid"), *folder.read_evaluations("test")]:
            path = tmp_path / "p" / f"{trial.label}-s1" / f"{one.stem}.json"
            boxes, truth = Boxes.from_coco_results(path), GroundTruth.from_coco(tmp_path / "p" / f"{one.split}.json")
            assert evaluate_all(truth, boxes)["AP"] == pytest.approx(one.metrics["AP"], abs=1e-9)
            np.testing.assert_array_equal(boxes.bbox_xywh, Boxes.load(folder.boxes_path(one)).bbox_xywh)
            count += 1
    assert count == 9  # two finished trials with three and a test each, one stopped with one
    assert f"{count} evaluations" in capsys.readouterr().out


def test_a_part_of_a_sweep(sweep: Path, tmp_path: Path) -> None:
    assert main(["predictions", f"{sweep}/good/1", str(tmp_path / "p"), "--chosen"]) == 0
    files = sorted(path.relative_to(tmp_path / "p").as_posix() for path in (tmp_path / "p").rglob("*-*.json"))
    assert files == ["good-s1/test-00000030.json", "good-s1/valid-00000030.json"]


@pytest.mark.parametrize(("part", "told"), [("goood", "did you mean 'good'?"), ("good/3", "its seeds are 1")])
def test_a_part_that_is_not_there(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], part: str, told: str
) -> None:
    assert main(["predictions", f"{sweep}/{part}", str(tmp_path / "p")]) == 2
    assert told in capsys.readouterr().err


def test_the_script_gives_fiftyone_what_its_functions_take(
    sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["predictions", str(sweep), str(tmp_path / "p")]) == 0
    loaded: list[dict[str, Any]] = []
    added: list[tuple[Any, ...]] = []
    fiftyone, utils, coco = (types.ModuleType(n) for n in ("fiftyone", "fiftyone.utils", "fiftyone.utils.coco"))
    fiftyone.types = types.SimpleNamespace(COCODetectionDataset="coco")  # type: ignore[attr-defined]
    fiftyone.Dataset = types.SimpleNamespace(from_dir=lambda **given: loaded.append(given))  # type: ignore[attr-defined]
    coco.add_coco_labels = lambda *given, **named: added.append((*given, named))  # type: ignore[attr-defined]
    fiftyone.utils, utils.coco = utils, coco  # type: ignore[attr-defined]
    for module in (fiftyone, utils, coco):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    script = tmp_path / "p" / "open_in_fiftyone.py"
    exec(compile(script.read_text(), str(script), "exec"), {"__name__": "read", "__file__": str(script)})
    assert [one["name"] for one in loaded] == ["hostile-valid", "hostile-test"]
    assert all(Path(one["data_path"]).is_dir() and Path(one["labels_path"]).is_file() for one in loaded)
    assert [one[1] for one in added] == ["base_s1", "good_s1", "slow_s1", "base_s1", "good_s1"]
    for _, _, results, categories, named in added:
        assert set(json.loads(Path(results).read_text())[0]) == {"image_id", "category_id", "bbox", "score"}
        assert categories[0] == {"id": 1, "name": "ant"}
        assert named == {"coco_id_field": "coco_id"}


def test_damaged_boxes_cost_that_evaluation(
    factorial_sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record, store = read_sweep_record(factorial_sweep), Store(factorial_sweep.parent)
    folder = store.folder(record.trials[1])
    boxes = folder.boxes_path(folder.read_evaluations("valid")[0])
    whole = boxes.read_bytes()
    boxes.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        assert main(["predictions", str(factorial_sweep), str(tmp_path / "p")]) == 1
    finally:
        boxes.write_bytes(whole)
    told = capsys.readouterr()
    assert "left out: still/s1 valid-00000030" in told.err
    assert "3 evaluations" in told.out
