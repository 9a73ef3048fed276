"""What the next iteration of RetinaNet, and of FCOS, depends on beside its weights, and Detectron2 keeps nowhere.

- Its losses are divided by a moving average of the number of positive anchors, a plain attribute of the model.
- Its focal loss is a TorchScript function. The first calls in a process are profiled and run as they are written, later
  ones are optimised, and the last bits of the gradients differ. A training that is continued from in another process
  would profile once more, so every process gets that over with before it trains.
"""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
from functools import lru_cache
from typing import Any

import torch
from detectron2.modeling import RetinaNet
from detectron2.modeling.meta_arch.fcos import FCOS
from fvcore.nn import sigmoid_focal_loss_jit

NORMALIZER = "loss_normalizer"
PROFILED_CALLS = 3


def prepare(model: torch.nn.Module) -> None:
    """Makes the first iteration of this process run as every later one does; other models need nothing."""
    if isinstance(model, RetinaNet | FCOS):
        _optimise_focal_loss(next(model.parameters()).device, model.focal_loss_alpha, model.focal_loss_gamma)


def unsaved_state(model: torch.nn.Module) -> dict[str, Any]:
    """Returns what is to be saved beside the weights."""
    value = getattr(model, NORMALIZER, None)
    return {} if value is None else {NORMALIZER: value}


def load_unsaved_state(model: torch.nn.Module, state: dict[str, Any]) -> None:
    """Puts :func:`unsaved_state` back; what is missing there goes back to Detectron2's start, too."""
    model.__dict__.pop(NORMALIZER, None)
    for name, value in state.items():
        setattr(model, name, value)


@lru_cache(maxsize=8)
def _optimise_focal_loss(device: torch.device, alpha: float, gamma: float) -> None:
    for _ in range(PROFILED_CALLS):
        logits = torch.zeros(2, 3, device=device, requires_grad=True)
        loss = sigmoid_focal_loss_jit(logits, torch.zeros_like(logits), alpha=alpha, gamma=gamma, reduction="sum")
        loss.backward()
