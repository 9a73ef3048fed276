"""JSON files with a hash of their own content: one that was cut off, or in which a bit flipped, reads as not there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agropest import files


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is to be written for ``content``: the same, with its hash under ``seal``."""
    return {**content, "seal": _seal(content)}


def read_sealed(path: Path) -> dict[str, Any] | None:
    """Returns the JSON mapping in a file, or None when there is none to read, or another one than was written.

    A mapping without a seal is taken as it stands.
    """
    try:
        content = files.read_json(path)
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    seal = content.pop("seal", None)
    return content if seal is None or seal == _seal(content) else None


def _seal(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]
