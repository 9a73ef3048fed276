"""The weights a detector is used with: those that were evaluated, without optimizer, schedule and history."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from agropest import files
from agropest.analysis.models.model_choice import ChosenModel
from agropest.errors import StoreError, fault
from agropest.training import checkpoints
from agropest.training.trainer import averages_of

State = dict[str, torch.Tensor]


def evaluated_weights(chosen: ChosenModel) -> State:
    """Returns the tensors of the checkpoint that was evaluated: the moving average where the trial keeps one.

    Raises:
        StoreError: the checkpoint is gone or damaged.
    """
    content = checkpoints.load(chosen.checkpoint.parent, chosen.evaluation.iteration)
    if content is None:
        rule = f"expected an intact checkpoint of iteration {chosen.evaluation.iteration}"
        fix = "it was removed or damaged; `launch.py --fresh` trains the sweep again, or name another variant or seed"
        raise StoreError(fault(str(chosen.checkpoint), rule, "none", fix))
    if not chosen.trial.config.get("SOLVER.EMA.ENABLED"):
        return content["model"]  # type: ignore[no-any-return]
    decay = float(chosen.trial.config["SOLVER.EMA.DECAY"])
    return averages_of(content, decay)[decay]  # type: ignore[no-any-return]


def write_weights(path: Path, state: State) -> str:
    """Writes weights as Detectron2's checkpointer reads them; returns their SHA-256."""
    content: dict[str, Any] = {"model": {name: tensor.detach().clone() for name, tensor in state.items()}}
    files.write_with(path, lambda file: torch.save(content, file))
    return sha256(path)


def read_weights(path: Path) -> State:
    """Returns what :func:`write_weights` wrote; tensors only, never code.

    Raises:
        StoreError: the file is missing or damaged.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        state: State = content["model"]
    except (OSError, RuntimeError, KeyError, TypeError, EOFError, ValueError) as error:
        fix = "write the model folder again: python -m agropest model SWEEP OUT"
        raise StoreError(fault(str(path), "expected weights", str(error).splitlines()[0], fix)) from None
    return state


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
