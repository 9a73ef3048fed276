"""What another seed does to a variant, pooled over variants: the part of a verdict's error that no image shows.

Trainings of several variants with several seeds are a two-way table, in which some cells may be empty:

    value(variant, seed) = variant + seed + what this seed does to this variant

A seed decides the order of the images, the augmentation and the first weights of what is new; part of what it does, it
does to every variant. That part cancels in a difference of variants that have the same seeds. The mean square of the
residuals of the additive fit is the variance of the last term; the mean square within variants is that of the last two
(Searle, Casella and McCulloch, Variance Components, 1992, chapters 4 and 5). Where seeds were added to some variants
only, most of them have few variants: the second mean square then stands for both, unless they differ.

The same quadratic forms of the resamples say how much of either is the images': two trainings differ on the same images
by what the seed did and by what these images happened to show of either, and the second is in the bootstrap already.

Shapes: N trainings, R resamples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import orth
from scipy.special import fdtrc

from agropest.statistics.same_trainings import Share
from agropest.statistics.trainings import Training

Array = npt.NDArray[Any]

# With fewer degrees of freedom the residuals of the additive fit say less than the spread within variants does.
LEAST_FREEDOM = 3
# A variant whose seeds spread more than the others' by so small a chance is judged by its own spread, and from the
# second on the others are judged without it: one that now and then diverges does not hide what the rest show.
APART_P, FAR_APART_P = 0.05, 0.001
# Where variants have unequal numbers of seeds, the additive fit leaves few residuals. That a seed does something to all
# variants alike is then assumed only where that shows by so small a chance; otherwise both mean squares are pooled. So
# lax a limit keeps the level (Bozivich, Bancroft and Hartley, Annals of Mathematical Statistics 27, 1956).
POOLING_P = 0.25
ROUNDING = 1e-9  # of residuals, points of the metric


@dataclass(frozen=True)
class Component:
    """A variance and what it rests on.

    Attributes:
        variance: between trainings on the same images, in squared units of the metric.
        images: the part of it that other images would change, which the bootstrap shows already.
        freedom: degrees of freedom.
    """

    variance: float = 0.0
    images: float = 0.0
    freedom: float = np.inf

    @property
    def of_seeds(self) -> float:
        """What is left for the seeds."""
        return max(self.variance - self.images, 0.0)

    @property
    def averages_out(self) -> float:
        """What a mean over many trainings is rid of: what a seed does, and what these images show of one training."""
        return max(self.variance, self.images)


@dataclass(frozen=True)
class SeedNoise:
    """What a seed does.

    Attributes:
        own: to one variant and no other.
        common: to all variants alike; 0 where that cannot be told, and ``own`` then holds it.
        total: both.
        apart: of the variants whose seeds spread significantly more than the others', instead of ``own``.
        source: where the trainings are from, in words.
        num_trainings, num_variants: behind it: variants with several seeds.
    """

    own: Component
    common: Component
    total: Component
    apart: Mapping[str, Component] = field(default_factory=dict)
    source: str = ""
    num_trainings: int = 0
    num_variants: int = 0

    @property
    def sd(self) -> float:
        """Standard deviation that another seed makes in one training."""
        return float(np.sqrt(self.total.of_seeds))

    def of(self, variant: str) -> Component:
        """Returns what a seed does to a variant alone."""
        return self.apart.get(variant, self.own)

    def draw(self, share: Share, resamples: int) -> Array:
        """Returns what other seeds would add to a variant's mean over some of its seeds, [R].

        Drawn alike whenever it is asked for: what two variants share cancels in their difference.
        """
        stream = f"variant {share.variant}" + (f", share {share.number}" if share.number else "")
        alone: Array = np.sqrt(self.of(share.variant).of_seeds / len(share.seeds)) * _normals(stream, resamples)
        if not self.common.of_seeds:
            return alone
        shared = np.mean([_normals(f"seed {seed}", resamples) for seed in share.seeds], axis=0)
        drawn: Array = alone + np.sqrt(self.common.of_seeds) * shared
        return drawn

    def averages_out(self, shares: Sequence[Share]) -> float:
        """Returns the variance of a weighted sum of means over seeds that more seeds take away, on the same images."""
        alone = sum(one.weight**2 / len(one.seeds) * self.of(one.variant).averages_out for one in shares)
        shared = sum(weight**2 for weight in _weight_by_seed(shares).values()) * self.common.averages_out
        return float(alone + shared)

    def parts(self, shares: Sequence[Share]) -> list[tuple[float, float]]:
        """Returns the variances, each with its degrees of freedom, that a weighted sum of means over seeds rests on."""
        pooled, found = 0.0, []
        by_seed = _weight_by_seed(shares)
        for one in shares:
            square = one.weight**2 / len(one.seeds)
            if one.variant in self.apart:
                found.append((square * self.apart[one.variant].variance, self.apart[one.variant].freedom))
            else:
                pooled += square
        found.append((pooled * self.own.variance, self.own.freedom))
        found.append((sum(one**2 for one in by_seed.values()) * self.common.variance, self.common.freedom))
        return [(variance, freedom) for variance, freedom in found if variance > 0]


# Files are compared as what they are: there is nothing about them that a seed could change.
NO_SEEDS = SeedNoise(Component(), Component(), Component())


def _weight_by_seed(shares: Sequence[Share]) -> dict[int, float]:
    found: dict[int, float] = {}
    for one in shares:
        for seed in one.seeds:
            found[seed] = found.get(seed, 0.0) + one.weight / len(one.seeds)
    return found


def seed_noise(trainings: Iterable[Training], source: str = "") -> SeedNoise | None:
    """Returns what a seed does, from all variants that have several; None where none has.

    Args:
        source: of the trainings, in words.
    """
    by_variant: dict[str, list[Training]] = {}
    for one in trainings:
        by_variant.setdefault(one.variant, []).append(one)
    used = [one for group in by_variant.values() if len(group) > 1 for one in group]
    if not used:
        return None
    far = _Fit.within(used).apart([one.variant for one in used], FAR_APART_P)
    rest = [one for one in used if one.variant not in far]
    own, common, total, apart = _pooled(rest)
    return SeedNoise(own, common, total, apart | far, source, len(rest), len({one.variant for one in rest}))


def _pooled(used: Sequence[Training]) -> tuple[Component, Component, Component, dict[str, Component]]:
    """Returns what a seed does to one variant, to all alike, both, and the variants that are judged by themselves."""
    variants, num_seeds = [one.variant for one in used], len({one.seed for one in used})
    within, crossed = _Fit.within(used), _Fit.crossed(used)
    total = within.component()
    if crossed.freedom < LEAST_FREEDOM or _may_be_pooled(within, crossed, len(set(variants))):
        return total, Component(), total, within.apart(variants, APART_P)
    own = crossed.component()
    variance = max(total.variance - own.variance, 0.0)
    common = Component(variance, variance - max(total.of_seeds - own.of_seeds, 0.0), num_seeds - 1)
    freedom = _freedom_within(total, own, len(used) / num_seeds, common)
    return own, common, Component(total.variance, total.images, freedom), crossed.apart(variants, APART_P)


def _may_be_pooled(within: _Fit, crossed: _Fit, num_variants: int) -> bool:
    """Returns whether variants have unequal seeds, of which none is seen to do something to all alike."""
    if crossed.freedom >= (1 - 1 / num_variants) * within.freedom - ROUNDING:  # every variant has every seed
        return False
    freedom, residual = within.freedom - crossed.freedom, crossed.component().variance
    between = (float(within.squares.sum()) - float(crossed.squares.sum())) / freedom
    return residual > 0 and bool(fdtrc(freedom, crossed.freedom, max(between, 0.0) / residual) >= POOLING_P)


def _freedom_within(total: Component, own: Component, variants_per_seed: float, common: Component) -> float:
    """Returns the degrees of freedom of the mean square within variants, which have the same seeds (Satterthwaite).

    It is MS(seeds) / k + (k - 1) / k MS(residuals) of k variants: the seeds are as few for all variants as for one.
    """
    of_residuals = min((1 - 1 / variants_per_seed) * own.variance, total.variance)
    of_seeds = total.variance - of_residuals
    squares = of_seeds**2 / common.freedom + of_residuals**2 / own.freedom
    return float(total.variance**2 / squares) if squares > 0 else own.freedom


@dataclass(frozen=True)
class _Fit:
    """The residuals of a linear fit.

    Attributes:
        squares: of the values, by training, [N].
        images: the same of the resamples' deviations, mean over them, [N].
        shares: of the degrees of freedom, by training, [N].
    """

    squares: Array
    images: Array
    shares: Array

    @staticmethod
    def within(trainings: Sequence[Training]) -> _Fit:
        """Fits a mean for each variant."""
        return _Fit.of(trainings, [_indicators([one.variant for one in trainings])])

    @staticmethod
    def crossed(trainings: Sequence[Training]) -> _Fit:
        """Fits variants and seeds that add up."""
        columns = ([one.variant for one in trainings], [one.seed for one in trainings])
        return _Fit.of(trainings, [_indicators(names) for names in columns])

    @staticmethod
    def of(trainings: Sequence[Training], columns: Sequence[Array]) -> _Fit:
        """Fits the columns of a design."""
        values, moved = np.array([one.value for one in trainings]), _deviations(trainings)
        basis = orth(np.concatenate(columns, axis=1))
        shares = 1 - (basis**2).sum(axis=1)

        def residuals(rows: Array) -> Array:
            left = rows - basis @ (basis.T @ rows)
            exact: Array = np.where(np.abs(left) < ROUNDING, 0.0, left)
            return exact

        images = (residuals(moved) ** 2).mean(axis=1) if moved.shape[1] else np.zeros(len(values))
        return _Fit(residuals(values) ** 2, images, np.maximum(shares, 0.0))

    @property
    def freedom(self) -> float:
        """Degrees of freedom of all the residuals."""
        return round(float(self.shares.sum()), 6)

    def component(self, mask: Array | None = None) -> Component:
        """Returns the mean square of some trainings; of all without a mask."""
        chosen = np.ones(len(self.shares), dtype=bool) if mask is None else mask
        freedom = float(self.shares[chosen].sum())
        return Component(
            float(self.squares[chosen].sum()) / freedom, float(self.images[chosen].sum()) / freedom, freedom
        )

    def apart(self, variants: Sequence[str], p: float) -> dict[str, Component]:
        """Returns the variants that spread more than the others by a chance below ``p`` (F test)."""
        found, names = {}, np.array(variants)
        for name in dict.fromkeys(variants):
            own, others = names == name, names != name
            if self.shares[own].sum() < 0.5 or self.shares[others].sum() < 0.5:
                continue
            mine, theirs = self.component(own), self.component(others)
            if theirs.variance <= 0 or mine.variance <= 0:
                continue
            if fdtrc(mine.freedom, theirs.freedom, mine.variance / theirs.variance) < p:
                found[name] = mine
        return found


def _deviations(trainings: Sequence[Training]) -> Array:
    """Returns by how much each training's value moves from resample to resample, [N, R known]."""
    samples = np.stack([one.samples for one in trainings]).astype(np.float64)
    samples = samples[:, np.isfinite(samples).all(axis=0)]
    mean = samples.mean(axis=1, keepdims=True) if samples.shape[1] else 0.0
    moved: Array = samples - mean
    return moved


def _indicators(names: Sequence[object]) -> Array:
    unique = list(dict.fromkeys(names))
    columns: Array = np.eye(len(unique))[[unique.index(name) for name in names]]
    return columns


def _normals(stream: str, resamples: int) -> Array:
    return np.random.default_rng([resamples, *stream.encode()]).normal(size=resamples)
