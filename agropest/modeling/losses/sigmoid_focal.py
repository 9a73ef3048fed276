"""Focal loss as published: a sigmoid per class, over the number of foreground ROIs, started at a prior probability."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

SCORES = "sigmoid"
_LEAST_COMPLEMENT = 1e-12  # see softmax_focal


def loss(logits: Tensor, labels: Tensor, head: Any) -> Tensor:
    """Returns :func:`sigmoid_focal_loss` with the alpha and gamma of ``head`` (``cfg.MODEL.ROI_BOX_HEAD``)."""
    return sigmoid_focal_loss(logits, labels, head.FOCAL_ALPHA, head.FOCAL_GAMMA)


def initial_bias(head: Any) -> float:
    """Returns the bias at which every class starts at ``PRIOR_PROB`` (Lin et al. 2017, section 4.1).

    Without it the many background ROIs swamp the first iterations.
    """
    return -math.log((1.0 - head.PRIOR_PROB) / head.PRIOR_PROB)


def sigmoid_focal_loss(logits: Tensor, labels: Tensor, alpha: float, gamma: float) -> Tensor:
    """Returns the sum over ROIs and foreground classes of the binary focal loss, over the number of foreground ROIs.

    Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, equation 5 and section 4.1.

    Args:
        logits: [R, K+1]; the background column is not used.
        labels: [R], in [0, K]; background is "none of the classes".
    """
    num_classes = logits.shape[1] - 1
    scores = logits[:, :num_classes]
    targets = F.one_hot(labels, num_classes + 1)[:, :num_classes].to(scores.dtype)
    cross_entropy = F.binary_cross_entropy_with_logits(scores, targets, reduction="none")
    complement = (-torch.expm1(-cross_entropy)).clamp(min=_LEAST_COMPLEMENT)
    weight = alpha * targets + (1.0 - alpha) * (1.0 - targets)
    num_foreground = (labels < num_classes).sum().clamp(min=1)
    return (weight * complement**gamma * cross_entropy).sum() / num_foreground
