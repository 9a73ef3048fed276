from __future__ import annotations

import numpy as np
import pytest

from agropest.statistics import bootstrap
from agropest.statistics.bootstrap import draws, in_parts, paired_bootstrap
from agropest.statistics.detections.boxes import Boxes, GroundTruth


def test_parts_hold_every_resample_once_and_stay_below_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "MOST_WEIGHTS", 100)
    [draw] = draws(7, 45, 0)
    parts = in_parts(draw, 20)
    assert [len(part) for part in parts] == [5] * 9
    assert (np.concatenate(parts) == draw).all()
    assert len(in_parts(draw, 0)) == 1


def test_a_large_set_has_the_same_replicates_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    annotations = [
        {"id": i + 1, "image_id": i // 2 + 1, "category_id": i % 3 + 1, "bbox": [9.0 * (i % 2), 5, 8, 8], "area": 64}
        for i in range(80)
    ]
    for one in annotations:
        one["iscrowd"] = 0
    truth = GroundTruth(
        [{"id": i + 1} for i in range(40)], [{"id": c, "name": f"c{c}"} for c in (1, 2, 3)], annotations
    )
    entries = [
        {**one, "bbox": [x + random.uniform(0, 4) for x in one["bbox"]], "score": random.uniform()}
        for one in annotations
    ]
    boxes = {"a": Boxes.from_entries(entries)}
    whole = paired_bootstrap(truth, boxes, resamples=200)["a"]
    monkeypatch.setattr(bootstrap, "MOST_KEPT", 0)
    monkeypatch.setattr(bootstrap, "MOST_WEIGHTS", 500)
    parts = paired_bootstrap(truth, boxes, resamples=200)["a"]
    for name in ("value", "samples", "halves"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name), equal_nan=True), name
    assert np.nanstd(whole.samples) > 0
