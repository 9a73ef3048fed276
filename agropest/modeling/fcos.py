"""FCOS (Tian et al. 2019) from a YAML config: Detectron2 has the model, and builds it from Python configs alone.

``MODEL.META_ARCHITECTURE: FCOS`` with ``MODEL.BACKBONE.NAME: build_fcos_resnet_fpn_backbone`` is the model of the zoo's
``fcos_R_50_FPN_1x.py``. What FCOS has in common with RetinaNet is read from RetinaNet's keys.
"""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import (
    BACKBONE_REGISTRY,
    FPN,
    META_ARCH_REGISTRY,
    Backbone,
    build_backbone,
    build_resnet_backbone,
)
from detectron2.modeling.backbone.fpn import LastLevelP6P7
from detectron2.modeling.meta_arch import fcos


def group_norm(channels: int) -> torch.nn.Module:
    """Returns Detectron2's group normalisation; its head asks for that of one channel to see what kind it is."""
    return torch.nn.GroupNorm(min(32, channels), channels)


@META_ARCH_REGISTRY.register()
def FCOS(cfg: CfgNode) -> fcos.FCOS:
    """Returns Detectron2's FCOS.

    Of ``MODEL.RETINANET`` it reads feature maps, number of classes and of convolutions, norm of the head, prior
    probability, focal loss, and what inference keeps; anchors and the matching of boxes by IoU it does not have.
    """
    keys = cfg.MODEL.RETINANET
    backbone = build_backbone(cfg)
    shapes = [backbone.output_shape()[name] for name in keys.IN_FEATURES]
    head = fcos.FCOSHead(
        input_shape=shapes,
        num_classes=keys.NUM_CLASSES,
        conv_dims=[shapes[0].channels] * keys.NUM_CONVS,
        prior_prob=keys.PRIOR_PROB,
        norm=group_norm if keys.NORM == "GN" else keys.NORM,
    )
    return fcos.FCOS(
        backbone=backbone,
        head=head,
        head_in_features=keys.IN_FEATURES,
        num_classes=keys.NUM_CLASSES,
        center_sampling_radius=cfg.MODEL.FCOS.CENTER_SAMPLING_RADIUS,
        focal_loss_alpha=keys.FOCAL_LOSS_ALPHA,
        focal_loss_gamma=keys.FOCAL_LOSS_GAMMA,
        test_score_thresh=keys.SCORE_THRESH_TEST,
        test_topk_candidates=keys.TOPK_CANDIDATES_TEST,
        test_nms_thresh=keys.NMS_THRESH_TEST,
        max_detections_per_image=cfg.TEST.DETECTIONS_PER_IMAGE,
        pixel_mean=cfg.MODEL.PIXEL_MEAN,
        pixel_std=cfg.MODEL.PIXEL_STD,
    )


@BACKBONE_REGISTRY.register()
def build_fcos_resnet_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> Backbone:
    """Returns a ResNet with FPN whose p6 and p7 are computed from p5, where RetinaNet's are from res5."""
    channels = cfg.MODEL.FPN.OUT_CHANNELS
    return FPN(
        bottom_up=build_resnet_backbone(cfg, input_shape),
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=channels,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelP6P7(channels, channels, "p5"),
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )
