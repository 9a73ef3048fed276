"""The content of the loss and backbone files that a trial computes with: part of what decides its numbers.

A file of ``agropest/modeling/losses`` or ``backbones`` that a user adds or changes makes other numbers under the same
name. The files as they are shipped count as nothing, because ``TRAINING_VERSION`` stands for them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from agropest.modeling.config import STOCK_LOSS
from agropest.sweep.detectron2_keys import FlatConfig

MODELING = Path(__file__).resolve().parents[1] / "modeling"
# First 16 hex digits of the SHA-256 of each file as it is shipped; tests/sweep/test_user_code.py holds them.
SHIPPED = {
    "losses/sigmoid_focal.py": "ad16fe25d1c3a9f7",
    "losses/softmax_focal.py": "6391621e5149cd66",
    "losses/weighted_cross_entropy.py": "1d82e45b66d7dcd8",
    "backbones/narrow_resnet.py": "e01c414f4c98f25a",
    "backbones/timm_fpn.py": "e6beb3bd21043691",
}


def code_identity(config: FlatConfig, modeling: Path = MODELING) -> str:
    """Returns the names and digests of the user's files that a config computes with; empty where all are shipped.

    Args:
        config: effective Detectron2 config, flat.
        modeling: the package that holds ``losses`` and ``backbones``.
    """
    digests = {path.relative_to(modeling).as_posix(): digest(path) for path in _files(config, modeling)}
    return ", ".join(f"{name} {found}" for name, found in sorted(digests.items()) if SHIPPED.get(name) != found)


def digest(path: Path) -> str:
    """Returns the first 16 hex digits of a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _files(config: FlatConfig, modeling: Path) -> Iterator[Path]:
    loss = str(config.get("MODEL.ROI_BOX_HEAD.CLS_LOSS", STOCK_LOSS))
    path = modeling / "losses" / f"{loss}.py"
    if loss != STOCK_LOSS and path.is_file():
        yield path
    builder = str(config.get("MODEL.BACKBONE.NAME", ""))
    for path in sorted((modeling / "backbones").glob("*.py")):
        # A builder is registered under the name of its function or class.
        if builder and re.search(rf"^(def|class) {re.escape(builder)}\b", _text(path, path.stat().st_mtime_ns), re.M):
            yield path


@lru_cache(maxsize=256)
def _text(path: Path, _changed_ns: int) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
