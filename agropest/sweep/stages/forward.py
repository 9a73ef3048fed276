"""Evaluations that have their forward passes in common, and differ only in what is done with the boxes afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from agropest.sweep.stages.training import average_decay, digest, is_evaluation_key
from agropest.sweep.trial import TrialSpec

SCORE_THRESHOLD, NMS_THRESHOLD = "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "MODEL.ROI_HEADS.NMS_THRESH_TEST"
MOST_BOXES = "TEST.DETECTIONS_PER_IMAGE"
# What is applied to the boxes and scores of the box head, and what has no part in a plain evaluation.
AFTER_FORWARD = frozenset(
    {SCORE_THRESHOLD, NMS_THRESHOLD, MOST_BOXES, "TEST.DEPLOYED_SCORE_THRESH", "TEST.EVAL_PERIOD", "TEST.PATIENCE"}
)
AUGMENTATION = "TEST.AUG."
# Box-head rows without a score above the floor are not kept: no threshold at or above it lets one of them through.
FLOORS = (0.05, 0.01, 0.001)


def score_floor(trial: TrialSpec) -> float:
    """Returns the score below which an evaluation with the trial's threshold needs nothing."""
    threshold = float(trial.config[SCORE_THRESHOLD])
    return next((floor for floor in FLOORS if floor <= threshold), float("-inf"))


def forward_key(trial: TrialSpec) -> str:
    """Returns 16 hex digits that are equal for trials which evaluate the same outputs of the same box head."""
    if trial.evaluates is None or trial.source is None:
        return ""
    config = {
        key: value
        for key, value in trial.config.items()
        if is_evaluation_key(key) and key not in AFTER_FORWARD and not key.startswith((AUGMENTATION, "SOLVER.EMA."))
    }
    weights = [trial.source.signature, trial.evaluates.choice, average_decay(trial)]
    return digest({"weights": weights, "config": config, "floor": str(score_floor(trial))})


def with_common_forward(trials: Sequence[TrialSpec]) -> set[str]:
    """Returns the names of the trials whose forward passes another one needs as well."""
    keys = {trial.name: forward_key(trial) for trial in trials if trial.evaluates is not None}
    counts = Counter(keys.values())
    return {name for name, key in keys.items() if counts[key] > 1}
