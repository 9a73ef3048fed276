"""Activations in place, where nothing else reads their input and no gradient needs it."""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
from typing import Any

from detectron2.modeling.meta_arch.retinanet import RetinaNetHead
from detectron2.modeling.proposal_generator.rpn import StandardRPNHead
from detectron2.modeling.roi_heads import FastRCNNConvFCHead
from torch import nn

# In each of them a ReLU follows a convolution, a linear layer or a normalisation: none needs its own result to compute
# its gradient. (ResNet's are in place already.)
HEADS = (StandardRPNHead, FastRCNNConvFCHead, RetinaNetHead)
BEFORE = (nn.Conv2d, nn.Linear, nn.GroupNorm)


def activate_in_place(module: Any) -> None:
    """Makes the ReLUs of one of ``HEADS`` write over their input."""
    if type(module) not in HEADS:
        return
    for part in module.modules():
        norm, activation = getattr(part, "norm", None), getattr(part, "activation", None)
        if type(activation) is nn.ReLU and (norm is None or type(norm) in BEFORE):
            activation.inplace = True
        if isinstance(part, nn.Sequential):
            for before, layer in zip(part, list(part)[1:], strict=False):
                if type(layer) is nn.ReLU and isinstance(before, BEFORE):
                    layer.inplace = True
