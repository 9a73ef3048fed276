"""Replicates of stored evaluations, computed once and kept in the trial's folder.

    results/trials/<label>-<signature>/replicates/<key>.npz

The key is a hash of everything that decides them: the boxes, the ground truth, what of it, the draws. A finished trial
keeps those it will be ranked by before it ends, so that ranking a thousand trials reads and computes little.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy.typing as npt

from agropest import files
from agropest.errors import DataError, fault
from agropest.statistics.accuracy.average_precision import AP
from agropest.statistics.accuracy.metric import Basis, basis_of
from agropest.statistics.bootstrap import RESAMPLES, Replicates, replicate
from agropest.statistics.detections.boxes import Boxes
from agropest.statistics.detections.matching import Targets, match
from agropest.statistics.detections.npz import DamagedArrays, read_npz, write_npz
from agropest.store.records import EvaluationRecord
from agropest.store.trial_folder import TrialFolder

FloatArray = npt.NDArray[Any]

# Raise this when the same inputs would give other replicates than before.
REPLICATES_VERSION = 4
TEST = "test"


def read_replicates(
    folder: TrialFolder,
    record: EvaluationRecord,
    targets: Targets,
    basis: Basis,
    config: Mapping[str, Any],
    resamples: int = RESAMPLES,
) -> Replicates:
    """Returns the replicates of one evaluation; computes and keeps them where that has not been done.

    Args:
        record: of the trial in ``folder``.
        targets: of its split.
        config: of the trial, for the deployed threshold and the number of boxes per image.

    Raises:
        DataError: the boxes are damaged.
    """
    threshold = float(config.get("TEST.DEPLOYED_SCORE_THRESH", 0.5))
    most = int(config.get("TEST.DETECTIONS_PER_IMAGE", 100))
    seed = 1 if record.split == TEST else 0  # the splits are independent samples
    boxes = folder.boxes_path(record)
    identity = [REPLICATES_VERSION, targets.fingerprint, asdict(basis), resamples, seed, threshold, most]
    key = hashlib.sha256(json.dumps(identity).encode() + boxes.read_bytes()).hexdigest()[:32]
    path = folder.path / "replicates" / f"{key}.npz"
    kept = _read(path, (len(targets.class_names) if basis.kind != "F1" else 1, resamples))
    if kept is not None:
        sources = (targets.num_groups, targets.sources_by_class(basis.area))
        return Replicates(basis, *kept, targets.class_names, *sources)
    if not folder.has_intact_boxes(record):  # what stays for good must not come from a flipped bit
        raise DataError(fault(str(boxes), "expected the boxes as they were stored", "others", "launch again"))
    one = replicate(match(targets, Boxes.load(boxes), most, [basis.area]), basis, resamples, seed, threshold)
    arrays = {"value": one.value, "samples": one.samples, "halves": one.halves}
    files.write_with(path, lambda file: write_npz(file, arrays, compressed=False))
    return one


def keep_replicates(
    folder: TrialFolder, record: EvaluationRecord, targets: Targets, metric: str, config: Mapping[str, Any]
) -> dict[str, Replicates]:
    """Keeps what a comparison by ``metric`` will read of an evaluation; returns it by metric, with AP's."""
    by_basis = {
        basis: read_replicates(folder, record, targets, basis, config) for basis in {basis_of(metric), basis_of(AP)}
    }
    return {name: by_basis[basis_of(name)] for name in (metric, AP)}


def _read(path: Path, shape: tuple[int, int]) -> tuple[FloatArray, FloatArray, FloatArray] | None:
    """Returns kept values, samples and halves, or None where there are none or they are damaged."""
    try:
        value, samples, halves = read_npz(path, ("value", "samples", "halves"))
    except DamagedArrays:
        return None
    return (value, samples, halves) if samples.shape == shape and value.shape == shape[:1] else None
