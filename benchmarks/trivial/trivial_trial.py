"""A trial that trains nothing: it stores one evaluation, what the ranking will ask of it, and has finished."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agropest.statistics.detections.boxes import Boxes, GroundTruth
from agropest.statistics.detections.matching import read_targets
from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.replicate_cache import keep_replicates
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.trial import TrialSpec
from agropest.training.run_context import RunContext


def run_trial(
    trial: TrialSpec,
    folder: TrialFolder,
    context: RunContext,
    on_evaluation: Callable[[EvaluationRecord], object],
    should_stop: Callable[[], bool] = lambda: False,
) -> Status:
    """Stores one evaluation, tells it, and ends as finished."""
    folder.write_spec(trial)
    ids = np.zeros(0, dtype=np.int64)
    nothing = Boxes(ids, ids, np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    for split in ("valid", "test"):
        record = EvaluationRecord(split, trial.max_iter, {"AP": float(trial.seed % 50)}, 0, 1, 0.001, 1.0)
        folder.write_evaluation(record, nothing.save)
        if split == "valid":
            on_evaluation(record)
        truth = GroundTruth.from_coco(context.splits[split][0])
        keep_replicates(folder, record, read_targets(truth), context.metric, trial.config)
    status = Status(TrialState.FINISHED, trial.max_iter, 0.001)
    folder.write_status(status)
    return status
