"""An exponential moving average of a model's weights (Polyak averaging), evaluated in its stead."""

from __future__ import annotations

import copy
from typing import Any

import torch


class Ema:
    """Keeps ``average = decay * average + (1 - decay) * weights`` of every floating tensor.

    Args:
        model: is copied, and is where the average starts.
        decay: in [0, 1).
    """

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self.module = copy.deepcopy(model).requires_grad_(False)

    @torch.no_grad()
    def update(self, model: torch.nn.Module) -> None:
        """Moves the average towards the weights of ``model``; counters (not floating) are copied."""
        pairs = list(zip(self.module.state_dict().values(), model.state_dict().values(), strict=True))
        floating = [(ours, theirs) for ours, theirs in pairs if ours.is_floating_point()]
        # One launch for all tensors: hundreds of small ones would keep a GPU waiting.
        torch._foreach_lerp_([ours for ours, _ in floating], [theirs for _, theirs in floating], 1.0 - self.decay)
        for ours, theirs in pairs:
            if not ours.is_floating_point():
                ours.copy_(theirs)

    def reset(self, model: torch.nn.Module) -> None:
        """Makes the average equal to the weights of ``model``."""
        self.module.load_state_dict(model.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Returns the averaged weights."""
        return self.module.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts :meth:`state_dict` back."""
        self.module.load_state_dict(state)
