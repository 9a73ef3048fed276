"""Ground truth and predicted boxes of a split: what every number of a trial is computed from.

Shapes: N predicted boxes, M annotations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agropest import files
from agropest.data.annotations import require_as_converted
from agropest.errors import DataError, fault
from agropest.statistics.detections.coco_files import read_annotations, read_results
from agropest.statistics.detections.npz import DamagedArrays, read_npz, write_npz
from agropest.statistics.detections.stated_areas import images_twice, stated_areas

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
ARRAYS = ("image_id", "category_id", "bbox_xywh", "score")


@dataclass(frozen=True)
class Boxes:
    """Predicted boxes of a split.

    Attributes:
        image_id: [N].
        category_id: [N], as in the ground truth.
        bbox_xywh: [N, 4], pixels of the displayed image.
        score: [N], in [0, 1]; float32 of a training, float64 of a file: rounding would tie scores that differ, and the
            order among them is the ranking that AP is of.
    """

    image_id: IntArray
    category_id: IntArray
    bbox_xywh: FloatArray
    score: npt.NDArray[np.floating[Any]]

    def __len__(self) -> int:
        return len(self.score)

    def at_threshold(self, threshold: float) -> Boxes:
        """Returns the boxes whose score is at least ``threshold`` (:func:`lowest_score`)."""
        return self.where(self.score >= lowest_score(threshold))

    def where(self, mask: npt.NDArray[np.bool_]) -> Boxes:
        """Returns the boxes a mask [N] chooses."""
        return Boxes(self.image_id[mask], self.category_id[mask], self.bbox_xywh[mask], self.score[mask])

    def save(self, path: Path) -> None:
        """Writes the boxes as ``.npz``, atomically; equal boxes give equal bytes."""
        files.write_with(path, lambda file: write_npz(file, {name: getattr(self, name) for name in ARRAYS}))

    @staticmethod
    def load(path: Path) -> Boxes:
        """Reads what :meth:`save` wrote.

        Raises:
            DataError: it is missing or damaged.
        """
        try:
            return Boxes(*read_npz(path, ARRAYS))
        except DamagedArrays as error:
            raise DataError(fault(str(path), "expected stored boxes", str(error), "evaluate again")) from None

    @staticmethod
    def from_coco_results(path: Path) -> Boxes:
        """Reads a COCO results file: a list of ``{image_id, category_id, bbox, score}``.

        Raises:
            DataError: it is missing or is something else, or a score is outside [0, 1]; names the first such entries.
        """
        return Boxes.from_entries(read_results(path))

    @staticmethod
    def from_entries(entries: Sequence[Mapping[str, Any]]) -> Boxes:
        """Returns the boxes of the entries of a COCO results file."""
        return Boxes(
            np.array([item["image_id"] for item in entries], dtype=np.int64),
            np.array([item["category_id"] for item in entries], dtype=np.int64),
            np.array([item["bbox"] for item in entries], dtype=np.float32).reshape(-1, 4),
            np.array([item["score"] for item in entries], dtype=np.float64),
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
        images: ``id``, ``width`` and ``height`` where they are known, ``source`` where pictures are copies of one.
        categories: ``id`` and ``name``, by id.
        annotations: ``id``, ``image_id``, ``category_id``, ``bbox``, ``area``, ``iscrowd``.
        notes: what in the file was doubtful, a sentence each.
    """

    images: Sequence[Mapping[str, Any]]
    categories: Sequence[Mapping[str, Any]]
    annotations: Sequence[Mapping[str, Any]]
    notes: tuple[str, ...] = ()

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
        """Reads a COCO annotation file; annotations are numbered anew.

        Raises:
            ChangedInput: it is one of ours, and not as it was converted.
            DataError: it is missing, not COCO, or refers to images or categories that it does not have.
        """
        require_as_converted(path)
        content = read_annotations(path)
        notes = (*stated_areas(content["annotations"]), *images_twice(content["images"]))
        return GroundTruth(**content, notes=notes)


def lowest_score(threshold: float) -> np.float64:
    """Returns the lowest score that counts as at least ``threshold``: the least that float32 rounds up to it.

    So a box is shown or not alike, whether its score was read from a training or from a file.
    """
    single = np.float32(threshold)
    return np.float64((np.float64(single) + np.float64(np.nextafter(single, np.float32(-1.0)))) / 2)


def require_known_images(boxes: Boxes, image_ids: npt.ArrayLike, where: str) -> None:
    """Raises :class:`DataError` unless every box is on one of these images.

    Args:
        where: the file of the boxes.
    """
    strange = ~np.isin(boxes.image_id, image_ids)
    if strange.any():
        rule, fix = "expected boxes on the images of the ground truth", "give the predictions of this very split"
        raise DataError(fault(where, rule, f"image_id {boxes.image_id[strange][0]}", fix))
