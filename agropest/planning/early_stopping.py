"""Whether early stopping can stop anything in a sweep: what cannot decide is not planned with."""

from __future__ import annotations

from collections.abc import Sequence

from agropest.data.dataset import Dataset
from agropest.statistics.detections.boxes import GroundTruth
from agropest.statistics.detections.matching import image_groups
from agropest.statistics.race.patience import KEY, spell
from agropest.statistics.race.racing import FEWEST_SOURCES
from agropest.sweep.sections.stop_rule import HYPERBAND, NONE, RACE, StopRule
from agropest.sweep.trial import TrialSpec


def patience_in_words(trials: Sequence[TrialSpec]) -> str:
    """Returns which variants may end before their schedule of themselves, in a sentence; empty where none may."""
    patience = {trial.label: trial.config.get(KEY, 0) for trial in trials if trial.trains}
    labels = [label for label, number in patience.items() if number]
    if not labels:
        return ""
    whose = "every variant" if len(labels) == len(patience) > 1 else ", ".join(labels)
    numbers = " or ".join(spell(number) for number in sorted({patience[label] for label in labels}))
    return (
        f"{whose}: training ends once validation AP has not risen for {numbers} ({KEY}); the best checkpoint is tested "
        "and ranked; the forecast counts the whole schedule"
    )


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
