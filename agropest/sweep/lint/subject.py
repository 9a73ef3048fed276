"""What the lint rules look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from agropest.data.dataset import Dataset
from agropest.data.inspection.statistics import ClassStatistics, class_statistics
from agropest.sweep.sections.search import is_drawn
from agropest.sweep.spec import SweepSpec
from agropest.sweep.trial import TrialSpec

# Variants that are built to see what their overrides change: drawn ones have the same keys, and the first ones tell.
MOST_BUILT = 32


@dataclass(frozen=True)
class Subject:
    """What the rules look at; ``variants`` has one trial for each variant, the first seed's."""

    spec: SweepSpec
    trials: Sequence[TrialSpec]
    dataset: Dataset
    idle: Mapping[str, Sequence[str]]

    @cached_property
    def variants(self) -> list[TrialSpec]:
        """One trial for each variant, the baseline among them, in the sweep's order."""
        return first_seeds(self.trials)

    @cached_property
    def baseline(self) -> TrialSpec:
        """The trial that the others are compared with."""
        return next(trial for trial in self.variants if trial.label == self.spec.baseline)

    @cached_property
    def others(self) -> list[TrialSpec]:
        """The variants without the baseline."""
        return [trial for trial in self.variants if trial.label != self.spec.baseline]

    @cached_property
    def written(self) -> list[TrialSpec]:
        """The others that stand for themselves in the file: neither combined from factors nor drawn by a search, where
        what one variant confounds others tell apart."""
        return [one for one in self.others if not one.levels and not is_drawn(self.spec.search, one.label)]

    @cached_property
    def training(self) -> ClassStatistics:
        """Counts of images and boxes by class in the training split; read once."""
        return class_statistics(self.dataset, "train")

    @cached_property
    def image_classes(self) -> list[frozenset[int]]:
        """The classes in each training image that has boxes: the trainer leaves the others out before it samples."""
        return [classes for classes in self.training.image_class_sets if classes]


# Settings that a trial meets only mid-way or after its training: at the first evaluation, or at the test.
MET_LATE = {
    "TEST.AUG.ENABLED": False,
    "INPUT.CROP.ENABLED": False,
    "MODEL.META_ARCHITECTURE": "GeneralizedRCNN",
}


def may_fail_late(trial: TrialSpec) -> bool:
    """Returns whether a trial has a setting that could end it long after its start: it is tried out in any case."""
    return any(trial.config[key] != usual for key, usual in MET_LATE.items())


def first_seeds(trials: Sequence[TrialSpec]) -> list[TrialSpec]:
    """Returns one trial for each variant, that of its first seed, in order."""
    return list({trial.label: trial for trial in reversed(trials)}.values())[::-1]
