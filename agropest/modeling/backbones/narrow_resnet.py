"""ResNet-18 with a free width: ``MODEL.BACKBONE.NAME: build_narrow_resnet18_fpn_backbone``.

Detectron2's builder fixes ResNet-18 at 64 channels; with 32 an iteration on a CPU takes a quarter of the time, which is
what a demonstration on a laptop needs. Blocks and stages are Detectron2's own.
"""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.modeling.backbone.fpn import FPN, LastLevelMaxPool
from detectron2.modeling.backbone.resnet import BasicBlock, BasicStem, ResNet

BLOCKS_PER_STAGE = 2
FEATURES = ("res2", "res3", "res4", "res5")


@BACKBONE_REGISTRY.register()
def build_narrow_resnet18_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """Returns FPN over a ResNet-18 whose stages have 1, 2, 4 and 8 times ``MODEL.RESNETS.RES2_OUT_CHANNELS``."""
    width, norm = cfg.MODEL.RESNETS.RES2_OUT_CHANNELS, cfg.MODEL.RESNETS.NORM
    stem = BasicStem(in_channels=input_shape.channels, out_channels=width, norm=norm)
    stages, channels = [], width
    for number in range(len(FEATURES)):
        stages.append(
            ResNet.make_stage(
                BasicBlock,
                BLOCKS_PER_STAGE,
                stride_per_block=[1 if number == 0 else 2, 1],
                in_channels=channels,
                out_channels=width * 2**number,
                norm=norm,
            )
        )
        channels = width * 2**number
    return FPN(
        bottom_up=ResNet(stem, stages, out_features=list(FEATURES)),
        in_features=list(FEATURES),
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelMaxPool(),
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )
