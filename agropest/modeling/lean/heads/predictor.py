"""The box head's predictor: its losses without the statistics that Detectron2 logs."""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
from collections.abc import Sequence
from typing import Any

import torch
from detectron2.layers import cross_entropy
from detectron2.modeling.roi_heads import FastRCNNOutputLayers
from fvcore.nn import smooth_l1_loss
from torch import Tensor

from agropest.modeling.box_predictor import LossOutputLayers
from agropest.modeling.lean.geometry.boxes import decode, encode, is_known

# Where a sampler leaves the number of foreground proposals with the ``Instances`` that it returns. (Names with an
# underscore are no fields.)
NUM_FOREGROUND = "_num_foreground"


class LeanOutputLayers(FastRCNNOutputLayers):
    """``FastRCNNOutputLayers`` without host reads."""

    @staticmethod
    def covers(module: Any) -> bool:
        """Returns whether this class stands for a module with its settings."""
        return is_known(module.box2box_transform) and module.box_reg_loss_type == "smooth_l1"

    def losses(self, predictions: tuple[Tensor, Tensor], proposals: list[Any]) -> dict[str, Tensor]:
        """Returns the losses of classes and boxes."""
        num_foreground: list[Any] = [getattr(one, NUM_FOREGROUND, None) for one in proposals]
        if not proposals or None in num_foreground:
            return super().losses(predictions, proposals)  # type: ignore[no-any-return]
        scores, deltas = predictions
        classes = torch.cat([one.gt_classes for one in proposals])
        boxes = torch.cat([one.proposal_boxes.tensor for one in proposals])
        targets = torch.cat([(one.gt_boxes if one.has("gt_boxes") else one.proposal_boxes).tensor for one in proposals])
        is_foreground = (classes >= 0) & (classes < self.num_classes)
        foreground = torch.nonzero_static(is_foreground, size=sum(num_foreground))[:, 0]
        losses = {
            "loss_cls": cross_entropy(scores, classes, reduction="mean"),
            "loss_box_reg": self._box_loss(boxes, targets, deltas, classes, foreground),
        }
        return {name: loss * self.loss_weight.get(name, 1.0) for name, loss in losses.items()}

    def _box_loss(self, boxes: Tensor, targets: Tensor, deltas: Tensor, classes: Tensor, foreground: Tensor) -> Tensor:
        if deltas.shape[1] == 4:  # one regression for all classes
            predicted = deltas[foreground]
        else:
            predicted = deltas.view(-1, self.num_classes, 4)[foreground, classes[foreground]]
        wanted = encode(boxes[foreground], targets[foreground], self.box2box_transform)
        loss = smooth_l1_loss(predicted, wanted, self.smooth_l1_beta, reduction="sum")
        return loss / max(classes.numel(), 1.0)

    def predict_boxes(self, predictions: tuple[Tensor, Tensor], proposals: list[Any]) -> Sequence[Tensor]:
        """Returns the boxes of each image, [P_i, 4 C]."""
        if not len(proposals):
            return []
        boxes = torch.cat([one.proposal_boxes.tensor for one in proposals])
        found = decode(predictions[1], boxes, self.box2box_transform)
        return found.split([len(one) for one in proposals])  # type: ignore[no-any-return]


class LeanLossOutputLayers(LossOutputLayers, LeanOutputLayers):
    """The predictor with another classification loss, without host reads."""
