"""Cross-entropy in which every class has a weight: rare or important classes count for more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

SCORES = "softmax"


def loss(logits: Tensor, labels: Tensor, head: Any) -> Tensor:
    """Returns :func:`weighted_cross_entropy` with ``CLASS_WEIGHTS`` of ``head`` (``cfg.MODEL.ROI_BOX_HEAD``)."""
    return weighted_cross_entropy(logits, labels, head.CLASS_WEIGHTS)


def weighted_cross_entropy(logits: Tensor, labels: Tensor, weights: Sequence[float]) -> Tensor:
    """Returns the sum over ROIs of ``-w_t log p_t``, over the sum of their weights; 0 where that is 0.

    Args:
        logits: [R, K+1]; R may be 0.
        labels: [R], in [0, K].
        weights: of the K classes, in the data's order, and of the background where there is one more; else that is 1.
    """
    background = [1.0] * (logits.shape[1] - len(weights))
    table = torch.tensor([*weights, *background], dtype=logits.dtype, device=logits.device)
    chosen = table[labels]
    total = (F.cross_entropy(logits, labels, reduction="none") * chosen).sum()
    return total / chosen.sum().clamp(min=torch.finfo(logits.dtype).tiny)
