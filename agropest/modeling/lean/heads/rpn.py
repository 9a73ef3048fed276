"""The region proposal network."""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
from typing import Any

import torch
import torch.nn.functional as F
from detectron2.modeling.proposal_generator import RPN
from torch import Tensor

from agropest.modeling.lean.geometry.anchors import Grid, LeanAnchorGenerator
from agropest.modeling.lean.geometry.boxes import is_known
from agropest.modeling.lean.geometry.matching import Matches, Targets, are_plain, match_anchors, targets_of
from agropest.modeling.lean.geometry.sampling import Sample, draw
from agropest.modeling.lean.heads.dense_loss import dense_box_loss
from agropest.modeling.lean.heads.proposals import find_proposals


class LeanRPN(RPN):
    """``RPN`` that labels and samples the anchors of a whole batch, and decodes only the best of them."""

    @staticmethod
    def covers(module: Any) -> bool:
        """Returns whether this class stands for a module with its settings."""
        return (
            isinstance(module.anchor_generator, LeanAnchorGenerator)
            and is_known(module.box2box_transform)
            and module.box_reg_loss_type == "smooth_l1"
            and module.anchor_boundary_thresh < 0
        )

    def forward(self, images: Any, features: dict[str, Tensor], gt_instances: Any = None) -> Any:
        """Returns the proposals of each image, and in training the losses."""
        if not self.training or not are_plain(gt_instances):
            return super().forward(images, features, gt_instances)
        maps = [features[name] for name in self.in_features]
        grid = self.anchor_generator.grid(maps)
        logits, deltas = self.rpn_head(maps)
        flat_logits = [level.permute(0, 2, 3, 1).flatten(1) for level in logits]
        flat_deltas = torch.cat([_by_anchor(level) for level in deltas], dim=1)
        targets = targets_of(gt_instances)
        matches, sample = self._label(grid, targets)
        losses = self._losses(grid, targets, matches, sample, torch.cat(flat_logits, dim=1), flat_deltas)
        with torch.no_grad():  # proposals are fixed for the heads that follow
            return find_proposals(self, grid, flat_logits, flat_deltas, images.image_sizes), losses

    @torch.no_grad()
    def _label(self, grid: Grid, targets: Targets) -> tuple[Matches, Sample]:
        matches = match_anchors(self.anchor_matcher, targets, grid.planes)
        lengths = [len(grid.boxes)] * len(targets.counts)
        sample = draw(
            matches.labels == 1, matches.labels == 0, lengths, self.batch_size_per_image, self.positive_fraction
        )
        return matches, sample

    def _losses(
        self, grid: Grid, targets: Targets, matches: Matches, sample: Sample, logits: Tensor, deltas: Tensor
    ) -> dict[str, Tensor]:
        # In the order of the columns, because the last bit of a sum depends on the order.
        positive = torch.cat(sample.positive).sort()[0]
        sampled = torch.cat((*sample.positive, *sample.negative)).sort()[0]
        location = dense_box_loss(grid, self.box2box_transform, deltas, targets, matches, positive, self.smooth_l1_beta)
        objectness = F.binary_cross_entropy_with_logits(
            logits.view(-1)[sampled], matches.labels[sampled].to(torch.float32), reduction="sum"
        )
        normalizer = self.batch_size_per_image * len(targets.counts)
        losses = {"loss_rpn_cls": objectness / normalizer, "loss_rpn_loc": location / normalizer}
        return {name: loss * self.loss_weight.get(name, 1.0) for name, loss in losses.items()}


def _by_anchor(deltas: Tensor) -> Tensor:
    """Returns [N, 4 A, H, W] as [N, H W A, 4]."""
    n, _, height, width = deltas.shape
    return deltas.view(n, -1, 4, height, width).permute(0, 3, 4, 1, 2).flatten(1, -2)
