"""Anchors that a sweep asks to have fitted to its training boxes: fitted once, kept beside the converted data set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from agropest import files
from agropest.data.anchors.config import DEFAULTS, anchor_config
from agropest.data.anchors.coverage import fitted_grid
from agropest.data.dataset import Dataset
from agropest.data.inspection.statistics import read_boxes
from agropest.errors import DataError, fault

SIZES, ASPECT_RATIOS = "MODEL.ANCHOR_GENERATOR.SIZES", "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS"
# Raise this when the same boxes would be fitted otherwise.
FIT_VERSION = 1


def fitted_anchors(dataset: Dataset, flat: Mapping[str, Any], per_level: int, where: str) -> dict[str, Any]:
    """Returns ``SIZES`` (``per_level`` for each FPN level) and ``ASPECT_RATIOS`` (as many as ``flat`` has), fitted to
    the training boxes at the config's training scales; see :func:`agropest.data.anchors.coverage.fitted_grid`.

    Args:
        flat: effective config, dotted keys.
        per_level: anchor sizes for each level, at least 1.
        where: names the config in errors.

    Raises:
        DataError: there is no box to fit to, or the config's scales, levels or ratios are not what Detectron2 takes.
    """
    looked_at = {key: flat[key] for key in DEFAULTS} | {SIZES: [[1.0] * per_level]}
    config = anchor_config(looked_at, where)
    text = json.dumps([FIT_VERSION, dataset.fingerprint, looked_at], sort_keys=True)
    kept = dataset.health.parent / "anchors" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    try:
        written = files.read_json(kept)
        content: dict[str, Any] = written["anchors"]
        if written["sha256"] == _sha256(content):
            return content
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not fitted yet, or damaged
    boxes = read_boxes(dataset, "train")
    if not len(boxes.wh):
        fix = "give MODEL.ANCHOR_GENERATOR.SIZES yourself"
        raise DataError(fault(f"{where}: MODEL.ANCHOR_GENERATOR.FITTED", "expected training boxes", 0, fix))
    grid = fitted_grid(boxes, config)
    ratios = grid.ratios[:1] if len(set(grid.ratios)) == 1 else grid.ratios
    content = {SIZES: [list(row) for row in grid.sizes], ASPECT_RATIOS: [list(row) for row in ratios]}
    files.write_json(kept, {"anchors": content, "sha256": _sha256(content)})
    return content


def _sha256(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
