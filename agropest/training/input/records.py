"""A split as Detectron2's data set dicts, without its global catalog: trials share nothing but files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from detectron2.structures import BoxMode

from agropest import files
from agropest.data.annotations import require_as_converted
from agropest.statistics.detections.boxes import GroundTruth
from agropest.statistics.detections.matching import Targets, read_targets
from agropest.training.input.packed_records import PackedRecords


@dataclass(frozen=True)
class SplitRecords:
    """One split.

    Attributes:
        dicts: Detectron2 data set dicts; class indices are contiguous from 0, in the order of category ids.
        category_ids: class index to COCO category id.
        annotations: the COCO JSON they are from.
    """

    name: str
    dicts: PackedRecords
    category_ids: Mapping[int, int]
    annotations: Path

    @cached_property
    def ground_truth(self) -> GroundTruth:
        """The boxes to find; read when they are asked for, which of the training split they never are.

        Raises:
            ChangedInput: the annotations are not as they were written.
        """
        return GroundTruth.from_coco(self.annotations)

    @cached_property
    def targets(self) -> Targets:
        """The same as arrays, once for all evaluations in this process."""
        return read_targets(self.ground_truth)


def load_records(name: str, annotations: Path, image_root: Path) -> SplitRecords:
    """Returns a split of a converted data set.

    Args:
        name: "train", "valid" or "test".
        annotations: its COCO JSON.
        image_root: what its file names are relative to.

    Raises:
        ChangedInput: the annotations are not as they were written.
    """
    return _records(name, annotations, image_root, require_as_converted(annotations))


@lru_cache(maxsize=3)
def _records(name: str, annotations: Path, image_root: Path, sha256: str) -> SplitRecords:
    """Reads a split; one process that evaluates several trials reads what has this hash once."""
    content = files.read_json(annotations)
    ids = sorted(category["id"] for category in content["categories"])
    index = {category_id: i for i, category_id in enumerate(ids)}
    boxes: dict[int, list[dict[str, Any]]] = {}
    for annotation in content["annotations"]:
        boxes.setdefault(annotation["image_id"], []).append(
            {
                "bbox": annotation["bbox"],
                "bbox_mode": BoxMode.XYWH_ABS,
                "category_id": index[annotation["category_id"]],
                "iscrowd": annotation.get("iscrowd", 0),
            }
        )
    dicts = PackedRecords(
        {
            "file_name": str(image_root / image["file_name"]),
            "image_id": image["id"],
            "height": image["height"],
            "width": image["width"],
            "annotations": boxes.get(image["id"], []),
            **({"sha256": image["sha256"]} if image.get("sha256") else {}),
        }
        for image in content["images"]
    )
    return SplitRecords(name, dicts, dict(enumerate(ids)), annotations)
