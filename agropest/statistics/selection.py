"""The first of a ranking is first also because it was lucky: its value, corrected for having been chosen.

Andrews, Kitagawa and McCloskey, Inference on Winners (Quarterly Journal of Economics 139, 2024): given that the first
is first, its value is normal, cut off where the next would have been first (conditional inference). Where the next is
near, the conditional interval can be very wide, so it is cut to the one that holds for whichever is first (the hybrid,
with beta = alpha / 10).

The hybrid takes the covariance for known. Where seeds are part of it, it held the truth in 83 to 93 % of some simulated
sweeps; there the interval also holds that of all variants at once, which is right for whichever is first.

Shapes: V variants, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from agropest.statistics.inference import CONFIDENCE, Estimate, Interval, Sampled, critical_value, student_quantile

Array = npt.NDArray[Any]

BETA = (1 - CONFIDENCE) / 10
STEPS = 60  # of the bisection


def of_the_first(sampled: Sequence[Sampled], low: float = -np.inf, high: float = np.inf) -> Estimate:
    """Returns the value of the highest of several and its 95 % interval, less what the choice adds to it.

    Args:
        sampled: of all that were chosen among, on the same resamples.
        low, high: what the metric can be.
    """
    values = np.array([one.value for one in sampled])
    first = int(values.argmax())
    one = sampled[first]
    if not one.is_known or one.spread == 0:
        return Estimate(one.value, None)
    tail = ((1 - CONFIDENCE) - BETA) / (1 - BETA) / 2
    [centre] = _quantiles(values, first, _covariance(sampled, is_wider=False), [0.5])
    middle, least, most = _quantiles(values, first, _covariance(sampled, is_wider=True), [0.5, 1 - tail, tail])
    # How much too high few images make it is itself uncertain, as in ``estimate``.
    bias = abs(one.bias) * student_quantile(one.all_freedom)
    below = middle - one.bias - float(np.hypot(middle - least, bias))
    above = middle - one.bias + float(np.hypot(most - middle, bias))
    if one.of_seeds > 0 or max(one.seeds, default=1) > 1:
        reach = _reach_of_all(sampled, one)
        below, above = min(below, one.value - one.bias - reach), max(above, one.value - one.bias + reach)
    # Of equals near the lowest value even the upper end can lie below anything that the metric can be.
    at, below, above = (float(end) for end in np.clip([centre - one.bias, below, above], low, high))
    return Estimate(at, Interval(below, above))


def _reach_of_all(sampled: Sequence[Sampled], one: Sampled) -> float:
    """Returns how far from its value one of several may be, so that all are within theirs at once with 95 %."""
    drawn = np.stack([each.samples for each in sampled]).astype(np.float64)
    drawn = drawn[:, np.isfinite(drawn).all(axis=0)]
    scale = drawn.std(axis=1, keepdims=True)
    largest = np.abs((drawn - drawn.mean(axis=1, keepdims=True)) / np.where(scale > 0, scale, 1.0)).max(axis=0)
    return critical_value(largest, 1 - CONFIDENCE, one.all_freedom) * float(np.hypot(one.spread, one.bias))


def _quantiles(values: Array, first: int, covariance: Array, wanted: Sequence[float]) -> list[float]:
    """Returns the means under which the first's value, given that it is first, is at these quantiles."""
    sd = float(np.sqrt(covariance[first, first]))
    cuts, value = _cuts(values, covariance[first], first), float(values[first])
    reach = float(-ndtri(BETA / (2 * len(values)))) * sd
    return [_solve(lambda mean: _cut_normal(value, mean, sd, cuts, reach), one, value, reach) for one in wanted]


def _covariance(sampled: Sequence[Sampled], is_wider: bool) -> Array:
    """Returns the covariance of the values, [V, V]; where ``is_wider``, as few degrees of freedom ask for."""
    drawn = np.stack([one.samples for one in sampled]).astype(np.float64)
    drawn = drawn[:, np.isfinite(drawn).all(axis=0)]
    wider = [student_quantile(one.all_freedom) / student_quantile(np.inf) if is_wider else 1.0 for one in sampled]
    spread = np.array([one.spread for one in sampled]) * np.array(wider)
    deviations = drawn - drawn.mean(axis=1, keepdims=True)
    scale = np.sqrt((deviations**2).sum(axis=1, keepdims=True))
    unit = deviations / np.where(scale > 0, scale, 1.0)
    correlation = unit @ unit.T
    np.fill_diagonal(correlation, 1.0)
    covariance: Array = correlation * spread[:, None] * spread
    return covariance


def _cuts(values: Array, covariances: Array, first: int) -> tuple[float, float]:
    """Returns between which values the first would still be first, all that is independent of it being as it is."""
    variance = covariances[first]
    rest = values - covariances / variance * values[first]
    least, most = -np.inf, np.inf
    for i in range(len(values)):
        if i == first:
            continue
        at = variance * rest[i] / (variance - covariances[i]) if covariances[i] != variance else None
        if at is not None and covariances[i] < variance:
            least = max(least, at)
        elif at is not None:
            most = min(most, at)
    return float(least), float(most)


def _cut_normal(value: float, mean: float, sd: float, cuts: tuple[float, float], reach: float) -> float:
    """Returns the probability of at most ``value`` for a normal one between the cuts and within reach of its mean."""
    low, high = max(cuts[0], mean - reach), min(cuts[1], mean + reach)
    if value <= low:
        return 0.0
    if value >= high:
        return 1.0
    edges = (np.array([value, low, high]) - mean) / sd
    # In the tail on either side the differences of small numbers are exact, those of numbers near 1 are not.
    at, least, most = ndtr(edges) if edges[1] < 0 else -ndtr(-edges)
    return float((at - least) / (most - least)) if most > least else 0.5


def _solve(probability: Callable[[float], float], wanted: float, value: float, reach: float) -> float:
    """Returns the mean at which the probability, which falls with it, is as wanted."""
    least, most = value - reach, value + reach
    for _ in range(STEPS):
        middle = (least + most) / 2
        least, most = (middle, most) if probability(middle) > wanted else (least, middle)
    return (least + most) / 2
