"""Checkpoints of one trial: intact or not there, checked when read; at most the last, the best and one before stay.

A checkpoint is ``checkpoints/00000300.pth`` with ``00000300.json`` beside it (its size and SHA-256). The JSON is
written last and removed first; a checkpoint whose bytes are not what the JSON says is skipped, and the one before it is
used. All are read with ``weights_only=True``: tensors and plain values, never code.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch

from agropest import files
from agropest.store.sharing.shared_work import AVERAGES


def save(
    folder: Path, iteration: int, content: dict[str, Any], require_claim: Callable[[], None] = lambda: None
) -> None:
    """Writes the checkpoint of an iteration atomically; those before it stay as they are.

    Args:
        folder: the trial's ``checkpoints``.
        iteration: iterations trained.
        content: tensors and plain values (what ``torch.load(weights_only=True)`` accepts).
        require_claim: is called between the bytes and their checksum, without which they are no checkpoint: the bytes
            take their time, and the folder may have become another writer's.

    Raises:
        OSError: disk full, folder gone.
    """
    buffer = io.BytesIO()
    torch.save({**content, "iteration": iteration}, buffer)
    data = buffer.getbuffer()
    path = _path(folder, iteration)
    files.write_with(path, lambda file: file.write(data))
    checksum = {
        "iteration": iteration,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        AVERAGES: [float(decay) for decay in content.get(AVERAGES, ())],
    }
    require_claim()
    files.write_json(path.with_suffix(".json"), checksum)


def load(folder: Path, iteration: int) -> dict[str, Any] | None:
    """Returns the checkpoint of an iteration on the CPU, or None when it is not there or damaged."""
    path = _path(folder, iteration)
    try:
        checksum = files.read_json(path.with_suffix(".json"))
        data = path.read_bytes()
    except (OSError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    if not isinstance(checksum, dict) or checksum.get("sha256") != hashlib.sha256(data).hexdigest():
        return None
    content: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return content


def link(source: Path, target: Path, iteration: int, require_claim: Callable[[], None]) -> bool:
    """Takes another trial's checkpoint for one's own: the same bytes under two names, where the file system has that.

    Args:
        source: the other trial's ``checkpoints``.
        target: one's own.
        require_claim: as in :func:`save`.

    Returns:
        Whether it was there.
    """
    try:
        for suffix in (".pth", ".json"):  # what has no checksum is no checkpoint
            require_claim()
            files.link(_path(source, iteration).with_suffix(suffix), _path(target, iteration).with_suffix(suffix))
    except FileNotFoundError:
        return False
    return True


def saved_at(folder: Path, iteration: int) -> float | None:
    """Returns when the checkpoint of an iteration was saved, in seconds since 1970, or None when there is none."""
    try:
        return _path(folder, iteration).with_suffix(".json").stat().st_mtime
    except OSError:
        return None


def iterations(folder: Path) -> list[int]:
    """Returns the iterations that have a checkpoint, intact or not, newest first."""
    return sorted((int(p.stem) for p in folder.glob("*.json") if p.stem.isdecimal()), reverse=True)


def load_last(folder: Path, at_most: int) -> dict[str, Any] | None:
    """Returns the newest checkpoint that is intact and not after iteration ``at_most``, or None."""
    for iteration in iterations(folder):
        if iteration <= at_most:
            content = load(folder, iteration)
            if content is not None:
                return content
    return None


def keep(folder: Path, wanted: Collection[int]) -> None:
    """Removes the checkpoints of all iterations but the wanted ones."""
    stems = {path.stem for path in folder.glob("*.pth")} | {path.stem for path in folder.glob("*.json")}
    for stem in stems:
        if not stem.isdecimal() or int(stem) not in wanted:
            (folder / f"{stem}.json").unlink(missing_ok=True)
            (folder / f"{stem}.pth").unlink(missing_ok=True)


def _path(folder: Path, iteration: int) -> Path:
    return folder / f"{iteration:08d}.pth"
