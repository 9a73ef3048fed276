"""Which ground-truth box each anchor or proposal belongs to, for all images of a batch."""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from agropest.modeling.lean.geometry.boxes import Planes, pairwise_iou, planes

# Overlaps that are computed at once: 64 MiB for each intermediate result.
PAIRS_AT_ONCE = 1 << 24


@dataclass(frozen=True)
class Targets:
    """The ground truth of a batch.

    Attributes:
        boxes: [G, 4].
        classes: [G].
        starts: the first box of each image, and G.
    """

    boxes: Tensor
    classes: Tensor
    starts: tuple[int, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Boxes of each image."""
        return tuple(end - start for start, end in zip(self.starts, self.starts[1:], strict=False))


def targets_of(instances: Sequence[Any]) -> Targets:
    """Returns the ground truth of ``Instances`` with ``gt_boxes`` and ``gt_classes``."""
    starts = [0]
    for one in instances:
        starts.append(starts[-1] + len(one))
    boxes = torch.cat([one.gt_boxes.tensor for one in instances])
    return Targets(boxes, torch.cat([one.gt_classes for one in instances]), tuple(starts))


def are_plain(instances: Sequence[Any]) -> bool:
    """Returns whether every image has ground truth, and that is boxes and classes alone."""
    fields = {"gt_boxes", "gt_classes"}
    return bool(instances) and all(len(one) > 0 and set(one.get_fields()) == fields for one in instances)


@dataclass
class Matches:
    """What :class:`Matcher` answers, for a whole batch.

    Attributes:
        rows: the ground-truth box (of all G) that overlaps most, for each column.
        labels: int8, the matcher's label of each column.
    """

    rows: Tensor
    labels: Tensor


class BatchMatcher:
    """Collects the best overlap of each column, image by image, then labels all at once.

    Args:
        matcher: Detectron2's ``Matcher``.
        lengths: columns of each image.
        device: of the results.
    """

    def __init__(self, matcher: Any, lengths: Sequence[int], device: torch.device) -> None:
        self._matcher = matcher
        self._overlaps = torch.empty(sum(lengths), device=device)
        self._rows = torch.empty(sum(lengths), dtype=torch.int64, device=device)
        self._parts = list(zip(self._overlaps.split(list(lengths)), self._rows.split(list(lengths)), strict=True))
        self._is_best: list[Tensor] = []

    def add(self, image: int, overlaps: Tensor, first_row: int, best: Tensor | None = None) -> None:
        """Adds an image.

        Args:
            overlaps: of its boxes and its columns.
            first_row: its first ground-truth box.
            best: whether each column is the best one of each box; for matchers that allow matches of low quality.
        """
        torch.max(overlaps, dim=0, out=self._parts[image])
        if first_row:
            self._parts[image][1].add_(first_row)
        if best is not None:
            self._is_best.append(best.any(dim=0))

    def matches(self) -> Matches:
        """Returns the matches of all images."""
        thresholds, labels = _steps(
            tuple(self._matcher.thresholds[1:-1]), tuple(self._matcher.labels), self._overlaps.device
        )
        found = labels[torch.bucketize(self._overlaps, thresholds, right=True)]
        if self._is_best:
            found.masked_fill_(torch.cat(self._is_best), 1)
        return Matches(self._rows, found)


def match_anchors(matcher: Any, targets: Targets, anchors: Planes) -> Matches:
    """Returns the matches of R anchors, which all images share, as [N R] columns.

    Args:
        matcher: Detectron2's ``Matcher``, which allows matches of low quality or does not.
    """
    counts, num_anchors = targets.counts, anchors.areas.shape[0]
    batch = BatchMatcher(matcher, [num_anchors] * len(counts), targets.boxes.device)
    for images in _at_once(counts, num_anchors):
        first, end = targets.starts[images[0]], targets.starts[images[-1] + 1]
        overlaps = pairwise_iou(planes(targets.boxes[first:end]), anchors)
        sizes = [counts[image] for image in images]
        best = [None] * len(images)
        if matcher.allow_low_quality_matches:
            # Equality with the highest overlap, ties included; where that is 0 it is every anchor, as in Detectron2.
            best = (overlaps == overlaps.amax(dim=1, keepdim=True)).split(sizes)
        for image, block, is_best in zip(images, overlaps.split(sizes), best, strict=True):
            batch.add(image, block, targets.starts[image], is_best)
    return batch.matches()


def match_proposals(matcher: Any, targets: Targets, proposals: Tensor, lengths: Sequence[int]) -> Matches:
    """Returns the matches of P proposals, each image's own.

    Args:
        matcher: Detectron2's ``Matcher`` without matches of low quality.
        proposals: [P, 4].
        lengths: proposals of each image.
    """
    batch = BatchMatcher(matcher, lengths, proposals.device)
    overlaps = pairwise_iou(planes(targets.boxes), planes(proposals)).split(list(targets.counts))
    start = 0
    for image, (rows, length) in enumerate(zip(overlaps, lengths, strict=True)):
        batch.add(image, rows[:, start : start + length], targets.starts[image])
        start += length
    return batch.matches()


def _at_once(counts: Sequence[int], num_columns: int) -> list[list[int]]:
    """Returns the images in groups whose overlaps are computed at once."""
    groups: list[list[int]] = []
    rows = 0
    for image, count in enumerate(counts):
        if not groups or (rows + count) * num_columns > PAIRS_AT_ONCE:
            groups.append([])
            rows = 0
        groups[-1].append(image)
        rows += count
    return groups


@lru_cache(maxsize=64)
def _steps(thresholds: tuple[float, ...], labels: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    return torch.tensor(thresholds, device=device), torch.tensor(labels, dtype=torch.int8, device=device)
