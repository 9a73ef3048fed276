"""RetinaNet: labels of a whole batch, losses with one host read."""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
from typing import Any

import torch
from detectron2.modeling import RetinaNet
from detectron2.modeling.meta_arch.dense_detector import permute_to_N_HWA_K
from detectron2.structures import ImageList
from fvcore.nn import sigmoid_focal_loss_jit

from agropest.modeling.lean.geometry.anchors import LeanAnchorGenerator
from agropest.modeling.lean.geometry.boxes import is_known
from agropest.modeling.lean.geometry.matching import are_plain, match_anchors, targets_of
from agropest.modeling.lean.heads.dense_loss import dense_box_loss
from agropest.modeling.lean.images import batch_of


class LeanRetinaNet(RetinaNet):
    """``RetinaNet`` that labels the anchors of a whole batch and encodes only those of objects."""

    @staticmethod
    def covers(module: Any) -> bool:
        """Returns whether this class stands for a module with its settings."""
        return (
            isinstance(module.anchor_generator, LeanAnchorGenerator)
            and is_known(module.box2box_transform)
            and module.box_reg_loss_type == "smooth_l1"
            and module.vis_period == 0
        )

    def preprocess_image(self, batched_inputs: list[dict[str, Any]]) -> ImageList:
        """Returns the normalised images, padded to one size."""
        return batch_of(batched_inputs, self.pixel_mean, self.pixel_std, self.backbone.size_divisibility)

    def forward_training(self, images: ImageList, features: Any, predictions: Any, gt_instances: Any) -> Any:
        """Returns the losses of classes and boxes."""
        if not are_plain(gt_instances):
            return super().forward_training(images, features, predictions, gt_instances)
        logits, deltas = (
            torch.cat([permute_to_N_HWA_K(level, width) for level in levels], dim=1)
            for levels, width in zip(predictions, (self.num_classes, 4), strict=True)
        )
        grid, targets = self.anchor_generator.grid(features), targets_of(gt_instances)
        with torch.no_grad():
            matches = match_anchors(self.anchor_matcher, targets, grid.planes)
            is_positive, is_valid = matches.labels == 1, matches.labels >= 0
            num_positive, num_valid = torch.stack((is_positive.sum(), is_valid.sum())).tolist()
            positive = torch.nonzero_static(is_positive, size=num_positive)[:, 0]
            valid = torch.nonzero_static(is_valid, size=num_valid)[:, 0]
            classes = targets.classes[matches.rows[valid]].masked_fill_(matches.labels[valid] == 0, self.num_classes)
            one_hot = classes[:, None] == torch.arange(self.num_classes, device=classes.device)
        normalizer = self._ema_update("loss_normalizer", max(num_positive, 1), 100)
        loss_cls = sigmoid_focal_loss_jit(
            logits.view(-1, self.num_classes)[valid],
            one_hot.to(logits.dtype),
            alpha=self.focal_loss_alpha,
            gamma=self.focal_loss_gamma,
            reduction="sum",
        )
        loss_box = dense_box_loss(grid, self.box2box_transform, deltas, targets, matches, positive, self.smooth_l1_beta)
        return {"loss_cls": loss_cls / normalizer, "loss_box_reg": loss_box / normalizer}
