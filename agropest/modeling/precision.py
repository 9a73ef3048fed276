"""Mixed precision: which operations run in half precision, as ``SOLVER.AMP`` and ``TEST.AMP`` ask for it."""

from __future__ import annotations

import contextlib
from typing import Any

import torch


def half_precision(device: str, *, enabled: bool) -> contextlib.AbstractContextManager[Any]:
    """Returns a context in which torch's autocast chooses: float16 on a card, bfloat16 on the CPU; else none.

    Args:
        device: "cpu" or "cuda".
    """
    if not enabled:
        return contextlib.nullcontext()
    return torch.autocast(device, dtype=torch.float16 if device == "cuda" else torch.bfloat16)
