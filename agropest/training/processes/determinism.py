"""The same numbers bit for bit on a card, at a price: PyTorch's deterministic algorithms.

On the CPU trials are deterministic without it. On a card, kernels that add up with atomic operations, and cuDNN's
choice among algorithms, give other last bits from run to run; torchvision's ROIAlign then takes its own deterministic
path, in Python. An operation that has no deterministic form raises a RuntimeError, which names it.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

import torch
import torch.utils.deterministic

CUBLAS_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
# https://docs.nvidia.com/cuda/cublas/#results-reproducibility: one of the two that make cuBLAS deterministic.
WORKSPACE = ":4096:8"


def make_deterministic(environment: MutableMapping[str, str] = os.environ) -> None:
    """Makes what this process computes from here on the same from run to run; before its first use of a card."""
    environment.setdefault(CUBLAS_WORKSPACE, WORKSPACE)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic = True
    # It writes NaN into all memory that is not filled yet: a guard against reading it, which costs and changes nothing.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
