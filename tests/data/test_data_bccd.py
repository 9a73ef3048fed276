"""A real data set, where there is one: set AGROPEST_BCCD to a folder with BCCD as YOLO labels, and its true boxes in
``annotations/*.json``, made from the VOC files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from agropest.data.dataset import load_dataset
from agropest.data.health import read_findings

BCCD = os.environ.get("AGROPEST_BCCD")
pytestmark = pytest.mark.skipif(not BCCD, reason="AGROPEST_BCCD names no folder")


def sorted_boxes(content: dict[str, Any]) -> list[tuple[str, str, list[int], list[float]]]:
    files = {image["id"]: Path(image["file_name"]).name for image in content["images"]}
    names = {category["id"]: category["name"] for category in content["categories"]}
    return sorted(
        (files[a["image_id"]], names[a["category_id"]], [round(v) for v in a["bbox"]], a["bbox"])
        for a in content["annotations"]
    )


def test_every_box_is_within_a_hundredth_of_a_pixel(tmp_path: Path) -> None:
    root = Path(str(BCCD))
    dataset = load_dataset(root, tmp_path / "cache")
    compared = 0
    for split in ("train", "valid", "test"):
        found = json.loads(dataset.split(split).annotations.read_text())
        true = json.loads((root / f"annotations/{split}.json").read_text())
        assert [c["name"] for c in found["categories"]] == [c["name"] for c in true["categories"]]
        ours, theirs = sorted_boxes(found), sorted_boxes(true)
        assert len(ours) == len(theirs) > 0
        for our, their in zip(ours, theirs, strict=True):
            assert our[:3] == their[:3]
            assert our[3] == pytest.approx(their[3], abs=0.01)
            compared += 1
    assert compared == 4886
    lost = [f for f in read_findings(dataset.health) if f.action == "dropped" and f.line]
    assert [(Path(f.file).name, f.rule) for f in lost] == [
        ("BloodImage_00343.txt", "no-size"),
        ("BloodImage_00338.txt", "no-size"),
    ]
