"""The box head's predictor with another classification loss, and the ROI heads that use it.

Shapes: R ROIs of a minibatch, Ri of image i, K foreground classes.

Detectron2's ``_init_box_head`` names ``FastRCNNOutputLayers`` in its code, so the heads here let it build that and take
its place. ``agropest.modeling.build`` chooses them by ``CLS_LOSS``; they can be named in ``MODEL.ROI_HEADS.NAME``, too.
"""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
import importlib
from types import ModuleType
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import ROI_HEADS_REGISTRY, StandardROIHeads
from detectron2.modeling.roi_heads import CascadeROIHeads, FastRCNNOutputLayers
from torch import Tensor, nn

from agropest.modeling.config import STOCK_LOSS


class LossOutputLayers(FastRCNNOutputLayers):
    """Detectron2's box predictor with the classification loss of a file in ``agropest/modeling/losses``.

    Attributes:
        loss_name: that file's name. (The module itself could not be copied, and an average of the weights is a copy.)
        head: ``cfg.MODEL.ROI_BOX_HEAD``.
    """

    loss_name: str
    head: CfgNode

    @property
    def loss_module(self) -> ModuleType:
        """That file's module."""
        return importlib.import_module(f"agropest.modeling.losses.{self.loss_name}")

    def losses(self, predictions: tuple[Tensor, Tensor], proposals: list[Any]) -> dict[str, Tensor]:
        """Returns the stock losses with ``loss_cls`` exchanged."""
        losses: dict[str, Tensor] = super().losses(predictions, proposals)
        logits = predictions[0]
        none = torch.empty(0, dtype=torch.int64, device=logits.device)
        labels = torch.cat([none, *(p.gt_classes for p in proposals)])
        loss = self.loss_module.loss(logits, labels, self.head)
        return {**losses, "loss_cls": loss * self.loss_weight.get("loss_cls", 1.0)}

    def predict_probs(self, predictions: tuple[Tensor, Tensor], proposals: list[Any]) -> Any:
        """Returns [Ri, K+1] scores per image; with sigmoid scores the background column is 0."""
        if self.loss_module.SCORES == "softmax":
            probabilities = predictions[0].softmax(dim=1)
        else:
            probabilities = predictions[0].sigmoid()
            # Detectron2's inference drops the last column and takes every other as a class's own score.
            probabilities = torch.cat([probabilities[:, :-1], torch.zeros_like(probabilities[:, :1])], dim=1)
        return probabilities.split([len(p) for p in proposals])


@ROI_HEADS_REGISTRY.register()
class LossROIHeads(StandardROIHeads):
    """``StandardROIHeads`` with the loss that ``MODEL.ROI_BOX_HEAD.CLS_LOSS`` names."""

    @classmethod
    def _init_box_head(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        parts: dict[str, Any] = super()._init_box_head(cfg, input_shape)
        return {**parts, "box_predictor": with_loss(parts["box_predictor"], cfg)}


@ROI_HEADS_REGISTRY.register()
class LossCascadeROIHeads(CascadeROIHeads):
    """``CascadeROIHeads`` with the loss that ``MODEL.ROI_BOX_HEAD.CLS_LOSS`` names, at every stage."""

    @classmethod
    def _init_box_head(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        parts: dict[str, Any] = super()._init_box_head(cfg, input_shape)
        return {**parts, "box_predictors": [with_loss(predictor, cfg) for predictor in parts["box_predictors"]]}


def with_loss(stock: FastRCNNOutputLayers, cfg: CfgNode) -> FastRCNNOutputLayers:
    """Returns ``stock``, or for another loss than the stock one a predictor with its weights and that loss.

    The weights are those that ``stock`` was initialised with, so that variants that differ in the loss start alike.
    """
    head = cfg.MODEL.ROI_BOX_HEAD
    if head.CLS_LOSS == STOCK_LOSS:
        return stock
    settings = FastRCNNOutputLayers.from_config(cfg, ShapeSpec(channels=stock.cls_score.in_features))
    settings["box2box_transform"] = stock.box2box_transform  # differs between the stages of a cascade
    predictor = LossOutputLayers(**settings)
    predictor.load_state_dict(stock.state_dict())
    predictor.loss_name, predictor.head = head.CLS_LOSS, head
    if hasattr(predictor.loss_module, "initial_bias"):
        nn.init.constant_(predictor.cls_score.bias, predictor.loss_module.initial_bias(head))
    return predictor
