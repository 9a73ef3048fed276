"""From replicates to what may be said: intervals, p values corrected for many comparisons, verdicts, ties.

Westfall and Young, Resampling-Based Multiple Testing (1993), algorithm 2.8 (step-down max-T).
Hsu, Multiple Comparisons (1996), chapter 4 (comparisons with the best).

Shapes: C comparisons, R resamples. Values in percent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from agropest.statistics.alpha_spending import NO_LOOKS, Looks

Array = npt.NDArray[Any]

CONFIDENCE = 0.95
POWER = 0.80
# Sums of equal values in another order differ by less; no difference of AP that means anything does.
ROUNDING = 1e-9
BETTER, WORSE, INCONCLUSIVE = "better", "worse", "inconclusive"
# The interval holds no difference that the user cares about.
ALIKE = "no difference that matters"
# One training of a variant says nothing about the next one, however many images it was evaluated on.
UNKNOWN = "unknown (one seed)"
# What did not end on purpose was not trained as it was meant to be.
UNFINISHED = "no verdict (not ended)"
# Of checkpoints, whose images are all the chance there is.
HIGHER, LOWER = "scores higher", "scores lower"
# Of two evaluations of one training with one seed: of another training nothing is said.
HIGHER_HERE, LOWER_HERE = f"{HIGHER} on this training", f"{LOWER} on this training"


@dataclass(frozen=True)
class Interval:
    """From ``low`` to ``high``."""

    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A value, and where it lies with 95 % confidence; None where there is no ground truth, or no resample to tell."""

    value: float | None
    interval: Interval | None


@dataclass(frozen=True)
class Difference:
    """A paired difference to the baseline.

    Attributes:
        value: positive: better than the baseline.
        interval: 95 %, of this comparison alone.
        p: two-sided, of this comparison alone.
        p_adjusted: corrected for all comparisons of the table (step-down max-T).
        verdict: ``BETTER`` or ``WORSE`` where ``p_adjusted`` is below 0.05, else ``INCONCLUSIVE``; ``UNKNOWN`` where
            nothing is known of what a seed does: the interval and p are then of these checkpoints. ``HIGHER_HERE``,
            ``LOWER_HERE`` or ``INCONCLUSIVE`` of evaluations of one training, of which the interval and p then are.
        detectable: the smallest true difference that this comparison would have called with 80 % probability; None
            where there are too few sources to call any, or nothing that varies.
        on_images: ``HIGHER`` or ``LOWER`` where ``p_adjusted`` is below 0.05: what is true of the checkpoints in any
            case; else empty.
        error: the standard error.
        seeds_share: of the squared standard error, what is the seeds'; the rest is the images'.
        averaged_share: of the squared standard error, what more seeds take away: besides the seeds' part what these
            images happen to show of single trainings.
        critical: how many standard errors away from 0 it is called.
        critical_at_end: the same once every variant has the most seeds.
        is_within: both evaluate the same trainings, whose noise cancels.
        knows_seeds: whether it is about variants; else it is about the trainings, or checkpoints, that were evaluated.
    """

    value: float
    interval: Interval
    p: float
    p_adjusted: float
    verdict: str
    detectable: float | None
    on_images: str = ""
    error: float = 0.0
    seeds_share: float = 0.0
    critical: float = 0.0
    critical_at_end: float = 0.0
    is_within: bool = False
    knows_seeds: bool = True
    averaged_share: float = 0.0


@dataclass(frozen=True)
class Sampled:
    """A value with its replicates.

    Attributes:
        value: of the images as they are.
        samples: on every resample, [R]; NaN where it has no ground truth.
        bias: by how much ``value`` is expected to be too high; 0 for a difference.
        freedom: degrees of freedom of its standard error, as far as seeds go; small where it rests on few of them.
        sources: the sample behind it: images (or groups of copies of one); of a class, those that hold it.
        hidden: variance that the resamples do not show: of classes in few images.
        of_seeds: variance of the samples that is the seeds'.
        knows_seeds: whether anything is known of what another seed does; else the error is of images only, and the
            value that of these checkpoints.
        seeds: how many of each variant in it.
        is_within: it is of evaluations of the same trainings, whose noise cancels.
        averages_out: variance that more seeds take away, on the same images.
    """

    value: float
    samples: Array
    bias: float = 0.0
    freedom: float = np.inf
    sources: float = np.inf
    hidden: float = 0.0
    of_seeds: float = 0.0
    knows_seeds: bool = True
    seeds: tuple[int, ...] = ()
    is_within: bool = False
    averages_out: float = 0.0

    @cached_property
    def is_known(self) -> bool:
        """Whether there are resamples, and of more than one source, to tell how far the value would move."""
        return self.sources > 1 and int(np.isfinite(self.samples).sum()) > 1

    @cached_property
    def spread(self) -> float:
        """Standard error of the value; 0 where it is not known.

        Drawing n of n sources shows (n - 1) / n of the variance.
        """
        if not self.is_known:
            return 0.0
        missed = self.sources / (self.sources - 1) if np.isfinite(self.sources) else 1.0
        shown = float(self.samples[np.isfinite(self.samples)].var(ddof=1)) * missed
        found = float(np.sqrt(shown + self.hidden))
        return found if found > ROUNDING else 0.0

    @property
    def all_freedom(self) -> float:
        """Degrees of freedom of the standard error: few seeds or few sources limit them."""
        return max(min(self.freedom, self.sources - 1), 1.0)

    @property
    def smallest_p(self) -> float:
        """The p value of a sign test where all sources agree: 2 in 2^G."""
        return float(min(2.0 ** (1 - self.sources), 1.0))

    @property
    def can_tell(self) -> bool:
        """Whether there are enough sources, six, to establish anything."""
        return self.smallest_p < 1 - CONFIDENCE


