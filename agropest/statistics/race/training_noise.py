"""What training adds to a metric that images do not show: another seed, and the next checkpoint of the same training.

Of neither is much known while a sweep runs, so that a variance here comes with degrees of freedom, and evidence is
pooled with what is known before by these (a scaled inverse chi-square prior and its update: Gelman et al., Bayesian
Data Analysis, 2013, section 3.2; Smyth, Statistical Applications in Genetics and Molecular Biology 2004, moderates the
variances of many small samples so).

Seeds: where variants have several of them, :func:`agropest.statistics.bootstrap.variance_of_seed`, pooled over the
variants. Checkpoints: how far the middle one of three successive evaluations lies off the line through its neighbours
(Gasser, Sroka and Jennen-Steinmetz, Residual variance and residual pattern in nonlinear regression, Biometrika 1986),

    (1)  e = y(b) - w y(a) - (1 - w) y(c),    w = (c - b) / (c - a)
    (2)  var(e) = (1 + w^2 + (1 - w)^2) * variance of a checkpoint + what the images do to e

with the variants' common bend, in proportion to their level, taken out: learning curves rise, and fall into place where
the learning rate drops, alike. What differs in that counts as noise. The images' part is in the resamples.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agropest.statistics.bootstrap import variance_of_seed
from agropest.statistics.race.entrant import Sample
from agropest.sweep.stopping.race import SEED_NOISE

# Percent points, until the curves say it.
ASSUMED_CHECKPOINT_SD = 0.3
# So uncertain, that the standard deviation may well be half as large again (docs/stopping.md: what that is good for).
ASSUMED_FREEDOM = 10.0
ASSUMED = "assumed"
OF_THIS_SWEEP = "from this sweep's seeds"


@dataclass(frozen=True)
class NoiseVariance:
    """A variance, and how well it is known.

    Attributes:
        variance: of one training's metric, percent points squared.
        freedom: its degrees of freedom; infinite where it is known exactly.
        source: where it is from, in words.
    """

    variance: float
    freedom: float
    source: str = ASSUMED

    @property
    def sd(self) -> float:
        """Standard deviation, percent points."""
        return math.sqrt(self.variance)

    def updated(self, seen: SeenVariance, source: str = "") -> NoiseVariance:
        """Returns the variance after evidence, which counts by its degrees of freedom.

        What was known before counts less where what is seen exceeds it: by (expected / seen)^4. With all its weight,
        20 % of 4 equal variants with two seeds that spread by 3 points, where 0.7 were assumed, were stopped; with the
        square up to 6 % (seeds that spread by 2), so 4 %.

        Args:
            source: where that is from; empty: that of this one stays.
        """
        freedom = seen.worth(self.variance)
        if math.isinf(self.freedom) or freedom <= 0:
            return self
        before = self.freedom * min(seen.ratio(self.variance), 1.0) ** 4
        pooled = (before * self.variance + freedom * max(seen.variance, 0.0)) / (before + freedom)
        return NoiseVariance(pooled, before + freedom, source or self.source)

    def plus(self, other: NoiseVariance) -> NoiseVariance:
        """Returns the variance of an independent sum (degrees of freedom: Satterthwaite 1946); the source stays."""
        total = self.variance + other.variance
        if total == 0:
            return self
        parts = sum(one.variance**2 / one.freedom for one in (self, other))
        return NoiseVariance(total, total**2 / parts if parts else math.inf, self.source)


@dataclass(frozen=True)
class SeenVariance:
    """An unbiased estimate from few values, of which what images do is taken off.

    Attributes:
        variance: percent points squared; below 0 by chance.
        freedom: degrees of freedom of what was observed.
        of_images: the images' part of that.
    """

    variance: float
    freedom: float
    of_images: float

    def worth(self, expected: float) -> float:
        """Returns the degrees of freedom that are left where images do most of what is seen.

        An estimate V - W is as uncertain as V: its relative variance is 2 / freedom * (V / (V - W))^2.

        Args:
            expected: the variance as it was known before.
        """
        own = max(self.variance, expected)
        return self.freedom * (own / (own + max(self.of_images, 0.0))) ** 2 if own > 0 else 0.0

    def ratio(self, expected: float) -> float:
        """Returns what was expected to be observed, divided by what was.

        Args:
            expected: the variance as it was known before.
        """
        observed = self.variance + self.of_images
        return (expected + self.of_images) / observed if observed > 0 else math.inf


def assumed_seed_noise(sd: float = SEED_NOISE) -> NoiseVariance:
    """Returns what another seed is taken to do where nothing says so.

    Args:
        sd: standard deviation, percent points.
    """
    return NoiseVariance(sd**2, ASSUMED_FREEDOM)


ASSUMED_CHECKPOINT_NOISE = NoiseVariance(ASSUMED_CHECKPOINT_SD**2, ASSUMED_FREEDOM)


def seen_over_seeds(samples: Iterable[Sample]) -> SeenVariance:
    """Returns what another seed has done to one training, by all variants that have several seeds."""
    known = [one for one in samples if one.num_seeds > 1 and math.isfinite(one.of_seed)]
    freedom = sum(one.num_seeds - 1 for one in known)
    if not freedom:
        return SeenVariance(0.0, 0.0, 0.0)
    of_seed = sum((one.num_seeds - 1) * one.of_seed for one in known) / freedom
    of_images = sum((one.num_seeds - 1) * one.of_images for one in known) / freedom
    return SeenVariance(of_seed, freedom, of_images)


class CheckpointNoise:
    """Collects evaluations in the order of iterations, and says what they show of the noise between checkpoints."""

    def __init__(self) -> None:
        self._last: dict[str, list[tuple[int, Sample]]] = {}
        self._found: list[tuple[int, SeenVariance]] = []

    def add(self, iteration: int, evaluated: Mapping[str, tuple[str, Sample]]) -> None:
        """Takes the evaluations of one iteration.

        Args:
            evaluated: variant to what the shape of its learning curve depends on, and its metric.
        """
        alike: dict[tuple[str, int, int], list[tuple[Sample, Sample, Sample]]] = {}
        for name, (curve, sample) in evaluated.items():
            before = self._last.setdefault(name, [])
            if len(before) == 2:
                (a, first), (b, middle) = before
                alike.setdefault((curve, a, b), []).append((first, middle, sample))
            self._last[name] = [*before[-1:], (iteration, sample)]
        for (_, a, b), threes in alike.items():
            if (seen := _seen_in_bends(threes, (iteration - b) / (iteration - a))) is not None:
                self._found.append((iteration, seen))

    @property
    def seen(self) -> SeenVariance:
        """What is known of one training's noise so far.

        Threes that overlap depend on each other: equally spaced bends correlate by -2/3 and 1/6 with the next two.
        """
        freedom = sum(one.freedom for _, one in self._found)
        if not freedom:
            return SeenVariance(0.0, 0.0, 0.0)
        count = len({iteration for iteration, _ in self._found})
        twice = 2 * (max(count - 1, 0) * 4 / 9 + max(count - 2, 0) / 36)
        variance = sum(one.freedom * one.variance for _, one in self._found) / freedom
        of_images = sum(one.freedom * one.of_images for _, one in self._found) / freedom
        return SeenVariance(variance, freedom * count / (count + twice), of_images)


def _seen_in_bends(threes: Sequence[tuple[Sample, Sample, Sample]], w: float) -> SeenVariance | None:
    """Returns the noise that variants show with three evaluations each, at the same iterations; None without two.

    Args:
        w: weight of the first evaluation in the line to the middle one.
    """
    levels = [(a.value + b.value + c.value) / 3 for a, b, c in threes]
    used = [(three, level) for three, level in zip(threes, levels, strict=True) if level > 0]
    if len(used) < 2:
        return None
    values = np.array([(b.value - w * a.value - (1 - w) * c.value) / level for (a, b, c), level in used])
    samples = np.stack(
        [(b.replicates - w * a.replicates - (1 - w) * c.replicates) / level for (a, b, c), level in used]
    )
    # Relative to the level, then back: so the common bend is a mean. Of S seeds a mean shows one S-th.
    seeds = np.mean([b.num_seeds for (_, b, _), _ in used])
    scale = float(np.mean([level**2 for _, level in used]) * seeds / (1 + w**2 + (1 - w) ** 2))
    shown = variance_of_seed(values, samples)
    return SeenVariance(shown * scale, len(used) - 1, (float(values.var(ddof=1)) - shown) * scale)
