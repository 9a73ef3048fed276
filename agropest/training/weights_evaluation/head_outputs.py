"""What a box head says before scores are cut off and boxes suppressed, kept so that others need no forward pass.

Shapes: R rows of one picture (its proposals), K classes, B = K x 4 box numbers, or 4 where boxes are class-agnostic.

It is the exact input of Detectron2's post-processing (:mod:`.post_processing`), so the boxes are the same bit for bit.
Rows whose scores all lie below the lowest threshold are left out, which would be cut off first.
"""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.modeling import GeneralizedRCNN
from detectron2.modeling.roi_heads import CascadeROIHeads, FastRCNNOutputLayers, Res5ROIHeads, StandardROIHeads
from torch import Tensor

from agropest import files
from agropest.statistics.detections.npz import DamagedArrays, read_npz, write_npz

ARRAYS = ("image_id", "sizes", "counts", "boxes", "scores")


@dataclass(frozen=True)
class HeadOutput:
    """The box head's output for one picture.

    Attributes:
        image_id: as in the ground truth.
        input_size: height and width at the network's input.
        size: of the picture, height and width.
        boxes: [R, B], pixels of the network's input.
        scores: [R, K + 1].
    """

    image_id: int
    input_size: tuple[int, int]
    size: tuple[int, int]
    boxes: Tensor
    scores: Tensor


def has_head_outputs(model: torch.nn.Module) -> bool:
    """Returns whether the detections of a model are made of one box head's output, and of nothing else."""
    heads = getattr(model, "roi_heads", None)
    return (
        isinstance(model, GeneralizedRCNN)
        and isinstance(heads, StandardROIHeads | Res5ROIHeads)
        and not isinstance(heads, CascadeROIHeads)
        and type(heads.box_predictor).inference is FastRCNNOutputLayers.inference
        and not getattr(heads, "mask_on", False)
        and not getattr(heads, "keypoint_on", False)
    )


class Recorded(torch.nn.Module):
    """A model that keeps what its box head says of each picture that it is given.

    Args:
        model: one that :func:`has_head_outputs`.
        floor: rows without a score above it are not kept.

    Attributes:
        outputs: of the pictures so far.
    """

    def __init__(self, model: torch.nn.Module, floor: float) -> None:
        super().__init__()
        self.model, self.floor = model, floor
        self._heads: Any = model.roi_heads
        self.outputs: list[HeadOutput] = []

    def forward(self, batch: list[dict[str, Any]]) -> Any:
        """Returns what the model returns."""
        with _heard(self._heads.box_predictor) as heard:
            found = self.model(batch)
        for item, boxes, scores, size in zip(batch, *heard[-1], strict=True):
            kept = (scores[:, :-1] > self.floor).any(dim=1)
            whole = (int(item.get("height", size[0])), int(item.get("width", size[1])))
            rows = (boxes[kept].to("cpu"), scores[kept].to("cpu"))
            self.outputs.append(HeadOutput(item["image_id"], tuple(size), whole, *rows))
        return found


@contextlib.contextmanager
def _heard(predictor: Any) -> Iterator[list[tuple[Any, Any, Any]]]:
    """Yields a list to which each inference of a predictor adds its boxes, scores and image sizes."""
    heard: list[tuple[Any, Any, Any]] = []
    stock = predictor.inference

    def inference(predictions: Any, proposals: Sequence[Any]) -> Any:
        boxes = predictor.predict_boxes(predictions, proposals)
        scores = predictor.predict_probs(predictions, proposals)
        heard.append((boxes, scores, [one.image_size for one in proposals]))
        return stock(predictions, proposals)

    predictor.inference = inference
    try:
        yield heard
    finally:
        del predictor.inference


def write_outputs(path: Path, outputs: Sequence[HeadOutput]) -> None:
    """Writes the outputs of a split, atomically."""
    arrays = {
        "image_id": np.array([one.image_id for one in outputs], dtype=np.int64),
        "sizes": np.array([(*one.input_size, *one.size) for one in outputs], dtype=np.int64),
        "counts": np.array([len(one.boxes) for one in outputs], dtype=np.int64),
        "boxes": torch.cat([one.boxes for one in outputs]).numpy(),
        "scores": torch.cat([one.scores for one in outputs]).numpy(),
    }
    # They last as long as the launch, and are made again where they are damaged.
    files.write_with(path, lambda file: write_npz(file, arrays, compressed=False), durable=False)


def read_outputs(path: Path) -> list[HeadOutput] | None:
    """Returns what :func:`write_outputs` wrote; None where it is not there, or damaged."""
    try:
        image_ids, sizes, counts, boxes, scores = read_npz(path, ARRAYS)
    except DamagedArrays:
        return None
    parts = [torch.from_numpy(array).split(counts.tolist()) for array in (boxes, scores)]
    return [
        HeadOutput(int(image_id), (int(size[0]), int(size[1])), (int(size[2]), int(size[3])), *rows)
        for image_id, size, *rows in zip(image_ids, sizes, *parts, strict=True)
    ]