def estimate(sampled: Sampled | None, low: float = -np.inf, high: float = np.inf) -> Estimate:
    """Returns a value with its 95 % interval: 1.96 standard errors to either side of the value less its bias.

    AP of few images is too high, because the best precision behind each recall is read; the percentiles of the
    bootstrap have that twice. How much too high is itself uncertain, so its square is added to that of the standard
    error. Simulated coverage: benchmarks/simulate_coverage.py and docs/ranking.md. In a difference the biases cancel.

    So few sources that no sign test of them says anything may all agree, and still be all of one kind: the interval
    then holds, too, what a share of the others as large as may be unseen would make of the value, were they all at
    ``low`` or ``high`` (Clopper and Pearson 1934: all of G agree where at least 0.025^(1/G) of the sources do).

    Args:
        low, high: what the metric can be; the interval is cut to it.
    """
    if sampled is None:
        return Estimate(None, None)
    if not sampled.is_known:
        return Estimate(sampled.value, None)
    half = student_quantile(sampled.all_freedom) * float(np.hypot(sampled.spread, sampled.bias))
    centre = min(max(sampled.value - sampled.bias, low), high)
    least, most = centre - half, centre + half
    if not sampled.can_tell and np.isfinite(high - low):
        agree = ((1 - CONFIDENCE) / 2) ** (1 / sampled.sources)
        least = min(least, agree * sampled.value + (1 - agree) * low)
        most = max(most, agree * sampled.value + (1 - agree) * high)
    return Estimate(sampled.value, Interval(max(least, low), min(most, high)))


def freedom_of_parts(whole: float, parts: Sequence[tuple[float, float]]) -> float:
    """Returns the degrees of freedom of a variance that is partly estimated from few values (Welch and Satterthwaite).

    Values that happen to agree would be taken for many: with two seeds that spread more than the images do, the plain
    formula misses one true difference in ten. A part with f degrees of freedom counts (f + 4) / f times here: with
    normal errors a 95 % interval then holds 93 to 99 % for two seeds and 95 to 99 % for more, whatever the spread.

    Args:
        whole: the variance.
        parts: those of its parts that rest on few values, each with its own degrees of freedom.
    """
    whole += sum(variance * 4 / freedom for variance, freedom in parts)
    of_seeds = sum((variance * (freedom + 4) / freedom) ** 2 / freedom for variance, freedom in parts)
    if of_seeds <= 0 or whole <= 0:
        return np.inf
    return float(max(whole**2 / of_seeds, min(freedom for _, freedom in parts)))


def student_quantile(freedom: float) -> float:
    """Returns how many standard errors 95 % lie within (Student's t; 1.96 without a limit)."""
    tail = (1 + CONFIDENCE) / 2
    return float(ndtri(tail) if np.isinf(freedom) else stdtrit(freedom, tail))


def compare(
    differences: Sequence[Sampled], farthest: float = 100.0, looks: Looks = NO_LOOKS, indifference: float = 0.0
) -> list[Difference]:
    """Returns the differences of one table, judged together; each must be known (:attr:`Sampled.is_known`).

    A difference that is the same on every resample has no standard error; its p value is :attr:`Sampled.smallest_p`.

    Args:
        farthest: that a difference can be; intervals are cut to it.
        looks: at which the table is judged while seeds are added: each difference has the level of its look.
        indifference: differences that are smaller do not matter; 0: all do.
    """
    if not differences:
        return []
    null, spread = _noise(differences)
    centre = np.array([one.value for one in differences])
    freedom = np.array([one.all_freedom for one in differences])
    beyond = np.where(np.abs(centre) < ROUNDING, 0.0, np.inf)
    t = np.where(spread > 0, np.abs(centre) / np.where(spread > 0, spread, 1.0), beyond)
    p = np.where(np.isinf(freedom), 2 * ndtr(-t), 2 * stdtr(np.where(np.isinf(freedom), 1.0, freedom), -t))
    p = np.maximum(p, np.array([one.smallest_p for one in differences]))
    equivalent = np.where(p > 0, -ndtri(np.maximum(p, 1e-300) / 2), 38.0)  # the same p, as of a normal statistic
    null = np.abs(null)
    largest = null.max(axis=0)
    level = np.array([looks.level(one.spread, one.averages_out, one.seeds) for one in differences])
    adjusted = np.minimum(np.maximum(_step_down(null, equivalent), p) * (1 - CONFIDENCE) / level, 1.0)
    found = []
    for i, one in enumerate(differences):
        interval = estimate(one, -farthest, farthest).interval
        now = critical_value(largest, float(level[i]), one.all_freedom)
        at_end = looks.level_at_end(one.spread, one.averages_out, one.seeds)
        freedom_at_end = max(min(one.freedom * looks.growth(one.seeds), one.sources - 1), 1.0)
        critical = now, critical_value(largest, at_end, freedom_at_end)
        difference = _judged(one, (float(p[i]), float(adjusted[i])), critical, interval)
        half = float(-ndtri(level[i] / 2)) * student_quantile(one.all_freedom) / student_quantile(np.inf) * one.spread
        may_call = difference.verdict == INCONCLUSIVE and one.knows_seeds and one.can_tell
        if may_call and 0 < abs(one.value) + half < indifference:
            difference = replace(difference, verdict=ALIKE)
        found.append(difference)
    return found


