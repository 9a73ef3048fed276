"""Features of proposals from several feature maps."""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
from functools import lru_cache
from typing import Any

import torch
from detectron2.layers import ROIAlign
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes
from torch import Tensor


class LeanROIPooler(ROIPooler):
    """``ROIPooler`` that asks once how many proposals each feature map has.

    Detectron2 writes the features of one feature map after another into one tensor, and autograd copies the whole
    gradient for each of them.
    """

    @staticmethod
    def covers(module: Any) -> bool:
        """Returns whether this class stands for a module with its settings."""
        return len(module.level_poolers) > 1 and all(type(pooler) is ROIAlign for pooler in module.level_poolers)

    def forward(self, x: list[Tensor], box_lists: list[Boxes]) -> Tensor:
        """Returns [P, C, S, S] features of all proposals."""
        if not box_lists or any(type(boxes) is not Boxes for boxes in box_lists):
            return super().forward(x, box_lists)  # type: ignore[no-any-return]
        boxes = torch.cat([its.tensor for its in box_lists])
        images = _image_numbers(tuple(len(its) for its in box_lists), boxes.dtype, boxes.device)
        rois = torch.cat((images, boxes), dim=1)
        rows = self._rows_of_levels(boxes)
        pooled = [pooler(level, rois[at]) for pooler, level, at in zip(self.level_poolers, x, rows, strict=True)]
        return _InOneTensor.apply(len(boxes), *rows, *pooled)  # type: ignore[no-any-return]

    def _rows_of_levels(self, boxes: Tensor) -> tuple[Tensor, ...]:
        """Returns which proposals each feature map has, as ``assign_boxes_to_levels``."""
        sides = boxes[:, 2:] - boxes[:, :2]
        sizes = torch.sqrt(sides[:, 0] * sides[:, 1])
        levels = torch.floor(self.canonical_level + torch.log2(sizes / self.canonical_box_size + 1e-8))
        levels = levels.clamp_(min=self.min_level, max=self.max_level)
        numbers = torch.arange(self.min_level, self.max_level + 1, dtype=levels.dtype, device=levels.device)
        is_of = levels == numbers[:, None]
        counts = is_of.sum(dim=1).tolist()
        return torch.nonzero_static(is_of, size=len(boxes))[:, 1].split(counts)


class _InOneTensor(torch.autograd.Function):
    """Puts rows into one tensor; the gradient of each part is its rows of the gradient."""

    @staticmethod
    def forward(ctx: Any, num_rows: int, *rows_and_parts: Tensor) -> Tensor:
        half = len(rows_and_parts) // 2
        ctx.rows, parts = rows_and_parts[:half], rows_and_parts[half:]
        whole = parts[0].new_empty((num_rows, *parts[0].shape[1:]))
        for rows, part in zip(ctx.rows, parts, strict=True):
            whole.index_copy_(0, rows, part)
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        nothing = (None,) * (1 + len(ctx.rows))
        return (*nothing, *(gradients[0].index_select(0, rows) for rows in ctx.rows))


@lru_cache(maxsize=64)
def _image_numbers(lengths: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Returns [P, 1], the image of each proposal."""
    numbers = torch.tensor([image for image, length in enumerate(lengths) for _ in range(length)])
    return numbers.to(device=device, dtype=dtype)[:, None]
