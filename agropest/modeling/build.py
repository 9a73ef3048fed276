"""The model that a config means."""

from __future__ import annotations

import agropest.modeling.detectron2_first

# isort: split
import importlib
import pkgutil

import torch
from detectron2.config import CfgNode
from detectron2.modeling import BACKBONE_REGISTRY, META_ARCH_REGISTRY, PROPOSAL_GENERATOR_REGISTRY, build_model
from detectron2.modeling.anchor_generator import ANCHOR_GENERATOR_REGISTRY
from detectron2.modeling.proposal_generator.rpn import RPN_HEAD_REGISTRY
from detectron2.modeling.roi_heads import ROI_BOX_HEAD_REGISTRY, ROI_HEADS_REGISTRY

import agropest.modeling.box_predictor
import agropest.modeling.fcos
from agropest.errors import TrialError, fault, nearest
from agropest.modeling import backbones
from agropest.modeling.config import STOCK_LOSS

for _module in pkgutil.iter_modules(backbones.__path__):  # each registers its builder with Detectron2
    importlib.import_module(f"{backbones.__name__}.{_module.name}")

HEADS_WITH_LOSS = {
    "StandardROIHeads": agropest.modeling.box_predictor.LossROIHeads.__name__,
    "CascadeROIHeads": agropest.modeling.box_predictor.LossCascadeROIHeads.__name__,
}
REGISTRIES = (
    *(META_ARCH_REGISTRY, BACKBONE_REGISTRY, PROPOSAL_GENERATOR_REGISTRY, RPN_HEAD_REGISTRY),
    *(ANCHOR_GENERATOR_REGISTRY, ROI_HEADS_REGISTRY, ROI_BOX_HEAD_REGISTRY),
)


def build(cfg: CfgNode) -> torch.nn.Module:
    """Returns Detectron2's model for ``cfg``, with our losses and memory layout where the config asks for them.

    Args:
        cfg: effective config with the keys of ``agropest.modeling.config``; is not changed.

    Raises:
        TrialError: a registry does not know a name of the config, or the heads cannot take the loss.
    """
    try:
        model = build_model(_with_loss_heads(cfg))
    except KeyError as error:  # "No object named 'X' found in 'BACKBONE' registry!"
        if "registry" not in str(error):
            raise
        rule = "expected names that Detectron2 knows"
        raise TrialError(fault("MODEL", rule, error.args[0], _known_names(str(error.args[0])))) from None
    return model.to(memory_format=torch.channels_last) if cfg.MODEL.CHANNELS_LAST else model


def _known_names(message: str) -> str:
    """Returns what a registry knows, by Detectron2's message that it does not know a name."""
    quoted = message.split("'")
    registry = next((one for one in REGISTRIES if len(quoted) > 3 and one._name == quoted[3]), None)
    return nearest(quoted[1], [name for name, _ in registry]) if registry is not None else "correct that name"


def count_parameters(model: torch.nn.Module) -> tuple[int, int]:
    """Returns how many numbers a model has as parameters, and how many of them are trained."""
    parameters = list(model.parameters())
    return sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad)


def _with_loss_heads(cfg: CfgNode) -> CfgNode:
    """Returns ``cfg``, or for another loss than the stock one a copy whose ROI heads use it."""
    name, loss = cfg.MODEL.ROI_HEADS.NAME, cfg.MODEL.ROI_BOX_HEAD.CLS_LOSS
    if loss == STOCK_LOSS or name in HEADS_WITH_LOSS.values():
        return cfg
    if name not in HEADS_WITH_LOSS:
        rule = f"expected {' or '.join(HEADS_WITH_LOSS)} with MODEL.ROI_BOX_HEAD.CLS_LOSS {loss}"
        raise TrialError(fault("MODEL.ROI_HEADS.NAME", rule, name, f"change the heads, or the loss to {STOCK_LOSS}"))
    copy = cfg.clone()
    copy.defrost()
    copy.MODEL.ROI_HEADS.NAME = HEADS_WITH_LOSS[name]
    copy.freeze()
    return copy