def critical_value(largest: Array, level: float, freedom: float, sides: int = 2) -> float:
    """Returns beyond how many standard errors the largest of several differences is by chance at this level.

    Args:
        largest: of all on every resample, in standard errors.
        freedom: of the standard error.
        sides: 1: only in one direction.
    """
    wider = 1.0 if np.isinf(freedom) else float(stdtrit(freedom, level / 2) / ndtri(level / 2))
    return max(float(np.quantile(largest, 1 - level)), float(-ndtri(level / sides))) * wider


def _judged(
    one: Sampled, ps: tuple[float, float], critical: tuple[float, float], interval: Interval | None
) -> Difference:
    on_images = "" if ps[1] >= 1 - CONFIDENCE else HIGHER if one.value > 0 else LOWER
    verdict = UNKNOWN
    if one.knows_seeds:
        verdict = {HIGHER: BETTER, LOWER: WORSE, "": INCONCLUSIVE}[on_images]
    elif one.is_within:
        verdict = {HIGHER: HIGHER_HERE, LOWER: LOWER_HERE, "": INCONCLUSIVE}[on_images]
    can_call = one.can_tell and verdict != UNKNOWN and one.spread > 0
    detectable = float((critical[0] + ndtri(POWER)) * one.spread) if can_call else None
    whole = one.spread**2 or np.inf
    interval = interval or Interval(one.value, one.value)
    seeds_share, averaged_share = min(one.of_seeds / whole, 1.0), min(one.averages_out / whole, 1.0)
    return Difference(
        one.value,
        interval,
        *ps,
        verdict,
        detectable,
        on_images,
        one.spread,
        seeds_share,
        *critical,
        one.is_within,
        one.knows_seeds,
        averaged_share,
    )


def _noise(sampled: Sequence[Sampled]) -> tuple[Array, Array]:
    """Returns replicates around their mean in standard errors, [C, R], and the standard errors, [C]."""
    drawn = np.stack([one.samples for one in sampled])
    drawn = drawn[:, np.isfinite(drawn).all(axis=0)]
    if drawn.shape[1] < 2:  # e.g. two rare classes that are never drawn together
        drawn = np.zeros((len(sampled), 2))
    noise = drawn - drawn.mean(axis=1, keepdims=True)
    spread = np.array([one.spread for one in sampled])
    return noise / np.where(spread > 0, spread, 1.0)[:, None], spread


def _step_down(null: Array, t: Array) -> Array:
    """Returns p values adjusted so that a false verdict anywhere in the table has a probability of at most 5 %."""
    order = np.argsort(-t, kind="stable")
    # Largest of this and all smaller statistics, resample by resample.
    largest = np.maximum.accumulate(null[order][::-1], axis=0)[::-1]
    share = (1 + (largest >= t[order][:, None]).sum(axis=1)) / (null.shape[1] + 1)
    adjusted = np.empty_like(t)
    adjusted[order] = np.maximum.accumulate(share)
    return adjusted


def ties(behind: Sequence[Sampled], looks: Looks = NO_LOOKS) -> list[bool]:
    """Returns which of several are not distinguishable from the one with the highest value (itself included).

    The true best is among them with 95 % probability, whichever it is. So few sources that they establish no
    difference distinguish nobody, and neither does one seed of which nobody knows what another would do.

    Args:
        behind: by how much each is below the highest.
        looks: as for :func:`compare`.
    """
    if not behind:
        return []
    null, spread = _noise(behind)
    largest = null.max(axis=0)
    levels = [looks.level(one.spread, one.averages_out, one.seeds) for one in behind]
    critical = [critical_value(largest, level, one.all_freedom, 1) for level, one in zip(levels, behind, strict=True)]
    return [
        not one.is_known or not one.can_tell or not one.knows_seeds or bool(one.value <= critical[i] * spread[i])
        for i, one in enumerate(behind)
    ]
