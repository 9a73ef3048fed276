"""One training's value of a metric, with what other images would have made of it.

Shapes: K classes, R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agropest.statistics.bootstrap import Replicates

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ClassValues:
    """The classes that a mean over classes is of.

    Attributes:
        values: of each class, [K]; NaN without ground truth.
        samples: on every resample, [K, R]; NaN where no image of the class was drawn.
        sources: that hold something of the class, [K].
    """

    values: Array
    samples: Array
    sources: Array


@dataclass(frozen=True)
class Training:
    """What one training of a variant has come to.

    Attributes:
        variant: what was trained: trainings that differ in nothing but the seed have one name. Two values with one
            name and seed are two evaluations of one training.
        value: of the metric, on the images as they are.
        samples: on every resample, [R].
        bias: by how much ``value`` is expected to be too high because there are so few images.
        sources: the sample behind it.
        classes: where it is a mean over several classes.
    """

    variant: str
    seed: int
    value: float
    samples: Array
    bias: float = 0.0
    sources: float = np.inf
    classes: ClassValues | None = None

    def minus(self, other: Training) -> Training:
        """Returns the difference of two measurements of one training, on independent sets of images."""
        sources = min(self.sources, other.sources)
        value, samples = self.value - other.value, self.samples - other.samples
        return Training(self.variant, self.seed, value, samples, 0.0, sources)


def trainings_of(variant: str, seeds: Sequence[int], replicates: Sequence[Replicates], metric: str) -> list[Training]:
    """Returns a metric of every seed of a variant; nothing where one has no ground truth for it."""
    found: list[Training] = []
    if not replicates:
        return found
    for seed, one in zip(seeds, replicates, strict=True):
        value, samples = one.of(metric)
        if value is None:
            return []
        rows = one.rows(metric)
        classes = None
        if len(rows) > 1:
            classes = ClassValues(one.value[rows], one.samples[rows], one.sources_by_class[rows])
        found.append(Training(variant, seed, value, samples, one.bias(metric), one.sources(metric), classes))
    return found
