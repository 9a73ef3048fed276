"""Non-maximum suppression of boxes that are grouped by feature map already.

torchvision's ``batched_nms`` finds the groups anew, with a read for each, although their sizes are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torchvision.ops import nms

# torchvision's thresholds: with more numbers than these, each group is suppressed by a call of its own.
MOST_NUMBERS = {"cpu": 4_000}
MOST_NUMBERS_ELSEWHERE = 100_000


def suppress(boxes: Tensor, scores: Tensor, sizes: Sequence[int], threshold: float) -> Tensor:
    """Returns which boxes of an image are kept, by falling score, as Detectron2's ``batched_nms``.

    Args:
        boxes: [P, 4], float32; the groups lie one after another.
        scores: [P].
        sizes: boxes of each group, which add up to P.
        threshold: of overlap.
    """
    if not len(boxes):
        return torch.empty(0, dtype=torch.int64, device=boxes.device)
    if boxes.numel() > MOST_NUMBERS.get(boxes.device.type, MOST_NUMBERS_ELSEWHERE):
        return _group_by_group(boxes, scores, sizes, threshold)
    # Each group is moved so far that it overlaps with no other one.
    offsets = _group_numbers(tuple(sizes), boxes.device) * (boxes.amax() + 1)
    return nms(boxes + offsets[:, None], scores, threshold)


def _group_by_group(boxes: Tensor, scores: Tensor, sizes: Sequence[int], threshold: float) -> Tensor:
    kept, start = [], 0
    for its_boxes, its_scores in zip(boxes.split(list(sizes)), scores.split(list(sizes)), strict=True):
        if len(its_scores):
            kept.append(nms(its_boxes, its_scores, threshold) + start)
        start += len(its_scores)
    columns = torch.cat(kept).sort()[0]
    return columns[scores[columns].sort(descending=True)[1]]


@lru_cache(maxsize=64)
def _group_numbers(sizes: tuple[int, ...], device: torch.device) -> Tensor:
    """Returns [P], the group of each box."""
    numbers = [group for group, size in enumerate(sizes) for _ in range(size)]
    return torch.tensor(numbers, dtype=torch.float32, device=device)
