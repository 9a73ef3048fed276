"""Whether Detectron2's source is the one that the lean modules were written beside.

A lean class does what the functions named here do. Where one of them is written otherwise (another version, a fork),
the stock class stays: what it does is not known, so what would be equal is not, either.
"""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
import hashlib
import inspect
import logging
import textwrap
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torchvision
from detectron2.layers import FrozenBatchNorm2d, ROIAlign, batched_nms, cross_entropy
from detectron2.modeling import GeneralizedRCNN, RetinaNet, box_regression, poolers
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.meta_arch.dense_detector import DenseDetector, permute_to_N_HWA_K
from detectron2.modeling.proposal_generator import RPN, proposal_utils
from detectron2.modeling.roi_heads import (
    CascadeROIHeads,
    FastRCNNOutputLayers,
    Res5ROIHeads,
    ROIHeads,
    StandardROIHeads,
)
from detectron2.modeling.sampling import subsample_labels
from detectron2.structures import Boxes, ImageList, boxes
from torch import nn

logger = logging.getLogger(__name__)

Function = Callable[..., Any]
NMS = torchvision.ops.boxes

_TRANSFORM: tuple[Function, ...] = (
    box_regression.Box2BoxTransform.get_deltas,
    box_regression.Box2BoxTransform.apply_deltas,
)
_LABELS: tuple[Function, ...] = (
    Matcher.__call__,
    Matcher.set_low_quality_matches_,
    boxes.pairwise_iou,
    boxes.pairwise_intersection,
    Boxes.area,
)
_DENSE_LOSS: tuple[Function, ...] = (box_regression._dense_box_regression_loss, *_TRANSFORM)
_SAMPLED: tuple[Function, ...] = (ROIHeads.label_and_sample_proposals, ROIHeads._sample_proposals, subsample_labels)
_SAMPLED = (*_SAMPLED, *_LABELS, proposal_utils.add_ground_truth_to_proposals_single_image)

# What the lean class for each of these does instead of.
REPLACED: dict[type[nn.Module], tuple[Function, ...]] = {
    FrozenBatchNorm2d: (FrozenBatchNorm2d.forward,),
    DefaultAnchorGenerator: (DefaultAnchorGenerator.forward, DefaultAnchorGenerator._grid_anchors),
    poolers.ROIPooler: (
        poolers.ROIPooler.forward,
        poolers.assign_boxes_to_levels,
        poolers.convert_boxes_to_pooler_format,
        ROIAlign.forward,
    ),
    FastRCNNOutputLayers: (
        FastRCNNOutputLayers.losses,
        FastRCNNOutputLayers.box_reg_loss,
        FastRCNNOutputLayers.predict_boxes,
        cross_entropy,
        *_TRANSFORM,
    ),
    RPN: (
        RPN.forward,
        RPN.losses,
        RPN.label_and_sample_anchors,
        RPN._subsample_labels,
        RPN.predict_proposals,
        RPN._decode_proposals,
        proposal_utils.find_top_rpn_proposals,
        subsample_labels,
        batched_nms,
        NMS.batched_nms,
        NMS._batched_nms_vanilla,
        NMS._batched_nms_coordinate_trick,
        Boxes.clip,
        Boxes.nonempty,
        *_LABELS,
        *_DENSE_LOSS,
    ),
    StandardROIHeads: (StandardROIHeads.forward, StandardROIHeads._forward_box, *_SAMPLED),
    Res5ROIHeads: (Res5ROIHeads.forward, *_SAMPLED),
    CascadeROIHeads: (
        CascadeROIHeads.forward,
        CascadeROIHeads._forward_box,
        CascadeROIHeads._match_and_label_boxes,
        CascadeROIHeads._create_proposals_from_boxes,
        *_SAMPLED,
    ),
    GeneralizedRCNN: (GeneralizedRCNN.preprocess_image, ImageList.from_tensors),
    RetinaNet: (
        RetinaNet.forward_training,
        RetinaNet.losses,
        RetinaNet.label_anchors,
        DenseDetector.preprocess_image,
        DenseDetector._ema_update,
        DenseDetector._transpose_dense_predictions,
        permute_to_N_HWA_K,
        ImageList.from_tensors,
        *_LABELS,
        *_DENSE_LOSS,
    ),
}

