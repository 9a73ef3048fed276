from __future__ import annotations

import json
from pathlib import Path

import pytest

from agropest.data.dataset import Dataset, Split
from agropest.errors import DataError
from agropest.planning.measurable import require_ground_truth


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Validation has a small ant, a medium bee, and a crowd of moths."""
    annotations = [
        {"category_id": 1, "area": 100.0, "iscrowd": 0},
        {"category_id": 2, "area": 2000.0, "iscrowd": 0},
        {"category_id": 3, "area": 2000.0, "iscrowd": 1},
    ]
    names = ("ant", "bee", "moth")
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(names)]
    path = tmp_path / "valid.json"
    path.write_text(json.dumps({"images": [], "annotations": annotations, "categories": categories}))
    return Dataset(tmp_path, "f", names, {"valid": Split("valid", path, tmp_path, 0, 3)}, tmp_path / "health.json")


@pytest.mark.parametrize("metric", ["AP", "APs", "APm", "AP-ant", "AP-ant, AP-bee", "AR10", "F1_deployed", "AP_worst"])
def test_metrics_that_validation_can_tell(dataset: Dataset, metric: str) -> None:
    require_ground_truth(metric, dataset, "a.yaml: metric")


@pytest.mark.parametrize(
    ("metric", "got"),
    [
        ("APl", "no large object of any class"),
        ("APl_deployed", "no large object of any class"),
        ("AP-moth", "no object of moth"),
        ("AP-ant, AP-moth", "no object of moth"),
    ],
)
def test_a_metric_without_objects_is_refused_before_training(dataset: Dataset, metric: str, got: str) -> None:
    with pytest.raises(DataError, match=f"a.yaml: metric: expected .*objects in validation .*, got '{got}'"):
        require_ground_truth(metric, dataset, "a.yaml: metric")
