"""Frozen batch normalisation whose scale and shift are computed once, not at every iteration."""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
from typing import Any

import torch
from detectron2.layers import FrozenBatchNorm2d
from torch import Tensor


class LeanFrozenBatchNorm2d(FrozenBatchNorm2d):
    """``FrozenBatchNorm2d`` that keeps its scale and shift until a buffer changes, and adds the shift in place."""

    def forward(self, x: Tensor) -> Tensor:
        """Returns the normalised features."""
        if not x.requires_grad:  # one fused kernel already
            return super().forward(x)  # type: ignore[no-any-return]
        scale, shift = self._scale_and_shift(x.dtype)
        return (x * scale).add_(shift)  # only this sum reads the product, and its gradient needs the scale alone

    def _scale_and_shift(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        buffers = (self.weight, self.bias, self.running_mean, self.running_var)
        # A buffer that is loaded, averaged or moved to a card is another object, or has another version.
        state = (dtype, *((id(buffer), buffer._version) for buffer in buffers))
        kept: Any = self.__dict__.get("_kept")
        if kept is None or kept[0] != state:
            with torch.no_grad():
                scale = self.weight * (self.running_var + self.eps).rsqrt()
                shift = self.bias - self.running_mean * scale
                values = tuple(value.reshape(1, -1, 1, 1).to(dtype) for value in (scale, shift))
            kept = (state, values, buffers)  # holding the buffers keeps their identities from being given away
            self.__dict__["_kept"] = kept
        return kept[1]  # type: ignore[no-any-return]

    def __getstate__(self) -> dict[str, Any]:
        """Returns what a copy is made of: without what is kept, which belongs to these buffers."""
        return {name: value for name, value in self.__dict__.items() if name != "_kept"}
