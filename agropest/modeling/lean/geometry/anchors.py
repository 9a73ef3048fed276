"""Anchors, made once for each shape of the feature maps."""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.structures import Boxes
from torch import Tensor

from agropest.modeling.lean.geometry.boxes import Planes, planes

KEPT_BYTES = 64 << 20  # of anchors; the shapes used last stay


@dataclass(frozen=True)
class Grid:
    """The anchors of one shape of the feature maps.

    Attributes:
        levels: [R_l, 4] for each feature map.
        boxes: [R, 4], all of them.
        planes: the same, as :func:`pairwise_iou` takes them.
        starts: the first anchor of each feature map.
    """

    levels: tuple[Tensor, ...]
    boxes: Tensor
    planes: Planes
    starts: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """Memory of all tensors: levels, boxes, planes and areas."""
        return 13 * self.boxes.shape[0] * self.boxes.element_size()


class LeanAnchorGenerator(DefaultAnchorGenerator):
    """``DefaultAnchorGenerator`` that keeps the anchors of the shapes that it was asked for last."""

    def forward(self, features: list[Tensor]) -> list[Boxes]:
        """Returns the anchors of each feature map."""
        return [Boxes(level) for level in self.grid(features).levels]

    def grid(self, features: list[Tensor]) -> Grid:
        """Returns the anchors of all feature maps, not to be written to.

        Raises:
            ValueError: an anchor has no width or no height.
        """
        cells = tuple(self.cell_anchors)
        shapes = tuple(tuple(feature.shape[-2:]) for feature in features)
        kept: OrderedDict[Any, Grid] = self.__dict__.setdefault("_grids", OrderedDict())
        key = (shapes, tuple((cell.device, cell.data_ptr(), cell._version) for cell in cells))
        if key not in kept:
            kept[key] = self._make(shapes)
            while len(kept) > 1 and sum(grid.num_bytes for grid in kept.values()) > KEPT_BYTES:
                kept.popitem(last=False)
        kept.move_to_end(key)
        return kept[key]

    def _make(self, shapes: tuple[tuple[int, ...], ...]) -> Grid:
        with torch.no_grad():
            levels = tuple(self._grid_anchors([list(shape) for shape in shapes]))
            boxes = torch.cat(levels)
            starts = [0]
            for level in levels[:-1]:
                starts.append(starts[-1] + len(level))
            if not bool((boxes[:, 2:] > boxes[:, :2]).all()):
                raise ValueError("an anchor has no width or no height: check MODEL.ANCHOR_GENERATOR")
            return Grid(levels, boxes, planes(boxes), tuple(starts))

    def __getstate__(self) -> dict[str, Any]:
        """Returns what a copy is made of: without the anchors that are kept."""
        return {name: value for name, value in self.__dict__.items() if name != "_grids"}
