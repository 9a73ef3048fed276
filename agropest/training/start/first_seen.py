"""Zoo files without a checksum in their name: what a results folder has begun with is what it stays with.

The ImageNet backbones of Detectron2's zoo are named by nothing but their place, so that a trial's signature holds their
address alone. The first trial that reads such a file notes its SHA-256; the others compare.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from agropest import files
from agropest.errors import ChangedInput, fault
from agropest.store.checksummed import checksummed, read_checksummed
from agropest.training.start.weights import ZOO_SCHEME, cached_path
from agropest.training.start.weights_file import CHECKSUM, SHA256


def noted_identity(weights: str, identity: str, notes: Path | None) -> str:
    """Returns what the content of initial weights is compared with: ``sha256:`` and digits, or ``identity`` as it is.

    Args:
        weights: ``MODEL.WEIGHTS``.
        identity: :attr:`TrialSpec.weights`.
        notes: folder of the hashes in the results folder; None: nothing is noted.

    Raises:
        ChangedInput: the file is not the one that the results folder has begun with.
    """
    path = cached_path(weights)
    if notes is None or not weights.startswith(ZOO_SCHEME) or CHECKSUM.search(weights) or not path.is_file():
        return identity
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    note = notes / f"{hashlib.sha256(weights.encode()).hexdigest()[:16]}.json"
    seen = read_checksummed(note)
    if seen is None:
        files.write_json(note, checksummed({"weights": weights, "sha256": found}))
    elif seen.get("sha256") != found:
        rule = f"expected the file that this results folder began with, SHA-256 {str(seen.get('sha256'))[:16]}"
        fix = f"remove it: the next launch fetches it again; if it is the right one, remove {note}"
        raise ChangedInput(fault(str(path), rule, found[:16], fix))
    return SHA256 + found
