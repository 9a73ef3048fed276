"""The referee agrees with what is right, and says where a stored figure is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agropest import files
from agropest.statistics.accuracy.average_precision import AP_DEPLOYED, evaluate
from agropest.statistics.accuracy.referee import ask_matching, ask_referee
from agropest.statistics.bootstrap import paired_bootstrap
from agropest.statistics.detections.boxes import Boxes, GroundTruth


@pytest.fixture
def scene(tmp_path: Path) -> tuple[GroundTruth, Boxes]:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 40, (40, 2))
    sizes = rng.uniform(20, 60, (40, 2))
    truth = [
        {"id": i + 1, "image_id": i % 8 + 1, "category_id": i % 3 + 1, "bbox": [*c, *s], "area": s.prod(), "iscrowd": 0}
        for i, (c, s) in enumerate(zip(corners.tolist(), sizes, strict=True))
    ]
    for annotation in truth:
        annotation["bbox"] = [float(value) for value in annotation["bbox"]]
        annotation["area"] = float(annotation["area"])
    content = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 100} for i in range(1, 9)],
        "annotations": truth,
        "categories": [{"id": i, "name": name} for i, name in enumerate(("Ants", "Bees", "Moths"), start=1)],
    }
    boxes = np.array([a["bbox"] for a in truth]) + rng.normal(0, 3, (40, 4))
    columns = (np.array([a[name] for a in truth]) for name in ("image_id", "category_id"))
    found = Boxes(*columns, boxes.astype(np.float32), rng.uniform(0.05, 1, 40).astype(np.float32))
    files.write_json(tmp_path / "truth.json", content)
    return GroundTruth.from_coco(tmp_path / "truth.json"), found


def test_it_agrees_with_the_engine(scene: tuple[GroundTruth, Boxes]) -> None:
    truth, boxes = scene
    metrics = evaluate(truth, boxes) | {AP_DEPLOYED: evaluate(truth, boxes.at_threshold(0.5))["AP"]}
    verdict = ask_referee("test", 7, truth, boxes, metrics, 100, 0.5)
    assert metrics["APs"] is not None
    assert 0 < metrics[AP_DEPLOYED] < metrics["AP"] < 100  # type: ignore[operator]
    assert verdict.agrees
    assert "agrees on test" in verdict.summary()


@pytest.mark.parametrize(("name", "change"), [("AP-Bees", 0.001), (AP_DEPLOYED, 1.0), ("APl", 3.0)])
def test_a_wrong_figure_is_named(scene: tuple[GroundTruth, Boxes], name: str, change: float) -> None:
    truth, boxes = scene
    metrics = evaluate(truth, boxes) | {AP_DEPLOYED: evaluate(truth, boxes.at_threshold(0.5))["AP"]}
    metrics[name] = change if metrics[name] is None else metrics[name] + change
    verdict = ask_referee("test", 7, truth, boxes, metrics, 100, 0.5)
    assert not verdict.agrees
    assert verdict.metric == name
    assert name in verdict.summary()


def test_no_boxes_at_all(scene: tuple[GroundTruth, Boxes]) -> None:
    truth, boxes = scene
    none = boxes.at_threshold(2.0)
    assert ask_referee("valid", 1, truth, none, evaluate(truth, none), 100, 0.5).agrees


def test_the_matching_of_the_bootstrap_is_asked_of_what_the_bootstrap_is_of(scene: tuple[GroundTruth, Boxes]) -> None:
    truth, boxes = scene
    metrics = evaluate(truth, boxes)
    small = {name: paired_bootstrap(truth, {"a": boxes}, name, resamples=2)["a"].values(name) for name in ("AP", "APs")}
    assert set(small["AP"]) == {"AP", "AP-Ants", "AP-Bees", "AP-Moths"}
    assert set(small["APs"]) == {"APs"}
    assert ask_matching("test", 7, metrics, small["AP"] | small["APs"]).agrees
    wrong = ask_matching("test", 7, {**metrics, "AP-Bees": 3.0}, small["AP"])
    assert (wrong.agrees, wrong.metric) == (False, "AP-Bees")
    assert wrong.summary().startswith("the matching of the bootstrap differs from hotcoco")


def test_a_class_without_anything_to_find_is_none_to_both(scene: tuple[GroundTruth, Boxes]) -> None:
    truth, boxes = scene
    ants = GroundTruth(truth.images, truth.categories, [one for one in truth.annotations if one["category_id"] == 1])
    values = paired_bootstrap(ants, {"a": boxes}, resamples=2)["a"].values("AP")
    assert values["AP-Bees"] is None
    assert ask_matching("test", 7, evaluate(ants, boxes), values).agrees
