"""Which of its evaluations a trial is ranked, tested and kept by: what validation chose."""

from __future__ import annotations

from collections.abc import Sequence

from agropest.statistics.accuracy.metric import metric_value
from agropest.store.records import VALID_AUGMENTED, EvaluationRecord
from agropest.store.trial_folder import TrialFolder


def best_evaluation(records: Sequence[EvaluationRecord], metric: str) -> EvaluationRecord | None:
    """Returns the evaluation with the highest ``metric`` (the first of equals), or None."""
    known = [(value, record) for record in records if (value := metric_value(record.metrics, metric)) is not None]
    return max(known, key=lambda pair: (pair[0], -pair[1].iteration))[1] if known else None


def chosen_evaluation(folder: TrialFolder, metric: str) -> EvaluationRecord | None:
    """Returns the evaluation a trial is ranked by: the best, with test-time augmentation where the trial has it."""
    best = best_evaluation(folder.read_evaluations("valid"), metric)
    # Another sweep may have chosen another checkpoint of the same trial, by another metric.
    augmented = [r for r in folder.read_evaluations(VALID_AUGMENTED) if best and r.iteration == best.iteration]
    return augmented[0] if augmented else best
