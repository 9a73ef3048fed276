"""What the rules of early stopping look at: a variant with its metric at every evaluation, and why it is out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from agropest.statistics.bootstrap import variance_of_seed

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """A variant's metric at one iteration.

    Attributes:
        value: on the images as they are, percent; with several seeds their mean.
        replicates: on each resample of them, [R]; resample r is the same images for every variant.
        num_seeds: trainings behind the value.
        of_seed: the variance that another seed makes in one training (:func:`bootstrap.variance_of_seed`); of one
            training it is not known.
        of_images: the variance that these images make between such trainings; with ``of_seed`` it is all there is.
    """

    value: float
    replicates: FloatArray
    num_seeds: int = 1
    of_seed: float = 0.0
    of_images: float = 0.0

    @staticmethod
    def mean(trained: Sequence[Sample]) -> Sample:
        """Returns the mean over trainings of one variant, one from each seed."""
        values = np.array([one.value for one in trained])
        replicates = np.stack([one.replicates for one in trained])
        if len(trained) == 1:
            return trained[0]
        of_seed = variance_of_seed(values, replicates)
        of_images = float(values.var(ddof=1)) - of_seed
        return Sample(float(values.mean()), replicates.mean(axis=0), len(trained), of_seed, of_images)


@dataclass(frozen=True)
class Entrant:
    """One variant of the race.

    Attributes:
        name: its label.
        evaluates_at: every iteration at which it is evaluated, the last one included, ascending.
        samples: by iteration, those at which every one of its seeds has been evaluated.
        first_look: no decision on it before this iteration.
        decay_to_come: by iteration, share of the learning rate's decay that is still ahead, in [0, 1].
        curve: what the shape of its learning curve depends on; only compared.
        start: what decides how far behind it begins; only compared.
        is_over: no more evaluations will come (it has failed, or is left out of this launch).
        comes_until: the last iteration at which all of its seeds can be there before the next launch.
        stays: it is never out, however far behind: the sweep's baseline.
    """

    name: str
    evaluates_at: tuple[int, ...]
    samples: Mapping[int, Sample]
    first_look: int = 0
    decay_to_come: Mapping[int, float] = field(default_factory=dict)
    curve: str = ""
    start: str = ""
    is_over: bool = False
    comes_until: float = math.inf
    stays: bool = False

    @property
    def looks(self) -> tuple[int, ...]:
        """Iterations at which it may be stopped; at the last there is nothing left to save."""
        return tuple(t for t in self.evaluates_at[:-1] if t >= self.first_look)

    def will_come(self, iteration: int) -> bool:
        """Returns whether an evaluation that is not there yet is waited for."""
        return not self.is_over and iteration <= self.comes_until

    def part_of_error(self, look: int) -> float:
        """Returns the part of the error that is spent at a look; those of all looks add up to 1."""
        end = self.evaluates_at[-1]
        return (end - look) / sum(end - t for t in self.looks)


@dataclass(frozen=True)
class Stop:
    """Why a variant is out.

    Attributes:
        iteration: at which it was compared.
        rival: the variant it is worse than.
        difference: of the metric to that variant's, percent points; negative.
        std_error: of the difference; not a number where none was asked for.
        needed: how far behind it had to be.
        training_sd: what the standard error takes one training to vary by, percent points.
        training_source: where that is from, in words.
    """

    iteration: int
    rival: str
    difference: float
    std_error: float
    needed: float
    training_sd: float = 0.0
    training_source: str = ""

    def __str__(self) -> str:
        if math.isnan(self.std_error):
            return f"{-self.difference:.2f} behind {self.rival}, the last to continue, at iteration {self.iteration}"
        return (
            f"worse than {self.rival} at iteration {self.iteration}: {self.difference:+.2f} "
            f"(standard error {self.std_error:.2f}, {-self.needed:+.2f} was enough; "
            f"a training varies by {self.training_sd:.2f}, {self.training_source})"
        )
