"""The ROI heads of Cascade R-CNN."""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
from collections.abc import Sequence
from typing import Any

import torch
from detectron2.modeling.roi_heads import CascadeROIHeads
from detectron2.structures import Boxes, Instances
from torch import Tensor

from agropest.modeling.lean.geometry.matching import Targets, are_plain, match_proposals, targets_of
from agropest.modeling.lean.heads.predictor import NUM_FOREGROUND, LeanOutputLayers
from agropest.modeling.lean.heads.roi_heads import LeanLabelling


class LeanCascadeROIHeads(LeanLabelling, CascadeROIHeads):
    """``CascadeROIHeads`` with two host reads for each stage after the first."""

    def _forward_box(self, features: Any, proposals: list[Instances], targets: Any = None) -> Any:
        is_covered = self.training and are_plain(targets)
        if not is_covered or not all(isinstance(predictor, LeanOutputLayers) for predictor in self.box_predictor):
            return super()._forward_box(features, proposals, targets)
        maps = [features[name] for name in self.box_in_features]
        truth, losses = targets_of(targets), {}
        for stage, predictor in enumerate(self.box_predictor):
            predictions = self._run_stage(maps, proposals, stage)
            stage_losses = predictor.losses(predictions, proposals)
            losses.update({f"{name}_stage{stage}": loss for name, loss in stage_losses.items()})
            if stage + 1 < self.num_cascade_stages:
                with torch.no_grad():  # proposals are fixed for the stage that follows
                    boxes = predictor.predict_boxes(predictions, proposals)
                    proposals = self._next_proposals(boxes, [one.image_size for one in proposals], truth, stage + 1)
        return losses

    def _next_proposals(
        self, boxes: Sequence[Tensor], image_sizes: Sequence[tuple[int, int]], truth: Targets, stage: int
    ) -> list[Instances]:
        """Returns the boxes of a stage as the proposals of the next one, with their classes and ground-truth boxes."""
        inside, lengths = _inside(boxes, image_sizes)
        matches = match_proposals(self.proposal_matchers[stage], truth, inside, lengths)
        classes = truth.classes[matches.rows].masked_fill_(matches.labels == 0, self.num_classes)
        num_foreground = [part.sum() for part in (matches.labels == 1).split(lengths)]
        fields = (inside, classes, truth.boxes[matches.rows])
        result = []
        images = zip(*(field.split(lengths) for field in fields), strict=True)
        for image_size, its, number in zip(image_sizes, images, torch.stack(num_foreground).tolist(), strict=True):
            instances = Instances(image_size)
            instances.proposal_boxes = Boxes(its[0])
            instances.gt_classes = its[1]
            instances.gt_boxes = Boxes(its[2])
            setattr(instances, NUM_FOREGROUND, number)
            result.append(instances)
        return result


def _inside(boxes: Sequence[Tensor], image_sizes: Sequence[tuple[int, int]]) -> tuple[Tensor, list[int]]:
    """Returns the boxes of all images, clipped and without empty ones, and how many each image has.

    Raises:
        FloatingPointError: a box is not finite.
    """
    highest = torch.stack([its.abs().amax() if len(its) else its.new_zeros(()) for its in boxes]).amax()
    clipped = [
        torch.stack((its[:, 0::2].clamp(0, width), its[:, 1::2].clamp(0, height)), dim=2).flatten(1)
        for its, (height, width) in zip(boxes, image_sizes, strict=True)
    ]
    inside = torch.cat(clipped)
    keeps = (inside[:, 2:] > inside[:, :2]).all(dim=1)
    counts = [its.sum() for its in keeps.split([len(its) for its in boxes])]
    is_finite, *lengths = torch.stack([torch.isfinite(highest).long(), *counts]).tolist()
    if not is_finite:
        raise FloatingPointError("Box tensor contains infinite or NaN!")
    if sum(lengths) < len(inside):
        inside = inside[torch.nonzero_static(keeps, size=sum(lengths))[:, 0]]
    return inside, lengths
