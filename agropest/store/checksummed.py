"""JSON files with a hash of their own content: one that was cut off, or in which a bit flipped, reads as not there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from agropest import files


def checksummed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the content with its hash under ``seal``, the key in results folders of every version."""
    return {**content, "seal": _checksum(content)}


def read_checksummed(path: Path) -> dict[str, Any] | None:
    """Returns the JSON mapping in a file, or None when there is none to read, or another one than was written.

    A mapping without a hash is taken as it stands.
    """
    try:
        content = files.read_json(path)
    except (OSError, ValueError, RecursionError):
        return None
    try:
        return verified(content)
    except (TypeError, ValueError):
        return None


def verified(content: Any) -> dict[str, Any]:
    """Returns what :func:`checksummed` was given; a mapping without a hash as it stands.

    Raises:
        TypeError: it is no mapping.
        ValueError: it is another one than was written.
    """
    if not isinstance(content, dict):
        raise TypeError(f"expected a mapping, got {type(content).__name__}")
    rest = {key: value for key, value in content.items() if key != "seal"}
    if content.get("seal") not in (None, _checksum(rest)):
        raise ValueError("it was damaged or edited after it was written: its hash differs")
    return rest


def write_twice(path: Path, content: Mapping[str, Any]) -> None:
    """Writes what nothing else tells, with its hash, and a copy beside it, which is written first."""
    for one in (copy_of(path), path):
        files.write_json(one, checksummed(content))


def read_either(path: Path, keys: Collection[str]) -> dict[str, Any] | None:
    """Returns what :func:`write_twice` wrote, of the first that is intact; None where neither is.

    Args:
        keys: that it holds.
    """
    for one in (path, copy_of(path)):
        content = read_checksummed(one)
        if content is not None and content.keys() >= set(keys):
            return content
    return None


def copy_of(path: Path) -> Path:
    """Returns where the copy of a file that is written twice is: ``search.copy.json`` of ``search.json``."""
    return path.with_name(f"{path.stem}.copy{path.suffix}")


def _checksum(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]
