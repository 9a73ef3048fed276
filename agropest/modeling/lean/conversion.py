"""Which module of a model gets which lean class."""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
from typing import Any

from detectron2.layers import FrozenBatchNorm2d
from detectron2.modeling import GeneralizedRCNN, RetinaNet
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.proposal_generator import RPN
from detectron2.modeling.roi_heads import CascadeROIHeads, FastRCNNOutputLayers, Res5ROIHeads, StandardROIHeads
from torch import nn

from agropest.modeling.box_predictor import LossCascadeROIHeads, LossOutputLayers, LossROIHeads
from agropest.modeling.lean.activations import activate_in_place
from agropest.modeling.lean.geometry.anchors import LeanAnchorGenerator
from agropest.modeling.lean.heads.cascade import LeanCascadeROIHeads
from agropest.modeling.lean.heads.predictor import LeanLossOutputLayers, LeanOutputLayers
from agropest.modeling.lean.heads.retinanet import LeanRetinaNet
from agropest.modeling.lean.heads.roi_heads import LeanRes5ROIHeads, LeanROIHeads
from agropest.modeling.lean.heads.roi_pooling import LeanROIPooler
from agropest.modeling.lean.heads.rpn import LeanRPN
from agropest.modeling.lean.images import LeanGeneralizedRCNN
from agropest.modeling.lean.known import is_known_source
from agropest.modeling.lean.normalisation import LeanFrozenBatchNorm2d

# Parts before the wholes that ask whether their parts are lean.
LEAN: dict[type[nn.Module], type[nn.Module]] = {
    FrozenBatchNorm2d: LeanFrozenBatchNorm2d,
    DefaultAnchorGenerator: LeanAnchorGenerator,
    ROIPooler: LeanROIPooler,
    FastRCNNOutputLayers: LeanOutputLayers,
    LossOutputLayers: LeanLossOutputLayers,
    RPN: LeanRPN,
    StandardROIHeads: LeanROIHeads,
    LossROIHeads: LeanROIHeads,
    CascadeROIHeads: LeanCascadeROIHeads,
    LossCascadeROIHeads: LeanCascadeROIHeads,
    Res5ROIHeads: LeanRes5ROIHeads,
    GeneralizedRCNN: LeanGeneralizedRCNN,
    RetinaNet: LeanRetinaNet,
}


def make_lean(model: nn.Module) -> dict[str, int]:
    """Exchanges the classes of the modules that are known; returns how many got each class.

    Args:
        model: as Detectron2 built it; is changed. Parameters, buffers and their names stay.
    """
    found: dict[str, int] = {}
    modules = list(model.modules())
    for stock, lean in LEAN.items():
        for module in modules:
            if type(module) is stock and _covers(lean, module) and is_known_source(stock):  # type: ignore[arg-type]
                module.__class__ = lean
                found[lean.__name__] = found.get(lean.__name__, 0) + 1
    if found:
        for module in modules:
            activate_in_place(module)
    return found


def _covers(lean: Any, module: nn.Module) -> bool:
    return not hasattr(lean, "covers") or bool(lean.covers(module))
