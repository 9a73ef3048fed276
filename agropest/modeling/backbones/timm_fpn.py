"""Backbones of timm with Detectron2's FPN: ``MODEL.BACKBONE.NAME: build_timm_fpn_backbone``.

Shapes: N images, H x W input pixels, C channels of a stage.

timm's weights expect RGB scaled to ImageNet's mean and deviation: set ``INPUT.FORMAT: RGB``, ``MODEL.PIXEL_MEAN:
[123.675, 116.28, 103.53]`` and ``MODEL.PIXEL_STD: [58.395, 57.12, 57.375]`` beside them. Nothing is swapped here.
"""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone
from detectron2.modeling.backbone.fpn import FPN, LastLevelMaxPool

from agropest.errors import EnvironmentFault, TrialError, fault, nearest

STAGES = {"res2": 4, "res3": 8, "res4": 16, "res5": 32}  # Detectron2's names, and strides


class TimmBackbone(Backbone):
    """The four stages of a timm model as Detectron2 features.

    Args:
        name: of a timm model with ``features_only`` and stages of stride 4, 8, 16 and 32.
        weights: a local file of timm's tensors (``.pth``, ``.bin``, ``.safetensors``); empty for random weights.
        out_features: names out of :data:`STAGES`.
        freeze_at: Detectron2's: 0 nothing, 1 the stem, 2 the stem and res2, and so on.

    Raises:
        EnvironmentFault: timm or the file of weights is missing.
        TrialError: timm does not know the model, or the model has other stages.
    """

    def __init__(self, name: str, weights: str, out_features: list[str], freeze_at: int) -> None:
        super().__init__()
        self.body = _create(name, weights)
        info = self.body.feature_info
        strides = info.reduction()[-4:]
        if strides != list(STAGES.values()):
            fix = f"{name} has others; take one such as swin_tiny_patch4_window7_224 or convnext_tiny"
            raise TrialError(fault("MODEL.TIMM.NAME", "expected stages of stride 4, 8, 16 and 32", strides, fix))
        self._channels = info.channels()[-4:]
        self._freeze([name.replace(".", "_") for name in info.module_name()[-4:]], freeze_at)
        self._out_features = list(out_features)
        self._out_feature_channels = dict(zip(STAGES, self._channels, strict=True))
        self._out_feature_strides = dict(STAGES)

    @property
    def size_divisibility(self) -> int:
        """Images are padded to a multiple of this."""
        return 32

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Returns feature name to [N, C, H / stride, W / stride] for images [N, 3, H, W]."""
        maps = zip(STAGES, self.body(images)[-4:], self._channels, strict=True)
        # Swin's maps are [N, H, W, C]; those of convolutional models are [N, C, H, W].
        found = {stage: m if m.shape[1] == c else m.permute(0, 3, 1, 2).contiguous() for stage, m, c in maps}
        return {stage: found[stage] for stage in self._out_features}

    def _freeze(self, stage_modules: list[str], freeze_at: int) -> None:
        """Freezes the parameters before the first stage that stays free; timm registers modules in forward order."""
        if freeze_at <= 0:
            return
        first_free = stage_modules[freeze_at - 1] if freeze_at <= len(stage_modules) else None
        for name, parameter in self.body.named_parameters():
            if first_free is not None and name.replace(".", "_").startswith(first_free):
                break
            parameter.requires_grad = False


def _create(name: str, weights: str) -> Any:
    try:
        import timm
    except ImportError:
        raise EnvironmentFault(fault("MODEL.TIMM", "needs the package timm", None, "pip install timm")) from None
    if not timm.is_model(name):
        raise TrialError(fault("MODEL.TIMM.NAME", "expected a model of timm", name, nearest(name, timm.list_models())))
    if weights and not Path(weights).is_file():
        fix = "give a file that timm saved, or leave it empty for random weights"
        raise EnvironmentFault(fault("MODEL.TIMM.WEIGHTS", "expected a local file", weights, fix))
    options: dict[str, Any] = {"features_only": True, "pretrained": bool(weights)}
    if weights:  # timm reads it with weights_only=True and fits the names to its features_only model
        options["pretrained_cfg_overlay"] = {"file": weights}
    if name.startswith("swin"):
        options["strict_img_size"] = False  # images of detection come in any size
    return timm.create_model(name, **options)


@BACKBONE_REGISTRY.register()
def build_timm_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """Returns an FPN over a timm model, with p6 for the RPN as in Detectron2's ResNet FPN."""
    stages = list(cfg.MODEL.FPN.IN_FEATURES) or list(STAGES)
    timm_model = TimmBackbone(cfg.MODEL.TIMM.NAME, cfg.MODEL.TIMM.WEIGHTS, stages, cfg.MODEL.BACKBONE.FREEZE_AT)
    return FPN(
        bottom_up=timm_model,
        in_features=stages,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelMaxPool(),
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )
