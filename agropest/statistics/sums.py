"""Weighted sums of variants, each the mean over its seeds: a mean, a difference, a contrast of several.

Shapes: S seeds, R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from agropest.statistics.bootstrap import Replicates, over_seeds, variance_of_seed
from agropest.statistics.inference import Sampled, freedom_over_seeds

Array = npt.NDArray[Any]


def mean_over_seeds(replicates: Sequence[Replicates], metric: str) -> Sampled | None:
    """Returns the mean over the seeds of a variant; None without one, or without ground truth."""
    return weighted_sum([(replicates, 1.0)], metric, paired=False)


def minus(one: Sequence[Replicates], other: Sequence[Replicates], metric: str, paired: bool) -> Sampled | None:
    """Returns the first less the second; of equal seeds seed by seed (``paired``)."""
    return weighted_sum([(one, 1.0), (other, -1.0)], metric, paired)


def weighted_sum(parts: Sequence[tuple[Sequence[Replicates], float]], metric: str, paired: bool) -> Sampled | None:
    """Returns the sum of variants, each the mean over its seeds times its weight, drawn together where ``paired``.

    Where some have several seeds and others one, those have the spread of seeds that the several show.

    Args:
        parts: the replicates of a variant, one for each seed, and its weight.
        paired: whether all have the same seeds, in the same order.
    """
    values, samples, bias = [], [], 0.0
    sources = min((one.sources(metric) for replicates, _ in parts for one in replicates), default=0)
    for replicates, weight in parts:
        drawn = [one.of(metric) for one in replicates]
        known = [value for value, _ in drawn if value is not None]
        if not drawn or len(known) < len(drawn):
            return None
        values.append(weight * np.array(known))
        samples.append(weight * np.stack([each for _, each in drawn]))
        if len(parts) == 1:  # what two variants share cancels, and what is left is noise
            bias = weight * float(np.mean([one.bias(metric) for one in replicates]))
    weights = np.array([weight for _, weight in parts])
    if paired:
        values, samples, weights = [np.sum(values, axis=0)], [np.sum(samples, axis=0)], np.ones(1)
    lent, with_images = _variances_lent(values, samples, weights)
    # Names of streams: the two sides of a difference have seeds of their own.
    sides = enumerate(zip(values, samples, lent, strict=True))
    drawn_seeds = [over_seeds(own, own_samples, f"part {n}", spare) for n, (own, own_samples, spare) in sides]
    total = np.sum(drawn_seeds, axis=0)
    freedom = freedom_over_seeds(values, total, float(with_images.sum()))
    return Sampled(float(sum(one.mean() for one in values)), total, bias, freedom, sources)


def _variances_lent(values: Sequence[Array], samples: Sequence[Array], weights: Array) -> tuple[Array, Array]:
    """Returns the variance of a seed lent to each summand that has one seed only; 0 for others, or where all have one.

    Twice: what the seeds do alone, and with what images make of their difference, by which its freedom is judged.

    Args:
        values: of each summand, times its weight, [S].
        samples: likewise, [S, R].
    """
    freedom = np.array([len(own) - 1 for own in values])
    if not freedom.any():
        return np.zeros(len(values)), np.zeros(len(values))
    several = np.flatnonzero(freedom).tolist()
    alone = sum(freedom[i] * variance_of_seed(values[i], samples[i]) / weights[i] ** 2 for i in several)
    whole = sum(freedom[i] * values[i].var(ddof=1) / weights[i] ** 2 for i in several)
    share = np.where(freedom == 0, weights**2, 0.0) / freedom.sum()
    return max(float(alone), 0.0) * share, float(whole) * share
