"""A batch in several parts, whose gradients are added: the batch of a larger card.

Every loss of Detectron2 is a mean over the images or the sampled regions of what the model is given, so the mean over
equal parts stands for the whole. What differs from the whole batch at once: which anchors and proposals are drawn, the
padding of pictures of several sizes, batch norm (each part has statistics of its own), and RetinaNet's moving average
of positive anchors, which moves once for each part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Batch = list[dict[str, Any]]
Losses = dict[str, torch.Tensor]


def accumulate(batch: Batch, num_parts: int, losses_of: Callable[[Batch], Losses], scaler: Any) -> Losses:
    """Adds the gradients of a batch to those of the parameters; returns its losses, detached, each the parts' mean.

    Args:
        batch: whose length ``num_parts`` divides.
        losses_of: runs the model.
        scaler: ``torch.amp.GradScaler``.
    """
    if num_parts == 1:
        losses = losses_of(batch)
        scaler.scale(sum(losses.values())).backward()
        return {name: loss.detach() for name, loss in losses.items()}
    size = len(batch) // num_parts
    total: Losses = {}
    for part in (batch[first : first + size] for first in range(0, len(batch), size)):
        losses = losses_of(part)
        scaler.scale(sum(losses.values()) / num_parts).backward()
        for name, loss in losses.items():
            total[name] = total.get(name, 0.0) + loss.detach() / num_parts
    return total
