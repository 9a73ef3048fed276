"""Whether the data have what a sweep's metric is computed from: without, every trial would end with n/a."""

from __future__ import annotations

from agropest.data.dataset import Dataset
from agropest.data.inspection.statistics import read_split
from agropest.errors import DataError, fault
from agropest.statistics.accuracy.metric import basis_of, chosen_classes
from agropest.statistics.detections.matching import AREA_RANGES


def require_ground_truth(metric: str, dataset: Dataset, where: str) -> None:
    """Raises DataError where validation has no object that a metric is computed from (crowds do not count).

    Args:
        where: the sweep file and key.
    """
    content = read_split(dataset, "valid")
    names = {category["id"]: category["name"] for category in content["categories"]}
    chosen = chosen_classes(metric, dataset.class_names)
    area = basis_of(metric).area
    low, high = AREA_RANGES[area]
    held = {
        names[one["category_id"]] for one in content["annotations"] if not one["iscrowd"] and low <= one["area"] <= high
    }
    lacking = [name for name in chosen if name not in held] if chosen else ([] if held else ["any class"])
    if lacking:
        size = "" if area == "all" else f"{area} "
        got = f"no {size}object of {', '.join(lacking)}"
        rule = f"expected {size}objects in validation that {metric} is computed from"
        fix = "choose another metric, such as AP, or put such pictures into validation"
        raise DataError(fault(where, rule, got, fix))
