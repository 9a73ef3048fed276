"""Whether early stopping can stop anything in a sweep: what cannot decide is not planned with."""

from __future__ import annotations

from collections.abc import Sequence

from agropest.data.dataset import Dataset
from agropest.statistics.detections.boxes import GroundTruth
from agropest.statistics.detections.matching import image_groups
from agropest.statistics.race.racing import FEWEST_SOURCES
from agropest.sweep.sections.stop_rule import HYPERBAND, NONE, RACE, StopRule
from agropest.sweep.trial import TrialSpec


def why_nothing_stops(rule: StopRule, trials: Sequence[TrialSpec], dataset: Dataset) -> str:
    """Returns why a sweep's rule stops nothing, in a sentence; empty where it may stop a trial, or none is wanted.

    Args:
        trials: of the whole sweep.
    """
    if rule.method == NONE:
        return ""
    if rule.method in (RACE, HYPERBAND) and len({trial.label for trial in trials}) < 2:
        return f"{rule.method} stops nothing: there is only one variant"
    if rule.method != RACE:
        return ""
    sources = len(set(image_groups(GroundTruth.from_coco(dataset.split("valid").annotations)).tolist()))
    if sources >= FEWEST_SOURCES:
        return ""
    return (
        f"race stops nothing: validation has {sources} independent images, and fewer than {FEWEST_SOURCES} say too "
        "little; every trial runs to its end"
    )
