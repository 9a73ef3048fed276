"""The best proposals of a batch: chosen first, decoded afterwards, checked with one host read."""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from detectron2.structures import Boxes, Instances
from torch import Tensor

from agropest.modeling.lean.geometry.anchors import Grid
from agropest.modeling.lean.geometry.boxes import decode
from agropest.modeling.lean.geometry.suppression import suppress


@dataclass(frozen=True)
class Candidates:
    """The highest scores of each feature map.

    Attributes:
        boxes: [N, P, 4], inside their image.
        scores: [N, P].
        sizes: of each feature map; they add up to P.
        highest: [2], of the boxes before they were clipped and of the scores; not finite where one of them is not.
    """

    boxes: Tensor
    scores: Tensor
    sizes: tuple[int, ...]
    highest: Tensor


def find_proposals(
    rpn: Any, grid: Grid, logits: Sequence[Tensor], deltas: Tensor, image_sizes: Sequence[tuple[int, int]]
) -> list[Instances]:
    """Returns the proposals of each image, as ``detectron2``'s ``find_top_rpn_proposals`` in training.

    Args:
        rpn: its numbers of proposals, thresholds and transform are used.
        logits: [N, R_l] for each feature map.
        deltas: [N, R, 4].
        image_sizes: height and width of each.

    Raises:
        FloatingPointError: a box or a score is not finite.
    """
    found = _candidates(rpn, grid, logits, deltas, image_sizes)
    sides = found.boxes[..., 2:] - found.boxes[..., :2]
    keeps = (sides > rpn.min_box_size).all(dim=2)
    images = list(zip(found.boxes, found.scores, strict=True))
    if _are_finite_and_kept(found, keeps):
        kept = [suppress(boxes, scores, found.sizes, rpn.nms_thresh) for boxes, scores in images]
    else:
        kept = _suppress_some(images, found.sizes, keeps, rpn.nms_thresh)
    return _instances(found, [one[: rpn.post_nms_topk[True]] for one in kept], image_sizes)


def _candidates(
    rpn: Any, grid: Grid, logits: Sequence[Tensor], deltas: Tensor, image_sizes: Sequence[tuple[int, int]]
) -> Candidates:
    scores, columns, sizes = [], [], []
    for level, start in zip(logits, grid.starts, strict=True):
        size = min(level.shape[1], rpn.pre_nms_topk[True])
        ordered, at = level.sort(descending=True, dim=1)
        scores.append(ordered[:, :size])
        columns.append(at[:, :size] + start if start else at[:, :size])
        sizes.append(size)
    chosen, scored = torch.cat(columns, dim=1), torch.cat(scores, dim=1)
    chosen_deltas = deltas.gather(1, chosen[..., None].expand(-1, -1, 4))
    boxes = decode(chosen_deltas.view(-1, 4), grid.boxes[chosen.view(-1)], rpn.box2box_transform)
    boxes = boxes.view(*chosen.shape, 4)
    highest = torch.stack((boxes.abs().amax(), scored.float().abs().amax()))
    inside = torch.minimum(boxes.clamp(min=0), _limits(tuple(image_sizes), boxes.device))
    return Candidates(inside, scored, tuple(sizes), highest)


@lru_cache(maxsize=64)
def _limits(image_sizes: tuple[tuple[int, int], ...], device: torch.device) -> Tensor:
    """Returns [N, 1, 4], the highest coordinates inside each image."""
    return torch.tensor([[[width, height] * 2] for height, width in image_sizes], dtype=torch.float32, device=device)


def _are_finite_and_kept(found: Candidates, keeps: Tensor) -> bool:
    """Returns whether every candidate is kept; what the host must know is read at once.

    Raises:
        FloatingPointError: a box or a score is not finite.
    """
    *values, num_kept = torch.cat((found.highest, keeps.sum()[None])).tolist()  # exact: there are fewer than 2^24
    if not all(math.isfinite(value) for value in values):
        raise FloatingPointError("Predicted boxes or scores contain Inf/NaN. Training has diverged.")
    return bool(num_kept == keeps.numel())


def _suppress_some(
    images: Sequence[tuple[Tensor, Tensor]], sizes: Sequence[int], keeps: Tensor, threshold: float
) -> list[Tensor]:
    """Returns what is kept of each image where some boxes are empty; one more read tells how many are not."""
    counts = torch.stack([part.sum(dim=1) for part in keeps.split(list(sizes), dim=1)], dim=1).tolist()
    totals = [sum(its) for its in counts]
    columns = torch.nonzero_static(keeps, size=sum(totals))[:, 1].split(totals)
    return [
        its[suppress(boxes[its], scores[its], left, threshold)]
        for (boxes, scores), its, left in zip(images, columns, counts, strict=True)
    ]


def _instances(found: Candidates, kept: Sequence[Tensor], image_sizes: Sequence[tuple[int, int]]) -> list[Instances]:
    width, lengths = found.scores.shape[1], [len(one) for one in kept]
    columns = torch.cat([one + image * width for image, one in enumerate(kept)])
    boxes = found.boxes.view(-1, 4)[columns].split(lengths)
    scores = found.scores.view(-1)[columns].split(lengths)
    result = []
    for size, its_boxes, its_scores in zip(image_sizes, boxes, scores, strict=True):
        instances = Instances(size)
        instances.proposal_boxes = Boxes(its_boxes)
        instances.objectness_logits = its_scores
        result.append(instances)
    return result
