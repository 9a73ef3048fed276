"""Boxes of a whole batch: overlap, encoding, decoding; the arithmetic of Detectron2 in fewer and larger kernels.

Each value is computed by the operations of ``detectron2.structures.pairwise_iou`` and ``Box2BoxTransform``, in their
order: results are equal bit for bit. Both sides of a box (x and y) go through one kernel.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor


class Planes(NamedTuple):
    """Boxes as planes of coordinates.

    Attributes:
        corners: [4, R], x0 y0 x1 y1.
        areas: [R].
    """

    corners: Tensor
    areas: Tensor


def planes(boxes: Tensor) -> Planes:
    """Returns the planes of boxes [R, 4]."""
    corners = boxes.t().contiguous()
    sides = corners[2:] - corners[:2]
    return Planes(corners, sides[0] * sides[1])


def pairwise_iou(first: Planes, second: Planes) -> Tensor:
    """Returns the overlap of every pair, [G, R], as ``detectron2.structures.pairwise_iou``."""
    low = torch.maximum(first.corners[:2, :, None], second.corners[:2, None])
    sides = torch.minimum(first.corners[2:, :, None], second.corners[2:, None]).sub_(low).clamp_(min=0)
    intersection = sides[0] * sides[1]
    union = (first.areas[:, None] + second.areas).sub_(intersection)
    overlap = intersection / union
    return torch.where(intersection > 0, overlap, intersection.new_zeros(1))


def encode(source: Tensor, target: Tensor, transform: Any) -> Tensor:
    """Returns the deltas [F, 4] from ``source`` to ``target``, as ``Box2BoxTransform.get_deltas``.

    Its assertion that sources have a width is the caller's: anchors are checked when they are made, and proposals
    without a width are left out.

    Args:
        transform: a ``Box2BoxTransform`` for which :func:`is_known` holds.
    """
    source_sides = source[:, 2:] - source[:, :2]
    source_centres = source[:, :2] + 0.5 * source_sides
    target_sides = target[:, 2:] - target[:, :2]
    target_centres = target[:, :2] + 0.5 * target_sides
    shift_weight, _, scale_weight, _ = transform.weights
    shifts = (target_centres - source_centres).mul_(shift_weight).div_(source_sides)
    scales = target_sides.div_(source_sides).log_().mul_(scale_weight)
    return torch.cat((shifts, scales), dim=1)


def decode(deltas: Tensor, boxes: Tensor, transform: Any) -> Tensor:
    """Returns ``boxes`` moved by ``deltas`` [R, 4 C], as ``Box2BoxTransform.apply_deltas``.

    Args:
        boxes: [R, 4].
        transform: a ``Box2BoxTransform`` for which :func:`is_known` holds.
    """
    deltas = deltas.float()  # single precision under mixed precision, too
    boxes = boxes.to(deltas.dtype)
    sides = boxes[:, 2:] - boxes[:, :2]
    centres = boxes[:, :2] + 0.5 * sides
    sides, centres = sides[:, None], centres[:, None]
    by_class = deltas.view(len(deltas), deltas.shape[1] // 4, 4)  # there may be no rows
    shift_weight, _, scale_weight, _ = transform.weights
    moved = (by_class[..., :2] / shift_weight) * sides + centres
    scaled = torch.exp(torch.clamp(by_class[..., 2:] / scale_weight, max=transform.scale_clamp)) * sides
    halves = 0.5 * scaled
    return torch.cat((moved - halves, moved + halves), dim=-1).view(deltas.shape)


def is_known(transform: Any) -> bool:
    """Returns whether :func:`encode` and :func:`decode` stand for a transform: the weights of x and y are equal."""
    weights: tuple[float, ...] = getattr(transform, "weights", ())
    return (
        type(transform).__name__ == "Box2BoxTransform"
        and len(weights) == 4
        and weights[0] == weights[1]
        and weights[2] == weights[3]
    )
