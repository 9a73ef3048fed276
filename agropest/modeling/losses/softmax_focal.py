"""The study's focal loss: softmax over K+1 classes, background weighted 1 - alpha, mean over ROIs."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

SCORES = "softmax"
# (1 - p)^gamma has an infinite slope at p = 1 for gamma below 1: infinity times log(1) would be NaN.
_LEAST_COMPLEMENT = 1e-12


def loss(logits: Tensor, labels: Tensor, head: Any) -> Tensor:
    """Returns :func:`softmax_focal_loss` with the alpha and gamma of ``head`` (``cfg.MODEL.ROI_BOX_HEAD``)."""
    return softmax_focal_loss(logits, labels, head.FOCAL_ALPHA, head.FOCAL_GAMMA)


def softmax_focal_loss(logits: Tensor, labels: Tensor, alpha: float, gamma: float) -> Tensor:
    """Returns the mean over ROIs of ``-a_t (1 - p_t)^gamma log p_t`` with p a softmax over K+1 classes.

    Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, equation 5, carried over to softmax: a_t is
    ``alpha`` for every foreground class and ``1 - alpha`` for background.

    Args:
        logits: [R, K+1]; R may be 0, the loss is 0 then.
        labels: [R], in [0, K].
    """
    if not len(labels):
        return logits.sum() * 0.0
    log_p = F.log_softmax(logits, dim=1).gather(1, labels[:, None])[:, 0]
    background = labels == logits.shape[1] - 1
    weight = torch.where(background, 1.0 - alpha, alpha)
    complement = (-torch.expm1(log_p)).clamp(min=_LEAST_COMPLEMENT)
    return (-weight * complement**gamma * log_p).mean()
