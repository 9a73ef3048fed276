"""The converted annotations, checked when they are read: their hash is in ``dataset.json`` beside them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from agropest import files
from agropest.errors import ChangedInput, fault


def require_as_converted(annotations: Path) -> str:
    """Returns the SHA-256 of the annotations; refuses those of a converted data set that are not as they were written.

    A folder without ``dataset.json`` is no conversion of ours; its files are taken as they are.

    Args:
        annotations: the COCO JSON of a split.

    Raises:
        ChangedInput: its hash is another, or ``dataset.json`` does not tell it any more.
        DataError: it cannot be read.
    """
    described = annotations.parent.parent / "dataset.json"
    is_ours = described.exists()
    try:
        expected = files.read_json(described)["splits"][annotations.stem]["sha256"] if is_ours else None
    except (OSError, ValueError, KeyError, TypeError):
        expected = None
    try:
        with open(annotations, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        found = error.strerror or str(error)
    if is_ours and found != expected:
        rule = f"expected the annotations as they were converted, SHA-256 {str(expected)[:16]}"
        fix = "damaged or edited; launch the sweep again: it converts the data anew, and trains nothing twice"
        raise ChangedInput(fault(str(annotations), rule, found[:64], fix))
    return found
