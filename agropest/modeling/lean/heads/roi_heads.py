"""Which proposals the box head is trained on, for a whole batch."""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
import math
from collections.abc import Sequence

import torch
from detectron2.modeling.roi_heads import Res5ROIHeads, ROIHeads, StandardROIHeads
from detectron2.structures import Boxes, Instances
from torch import Tensor

from agropest.modeling.lean.geometry.matching import PAIRS_AT_ONCE, are_plain, match_proposals, targets_of
from agropest.modeling.lean.geometry.sampling import draw
from agropest.modeling.lean.heads.predictor import NUM_FOREGROUND

# Detectron2's logit of a ground-truth box that is added to the proposals.
GROUND_TRUTH_LOGIT = math.log((1.0 - 1e-10) / (1 - (1.0 - 1e-10)))


class LeanLabelling(ROIHeads):
    """Labels and samples the proposals of all images at once; mixed into Detectron2's ROI heads."""

    @torch.no_grad()
    def label_and_sample_proposals(self, proposals: list[Instances], targets: list[Instances]) -> list[Instances]:
        """Returns the proposals that are trained on, with their classes and ground-truth boxes."""
        if not self._is_covered(proposals, targets):
            return super().label_and_sample_proposals(proposals, targets)  # type: ignore[no-any-return]
        truth = targets_of(targets)
        boxes, logits, lengths = self._candidates(proposals, targets)
        matches = match_proposals(self.proposal_matcher, truth, boxes, lengths)
        classes = truth.classes[matches.rows].masked_fill_(matches.labels == 0, self.num_classes)
        classes.masked_fill_(matches.labels == -1, -1)
        is_background = classes == self.num_classes
        sample = draw(
            (classes != -1) & ~is_background, is_background, lengths, self.batch_size_per_image, self.positive_fraction
        )
        parts = [part for image in zip(sample.positive, sample.negative, strict=True) for part in image]
        chosen = torch.cat(parts)
        sizes = [len(one) + len(other) for one, other in zip(sample.positive, sample.negative, strict=True)]
        fields = (boxes[chosen], logits[chosen], classes[chosen], truth.boxes[matches.rows[chosen]])
        images = zip(*(field.split(sizes) for field in fields), strict=True)
        return [
            _instances(one.image_size, its, len(positive))
            for one, its, positive in zip(proposals, images, sample.positive, strict=True)
        ]

    def _is_covered(self, proposals: Sequence[Instances], targets: Sequence[Instances]) -> bool:
        fields = {"proposal_boxes", "objectness_logits"}
        if not are_plain(targets) or any(set(one.get_fields()) != fields for one in proposals):
            return False
        num_boxes = sum(len(one) for one in targets)
        return num_boxes * (num_boxes + sum(len(one) for one in proposals)) <= PAIRS_AT_ONCE

    def _candidates(
        self, proposals: Sequence[Instances], targets: Sequence[Instances]
    ) -> tuple[Tensor, Tensor, list[int]]:
        """Returns the proposals of all images (boxes, logits, how many), ground truth among them where it is wanted."""
        boxes, logits, lengths = [], [], []
        most = max(len(one) for one in targets)
        certain = proposals[0].objectness_logits.new_full((most,), GROUND_TRUTH_LOGIT)
        for one, truth in zip(proposals, targets, strict=True):
            boxes.append(one.proposal_boxes.tensor)
            logits.append(one.objectness_logits)
            if self.proposal_append_gt:
                boxes.append(truth.gt_boxes.tensor)
                logits.append(certain[: len(truth)])
            lengths.append(len(one) + len(truth) * self.proposal_append_gt)
        return torch.cat(boxes), torch.cat(logits), lengths


class LeanROIHeads(LeanLabelling, StandardROIHeads):
    """``StandardROIHeads`` with labels and samples for the whole batch."""


class LeanRes5ROIHeads(LeanLabelling, Res5ROIHeads):
    """``Res5ROIHeads`` with labels and samples for the whole batch."""


def _instances(image_size: tuple[int, int], fields: tuple[Tensor, ...], num_foreground: int) -> Instances:
    """Returns the proposals of an image from their boxes, logits, classes and ground-truth boxes."""
    boxes, logits, classes, targets = fields
    instances = Instances(image_size)
    instances.proposal_boxes = Boxes(boxes)
    instances.objectness_logits = logits
    instances.gt_classes = classes
    instances.gt_boxes = Boxes(targets)
    setattr(instances, NUM_FOREGROUND, num_foreground)
    return instances
