"""A trial's config as stock Detectron2 merges it: of this project's keys only those that the model needs."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detectron2.config import CfgNode, get_cfg

from agropest.modeling.build import HEADS_WITH_LOSS
from agropest.modeling.config import FCOS, STOCK_LOSS, add_agropest_config
from agropest.sweep.detectron2_keys import nest
from agropest.sweep.trial import TrialSpec

WEIGHTS = "model.pth"
OWN_BACKBONES = {
    "build_narrow_resnet18_fpn_backbone": (),
    "build_fcos_resnet_fpn_backbone": (),
    "build_timm_fpn_backbone": ("MODEL.TIMM.NAME", "MODEL.TIMM.WEIGHTS"),
}
LOSS_KEYS = ("CLS_LOSS", "FOCAL_ALPHA", "FOCAL_GAMMA", "PRIOR_PROB")
STOCK_HEADS = {ours: stock for stock, ours in HEADS_WITH_LOSS.items()}


@dataclass(frozen=True)
class DeployedConfig:
    """What a model folder's ``config.yaml`` holds.

    Attributes:
        keys: dotted Detectron2 keys to values; the weights are ``model.pth`` beside the config.
        needs_code: names of the config that only this project registers (a backbone, ROI heads).
        needs_keys: whether some of the keys are this project's own, and have to be added before the config is merged.
    """

    keys: Mapping[str, Any]
    needs_code: tuple[str, ...]
    needs_keys: bool


def deployed_config(trial: TrialSpec) -> DeployedConfig:
    """Returns the config that builds a trial's model for inference.

    A loss whose scores are a softmax changes nothing at inference: its model is built by the stock heads.
    """
    keys = dict(trial.config)
    own = _own_keys()
    loss, heads = str(keys["MODEL.ROI_BOX_HEAD.CLS_LOSS"]), str(keys["MODEL.ROI_HEADS.NAME"])
    needed: set[str] = set()
    code = []
    if is_sigmoid(loss) and keys["MODEL.META_ARCHITECTURE"] == "GeneralizedRCNN":
        keys["MODEL.ROI_HEADS.NAME"] = HEADS_WITH_LOSS.get(heads, heads)
        needed |= {f"MODEL.ROI_BOX_HEAD.{name}" for name in LOSS_KEYS}
        code.append(keys["MODEL.ROI_HEADS.NAME"])
    else:
        keys["MODEL.ROI_HEADS.NAME"] = STOCK_HEADS.get(heads, heads)
    backbone = str(keys["MODEL.BACKBONE.NAME"])
    if backbone in OWN_BACKBONES:
        needed |= set(OWN_BACKBONES[backbone])
        code.append(backbone)
    if keys["MODEL.META_ARCHITECTURE"] == FCOS:
        needed.add("MODEL.FCOS.CENTER_SAMPLING_RADIUS")
        code.append(FCOS)
    keys = {key: value for key, value in keys.items() if key not in own or key in needed}
    keys |= {"MODEL.WEIGHTS": WEIGHTS, "DATASETS.TRAIN": [], "DATASETS.TEST": []}
    if "MODEL.TIMM.WEIGHTS" in needed:
        keys["MODEL.TIMM.WEIGHTS"] = ""  # the model file holds them
    return DeployedConfig(keys, tuple(code), bool(needed))


def is_sigmoid(loss: str) -> bool:
    """Returns whether a classification loss makes scores of its own at inference."""
    if loss == STOCK_LOSS:
        return False
    return importlib.import_module(f"agropest.modeling.losses.{loss}").SCORES != "softmax"


def merged(config: DeployedConfig, device: str = "cpu") -> CfgNode:
    """Returns the config as Detectron2 takes it, with this project's keys at their defaults where it has none."""
    cfg = get_cfg()
    add_agropest_config(cfg)
    cfg.merge_from_other_cfg(CfgNode(nest(config.keys)))
    cfg.MODEL.DEVICE = device
    return cfg


def _own_keys() -> set[str]:
    """Returns the dotted keys that stock Detectron2 does not have."""
    stock = get_cfg()
    ours = get_cfg()
    add_agropest_config(ours)
    return set(_flat(ours)) - set(_flat(stock))


def _flat(node: CfgNode, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, CfgNode):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
