"""Ground truth and predicted boxes of a split: what every number of a trial is computed from.

Shapes: N predicted boxes, M annotations.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from agropest import files
from agropest.errors import DataError, fault

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Boxes:
    """Predicted boxes of a split.

    Attributes:
        image_id: [N].
        category_id: [N], as in the ground truth.
        bbox_xywh: [N, 4], pixels of the displayed image.
        score: [N], in [0, 1].
    """

    image_id: IntArray
    category_id: IntArray
    bbox_xywh: FloatArray
    score: FloatArray

    def __len__(self) -> int:
        return len(self.score)

    def at_threshold(self, threshold: float) -> Boxes:
        """Returns the boxes whose score is at least ``threshold``."""
        return self.where(self.score >= threshold)

    def where(self, mask: npt.NDArray[np.bool_]) -> Boxes:
        """Returns the boxes a mask [N] chooses."""
        return Boxes(self.image_id[mask], self.category_id[mask], self.bbox_xywh[mask], self.score[mask])

    def save(self, path: Path) -> None:
        """Writes the boxes as ``.npz``, atomically; equal boxes give equal bytes."""
        arrays = {name: getattr(self, name) for name in ("image_id", "category_id", "bbox_xywh", "score")}
        files.write_with(path, lambda file: _write_npz(file, arrays))

    @staticmethod
    def load(path: Path) -> Boxes:
        """Reads what :meth:`save` wrote.

        Raises:
            DataError: it is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as content:
                return Boxes(*(content[name] for name in ("image_id", "category_id", "bbox_xywh", "score")))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(fault(str(path), "expected stored boxes", str(error), "evaluate again")) from None

    @staticmethod
    def from_coco_results(path: Path) -> Boxes:
        """Reads a COCO results file: a list of ``{image_id, category_id, bbox, score}``.

        Raises:
            DataError: it is missing or is something else; names the first entries that do not hold.
        """
        content = _read(path)
        if isinstance(content, dict) and isinstance(content.get("annotations"), list):
            content = content["annotations"]
        if not isinstance(content, list):
            raise DataError(fault(str(path), "expected a list of predictions", content, _RESULTS_FIX))
        faults = [
            fault(
                f"{path}: entry {i}", "expected image_id, category_id, bbox [x, y, w, h] and score", item, _RESULTS_FIX
            )
            for i, item in enumerate(content)
            if not _is_prediction(item)
        ]
        if faults:
            raise DataError(*faults[:5], *([f"{path}: and {len(faults) - 5} more"] if len(faults) > 5 else []))
        return Boxes(
            np.array([item["image_id"] for item in content], dtype=np.int64),
            np.array([item["category_id"] for item in content], dtype=np.int64),
            np.array([item["bbox"] for item in content], dtype=np.float32).reshape(-1, 4),
            np.array([item["score"] for item in content], dtype=np.float32),
        )

    def to_array(self) -> npt.NDArray[np.float64]:
        """Returns image id, x, y, w, h, score, category id as rows [N, 7]: what ``COCO.loadRes`` takes."""
        columns: list[npt.NDArray[Any]] = [
            self.image_id[:, None],
            self.bbox_xywh,
            self.score[:, None],
            self.category_id[:, None],
        ]
        return np.concatenate(columns, axis=1, dtype=np.float64)

    def to_coco_results(self) -> list[dict[str, Any]]:
        """Returns the boxes as a COCO results list."""
        rows = zip(
            self.image_id.tolist(), self.category_id.tolist(), self.bbox_xywh.tolist(), self.score.tolist(), strict=True
        )
        return [{"image_id": i, "category_id": c, "bbox": box, "score": score} for i, c, box, score in rows]


@dataclass(frozen=True)
class GroundTruth:
    """The annotations of a split, as COCO has them.

    Attributes:
        images: ``id``, and ``source`` where pictures are copies of one source.
        categories: ``id`` and ``name``, by id.
        annotations: ``id``, ``image_id``, ``category_id``, ``bbox``, ``area``, ``iscrowd``.
    """

    images: Sequence[Mapping[str, Any]]
    categories: Sequence[Mapping[str, Any]]
    annotations: Sequence[Mapping[str, Any]]

    @cached_property
    def class_names(self) -> dict[int, str]:
        """Category id to name, by id."""
        return {category["id"]: category["name"] for category in self.categories}

    def to_coco(self) -> dict[str, Any]:
        """Returns the COCO dictionary."""
        return {
            "images": [dict(image) for image in self.images],
            "categories": [dict(category) for category in self.categories],
            "annotations": [dict(annotation) for annotation in self.annotations],
        }

    @staticmethod
    def from_coco(path: Path) -> GroundTruth:
        """Reads a COCO annotation file.

        Raises:
            DataError: it is missing, not COCO, or refers to images or categories that it does not have.
        """
        content = _read(path)
        fix = "give a COCO annotation file (images, categories, annotations)"
        lists = ("images", "categories", "annotations")
        if not isinstance(content, dict) or not all(isinstance(content.get(name), list) for name in lists):
            raise DataError(fault(str(path), "expected COCO annotations", type(content).__name__, fix))
        faults = list(_annotation_faults(content, str(path), fix))
        if faults:
            raise DataError(*faults[:5], *([f"{path}: and {len(faults) - 5} more"] if len(faults) > 5 else []))
        annotations = [
            {"iscrowd": 0, "area": a["bbox"][2] * a["bbox"][3], "id": i + 1, **a}
            for i, a in enumerate(content["annotations"])
        ]
        categories = sorted(content["categories"], key=lambda category: category["id"])
        return GroundTruth(content["images"], categories, annotations)


_RESULTS_FIX = 'write COCO results: [{"image_id": 1, "category_id": 1, "bbox": [x, y, w, h], "score": 0.9}]'


def _annotation_faults(content: dict[str, Any], where: str, fix: str) -> list[str]:
    faults: list[str] = []
    for name, keys in (("images", ("id",)), ("categories", ("id", "name"))):
        faults += [
            fault(f"{where}: {name}[{i}]", f"expected {' and '.join(keys)}", item, fix)
            for i, item in enumerate(content[name])
            if not isinstance(item, dict) or any(key not in item for key in keys)
        ]
    if faults:
        return faults
    images, categories = ({item["id"] for item in content[name]} for name in ("images", "categories"))
    for i, item in enumerate(content["annotations"]):
        if not isinstance(item, dict) or not _is_box(item.get("bbox")):
            faults.append(fault(f"{where}: annotations[{i}]", "expected bbox [x, y, w, h]", item, fix))
        elif item.get("image_id") not in images or item.get("category_id") not in categories:
            faults.append(fault(f"{where}: annotations[{i}]", "expected a known image_id and category_id", item, fix))
    return faults


def _is_box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(_is_number(number) for number in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_prediction(item: Any) -> bool:
    return (
        isinstance(item, dict)
        and isinstance(item.get("image_id"), int)
        and isinstance(item.get("category_id"), int)
        and _is_box(item.get("bbox"))
        and _is_number(item.get("score"))
    )


def _read(path: Path) -> Any:
    try:
        return files.read_json(path)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(fault(str(path), "expected JSON", str(error), "give a COCO file")) from None
    except OSError as error:
        raise DataError(fault(str(path), "expected a readable file", error.strerror, "check the path")) from None


def _write_npz(file: IO[bytes], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """numpy's own ``savez`` stamps the time into the archive; this does not."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
