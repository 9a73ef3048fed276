"""A batch on the device that trains: on a card by copies from pinned memory, which the host does not wait for.

Detectron2 copies each picture from pageable memory, and the host waits until it is there. Nothing of a batch changes,
so neither does a result.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

import torch
from detectron2.structures import Boxes, Instances
from torch import Tensor

logger = logging.getLogger(__name__)

Batch = list[dict[str, Any]]


def on_device(batch: Batch, device: torch.device) -> Batch:
    """Returns the batch with its pictures and targets on a card; on the CPU the batch itself."""
    return moved(batch, device) if device.type == "cuda" else batch


def moved(batch: Batch, device: torch.device) -> Batch:
    """Returns a batch whose pictures and targets are on a device; what else an item holds stays."""
    return [{key: _moved(value, device) for key, value in item.items()} for item in batch]


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return _pinned(value, device).to(device, non_blocking=True)
    if isinstance(value, Boxes):
        return Boxes(_moved(value.tensor, device))
    if isinstance(value, Instances):
        fields = {name: _moved(field, device) for name, field in value.get_fields().items()}
        return Instances(value.image_size, **fields)
    return value


def _pinned(tensor: Tensor, device: torch.device) -> Tensor:
    """Returns the tensor in pinned memory; where there is none to be had, as it is: the copy is then waited for."""
    if device.type != "cuda":
        return tensor
    try:
        return tensor.pin_memory()
    except RuntimeError as error:
        _warn_once(str(error).splitlines()[0])
        return tensor


@cache
def _warn_once(problem: str) -> None:
    logger.warning("no pinned memory for batches, so every copy to the card is waited for: %s", problem)
