"""What the lint rules look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from agropest.data.dataset import Dataset
from agropest.data.inspection.statistics import ClassStatistics, class_statistics
from agropest.data.training_sets.opened import TrainingSets
from agropest.machine import Machine, this_machine
from agropest.sweep.sections.search import is_drawn
from agropest.sweep.spec import SweepSpec
from agropest.sweep.trial import TrialSpec

# Variants that are built to see what their overrides change: drawn ones have the same keys, and the first ones tell.
MOST_BUILT = 32


@dataclass(frozen=True)
class Subject:
    """What the rules look at; ``variants`` has one trial for each variant that is trained, the first seed's.

    Attributes:
        training_sets: what each trial trains on.
        machine: that the sweep is read on.
    """

    spec: SweepSpec
    trials: Sequence[TrialSpec]
    training_sets: TrainingSets
    idle: Mapping[str, Sequence[str]]
    machine: Machine = field(default_factory=this_machine)

    @property
    def dataset(self) -> Dataset:
        """The data set by which all trials are evaluated."""
        return self.training_sets.base

    @cached_property
    def variants(self) -> list[TrialSpec]:
        """One trial for each variant that is trained, in the sweep's order."""
        return [trial for trial in first_seeds(self.trials) if trial.trains]

    @cached_property
    def baseline(self) -> TrialSpec:
        """The trial that the others are compared with."""
        return next(trial for trial in self.trials if trial.label == self.spec.baseline)

    @cached_property
    def others(self) -> list[TrialSpec]:
        """The variants without the baseline."""
        return [trial for trial in self.variants if trial.label != self.spec.baseline]

    @cached_property
    def written(self) -> list[TrialSpec]:
        """The others that stand for themselves in the file: neither combined from factors nor drawn by a search, where
        what one variant confounds others tell apart."""
        return [one for one in self.others if not one.levels and not is_drawn(self.spec.search, one.label)]

    def training(self, trial: TrialSpec) -> ClassStatistics:
        """Returns counts of images and boxes by class in what a trial trains on; read once."""
        dataset = self.training_sets.of(trial.config)
        if dataset.fingerprint not in self._counted:
            self._counted[dataset.fingerprint] = class_statistics(dataset, "train")
        return self._counted[dataset.fingerprint]

    def num_with_boxes(self, trial: TrialSpec) -> int:
        """Returns how many training images have boxes: the trainer leaves the others out before it samples."""
        return sum(1 for classes in self.training(trial).image_class_sets if classes)

    @cached_property
    def _counted(self) -> dict[str, ClassStatistics]:
        return {}


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
