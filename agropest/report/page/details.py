"""What the page shows of a few trials, from their stored boxes: curves, confusion, calibration, error types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from agropest.analysis.ranking import RankedTrial
from agropest.errors import DataError
from agropest.statistics.detections.boxes import Boxes, GroundTruth
from agropest.statistics.detections.matching import ALL, match, read_targets
from agropest.statistics.diagnosis.box_summary import BoxSummary, summarize_boxes
from agropest.statistics.diagnosis.calibration import Calibration, calibration
from agropest.statistics.diagnosis.confusion import ConfusionMatrix, confusion_matrix
from agropest.statistics.diagnosis.curves import ap_by_threshold, precision_recall
from agropest.statistics.diagnosis.error_types import ErrorTypes, error_types
from agropest.store.chosen import chosen_evaluation
from agropest.store.records import TrialState
from agropest.store.store import Store
from agropest.sweep.trial import TrialSpec

MOST_DETAILED = 6
DEPLOYED = "TEST.DEPLOYED_SCORE_THRESH"


@dataclass(frozen=True)
class Detail:
    """One trial's chosen evaluation on validation.

    Attributes:
        threshold: the score threshold it would be deployed with.
        boxes: of the whole split.
        precision: [101], at IoU 0.5, mean over classes.
        by_threshold: AP in percent at the thresholds of ``statistics.diagnosis.curves.THRESHOLDS``.
    """

    label: str
    seed: int
    iteration: int
    threshold: float
    boxes: Boxes
    summary: BoxSummary
    precision: npt.NDArray[Any]
    by_threshold: Sequence[float | None]
    confusion: ConfusionMatrix
    calibration: Calibration
    errors: ErrorTypes

    @property
    def name(self) -> str:
        """As the page calls it."""
        return f"{self.label} (seed {self.seed})"


def trials_in_detail(rows: Sequence[RankedTrial], baseline: str) -> list[RankedTrial]:
    """Returns the best finished trial of the baseline, then those of the best variants, ``MOST_DETAILED`` at most."""
    best: dict[str, RankedTrial] = {}
    for row in rows:
        if row.status == TrialState.FINISHED and row.val_iteration is not None:
            best.setdefault(row.label, row)
    first = [best.pop(baseline)] if baseline in best else []
    return [*first, *best.values()][:MOST_DETAILED]


def chosen_boxes(trial: TrialSpec, store: Store, metric: str) -> tuple[Boxes, int] | None:
    """Returns the boxes that a trial is ranked by and their iteration; None where there are none to read."""
    folder = store.folder(trial)
    record = chosen_evaluation(folder, metric)
    if record is None:
        return None
    try:
        return Boxes.load(folder.boxes_path(record)), record.iteration
    except DataError:
        return None  # damaged: the trial's own figures stay


def read_detail(trial: TrialSpec, store: Store, metric: str, ground_truth: GroundTruth) -> Detail | None:
    """Returns the analyses of a trial's chosen evaluation; None where there are no boxes to read.

    Raises:
        DataError: the boxes are of other images than the ground truth.
    """
    found = chosen_boxes(trial, store, metric)
    if found is None:
        return None
    boxes, iteration = found
    threshold = float(trial.config.get(DEPLOYED, 0.5))
    matches = match(read_targets(ground_truth), boxes, int(trial.config.get("TEST.DETECTIONS_PER_IMAGE", 100)), (ALL,))
    return Detail(
        label=trial.label,
        seed=trial.seed,
        iteration=iteration,
        threshold=threshold,
        boxes=boxes,
        summary=summarize_boxes(boxes.at_threshold(threshold), ground_truth.class_names),
        precision=precision_recall(matches),
        by_threshold=ap_by_threshold(matches),
        confusion=confusion_matrix(ground_truth, boxes, threshold),
        calibration=calibration(matches),
        errors=error_types(ground_truth, boxes),
    )