# The first 12 digits of each function's SHA-256: Detectron2 0.6, torchvision 0.26.
DIGESTS: dict[str, str] = {
    "detectron2.layers.batch_norm.FrozenBatchNorm2d.forward": "ae93de1aa67b",
    "detectron2.layers.nms.batched_nms": "e6dbe7a53833",
    "detectron2.layers.roi_align.ROIAlign.forward": "ff38fa5c2772",
    "detectron2.layers.wrappers.cross_entropy": "1fd102a23177",
    "detectron2.modeling.anchor_generator.DefaultAnchorGenerator._grid_anchors": "d4b804e5db28",
    "detectron2.modeling.anchor_generator.DefaultAnchorGenerator.forward": "061a5829d94d",
    "detectron2.modeling.box_regression.Box2BoxTransform.apply_deltas": "7de20c7d030f",
    "detectron2.modeling.box_regression.Box2BoxTransform.get_deltas": "2ce10f64824c",
    "detectron2.modeling.box_regression._dense_box_regression_loss": "e9da0afaa8b1",
    "detectron2.modeling.matcher.Matcher.__call__": "ab38a3bb5a61",
    "detectron2.modeling.matcher.Matcher.set_low_quality_matches_": "b0ed2a3b692f",
    "detectron2.modeling.meta_arch.dense_detector.DenseDetector._ema_update": "53be9d2f0ec8",
    "detectron2.modeling.meta_arch.dense_detector.DenseDetector._transpose_dense_predictions": "4aaaefb5cb70",
    "detectron2.modeling.meta_arch.dense_detector.DenseDetector.preprocess_image": "e4bc05ecc3a5",
    "detectron2.modeling.meta_arch.dense_detector.permute_to_N_HWA_K": "7bc2e2681c58",
    "detectron2.modeling.meta_arch.rcnn.GeneralizedRCNN.preprocess_image": "e83231cc9332",
    "detectron2.modeling.meta_arch.retinanet.RetinaNet.forward_training": "4942216f6ee2",
    "detectron2.modeling.meta_arch.retinanet.RetinaNet.label_anchors": "3d2c22fae838",
    "detectron2.modeling.meta_arch.retinanet.RetinaNet.losses": "31f52ebf6582",
    "detectron2.modeling.poolers.ROIPooler.forward": "69488a5875cf",
    "detectron2.modeling.poolers.assign_boxes_to_levels": "bb4a9591a546",
    "detectron2.modeling.poolers.convert_boxes_to_pooler_format": "82b18e017e06",
    "detectron2.modeling.proposal_generator.proposal_utils.add_ground_truth_to_proposals_single_image": "e3b2e4e2f105",
    "detectron2.modeling.proposal_generator.proposal_utils.find_top_rpn_proposals": "3c5c8e6a6fd8",
    "detectron2.modeling.proposal_generator.rpn.RPN._decode_proposals": "0dd7398f16a9",
    "detectron2.modeling.proposal_generator.rpn.RPN._subsample_labels": "1f88b339daeb",
    "detectron2.modeling.proposal_generator.rpn.RPN.forward": "8d5ba5b0e689",
    "detectron2.modeling.proposal_generator.rpn.RPN.label_and_sample_anchors": "284f9d0092f5",
    "detectron2.modeling.proposal_generator.rpn.RPN.losses": "089b84803028",
    "detectron2.modeling.proposal_generator.rpn.RPN.predict_proposals": "a935090cefe4",
    "detectron2.modeling.roi_heads.cascade_rcnn.CascadeROIHeads._create_proposals_from_boxes": "7d59360a9eb3",
    "detectron2.modeling.roi_heads.cascade_rcnn.CascadeROIHeads._forward_box": "8520a7e0353e",
    "detectron2.modeling.roi_heads.cascade_rcnn.CascadeROIHeads._match_and_label_boxes": "0f3912262c69",
    "detectron2.modeling.roi_heads.cascade_rcnn.CascadeROIHeads.forward": "1cce0b70777b",
    "detectron2.modeling.roi_heads.fast_rcnn.FastRCNNOutputLayers.box_reg_loss": "a29e70a95f79",
    "detectron2.modeling.roi_heads.fast_rcnn.FastRCNNOutputLayers.losses": "4a8be9ae14fd",
    "detectron2.modeling.roi_heads.fast_rcnn.FastRCNNOutputLayers.predict_boxes": "ee815bb5aa8a",
    "detectron2.modeling.roi_heads.roi_heads.ROIHeads._sample_proposals": "d3bbf4e8903d",
    "detectron2.modeling.roi_heads.roi_heads.ROIHeads.label_and_sample_proposals": "011cc9bbf842",
    "detectron2.modeling.roi_heads.roi_heads.Res5ROIHeads.forward": "e3019f23d560",
    "detectron2.modeling.roi_heads.roi_heads.StandardROIHeads._forward_box": "af7505d206df",
    "detectron2.modeling.roi_heads.roi_heads.StandardROIHeads.forward": "7e2d0a170c27",
    "detectron2.modeling.sampling.subsample_labels": "80d0c9e1d03d",
    "detectron2.structures.boxes.Boxes.area": "d024b7282168",
    "detectron2.structures.boxes.Boxes.clip": "17345c3a7404",
    "detectron2.structures.boxes.Boxes.nonempty": "3d4989eb3842",
    "detectron2.structures.boxes.pairwise_intersection": "18a330ec312c",
    "detectron2.structures.boxes.pairwise_iou": "a34f3e4ad3d7",
    "detectron2.structures.image_list.ImageList.from_tensors": "a860806c1e38",
    "torchvision.ops.boxes._batched_nms_coordinate_trick": "ef6c47948b31",
    "torchvision.ops.boxes._batched_nms_vanilla": "19f0f90b8c3b",
    "torchvision.ops.boxes.batched_nms": "e352ad12157c",
}


@lru_cache(maxsize=64)
def is_known_source(stock: type[nn.Module]) -> bool:
    """Returns whether everything that the lean class does instead of ``stock`` is written as it is known."""
    # A subclass that is converted, too, changes nothing of what is named for its parent.
    parent = next(parent for parent in stock.__mro__ if parent in REPLACED)
    others = [_name(function) for function in REPLACED[parent] if digest(function) != DIGESTS.get(_name(function))]
    if others:
        logger.info("%s stays as it is: %s is another version's", stock.__name__, ", ".join(others))
    return not others


def digest(function: Function) -> str:
    """Returns what a function's source is recognised by."""
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        return ""
    lines = [line.rstrip() for line in textwrap.dedent(source).splitlines()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def _name(function: Function) -> str:
    function = inspect.unwrap(function)
    return f"{function.__module__}.{function.__qualname__}"
