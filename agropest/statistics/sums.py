"""Weighted sums of variants, each the mean over its seeds: a mean, a difference, a contrast of several.

The error of a sum has two parts: other images, which the resamples show (rare classes less than they should, see
:mod:`agropest.statistics.rare_classes`), and other seeds (:mod:`agropest.statistics.seed_noise`), of which variants
that evaluate the same trainings have the same (:mod:`agropest.statistics.same_trainings`).

Shapes: K classes, R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from agropest.statistics.inference import Sampled, freedom_of_parts
from agropest.statistics.rare_classes import RARE_SOURCES, class_variances, filled, no_less_than_seen
from agropest.statistics.same_trainings import Part, contrasts, shares
from agropest.statistics.seed_noise import NO_SEEDS, SeedNoise, seed_noise
from agropest.statistics.trainings import Training

Array = npt.NDArray[Any]


def mean_over_seeds(trainings: Sequence[Training], noise: SeedNoise | None) -> Sampled | None:
    """Returns the mean over the seeds of a variant; None without one."""
    return weighted_sum([(trainings, 1.0)], noise)


def minus(one: Sequence[Training], other: Sequence[Training], noise: SeedNoise | None) -> Sampled | None:
    """Returns the first less the second."""
    return weighted_sum([(one, 1.0), (other, -1.0)], noise)


def weighted_sum(parts: Sequence[Part], noise: SeedNoise | None) -> Sampled | None:
    """Returns the sum of variants, each the mean over its seeds times its weight; None where one has no training.

    Args:
        parts: the trainings of a variant, one for each seed, and its weight.
        noise: what a seed does; None where nothing is known of that: the error is then of images only.
    """
    if not all(trainings for trainings, _ in parts):
        return None
    value = sum(weight * float(np.mean([one.value for one in trainings])) for trainings, weight in parts)
    samples, extra, of_classes = _over_images(parts)
    # In a difference the biases cancel, and what is left of them is noise.
    bias = parts[0][1] * float(np.mean([one.bias for one in parts[0][0]])) if len(parts) == 1 else 0.0
    sources = min(one.sources for trainings, _ in parts for one in trainings)
    its_shares = shares(parts)
    is_within = noise is not NO_SEEDS and not its_shares
    if is_within:  # the trainings' own noise cancels, whatever is known of it
        left = contrasts(parts)
        its_shares, noise = shares(_by_variant(left)), seed_noise(left)
    found = Sampled(value, samples, bias, _freedom(samples, extra, of_classes), sources, extra, is_within=is_within)
    if noise is None:
        return replace(found, knows_seeds=False)
    drawn = sum((one.weight * noise.draw(one, len(samples)) for one in its_shares), np.zeros(len(samples)))
    total: Array = samples + drawn
    freedom = _freedom(total, extra, [*of_classes, *noise.parts(its_shares)])
    of_seeds, numbers = float(np.var(drawn)), tuple(len(trainings) for trainings, _ in parts)
    averages_out = max(noise.averages_out(its_shares), of_seeds)
    return replace(found, samples=total, freedom=freedom, of_seeds=of_seeds, seeds=numbers, averages_out=averages_out)


def _by_variant(trainings: Sequence[Training]) -> list[Part]:
    """Returns the mean of each variant's trainings, as parts of a sum."""
    names = dict.fromkeys(one.variant for one in trainings)
    return [([one for one in trainings if one.variant == name], 1.0) for name in names]


def _over_images(parts: Sequence[Part]) -> tuple[Array, float, list[tuple[float, float]]]:
    """Returns the sum on every resample of the images, [R], the variance that these do not show, and its parts.

    Of a mean over classes some of which are rare; of anything else there are no parts.
    """
    first = parts[0][0][0].classes
    plain = np.asarray(sum(weight * np.mean([one.samples for one in group], axis=0) for group, weight in parts))
    if first is None or not ((first.sources > 0) & (first.sources < RARE_SOURCES)).any():
        return plain, 0.0, []
    by_class = np.zeros(first.samples.shape)
    for group, weight in parts:
        by_class += weight * np.mean([one.classes.samples for one in group if one.classes], axis=0)
    there = np.isfinite(first.values) & np.isfinite(by_class).any(axis=1)
    if not there.any():
        return plain, 0.0, []
    by_class, sources, number = by_class[there], first.sources[there], int(there.sum())
    variances, freedom = class_variances(by_class, sources)
    if abs(sum(weight for _, weight in parts)) < 1e-9:  # a difference: nothing, were the variants equal
        values = sum(
            weight * np.mean([one.classes.values for one in group if one.classes], axis=0) for group, weight in parts
        )
        variances = no_less_than_seen(variances, np.asarray(values)[there], sources)
    whole = filled(by_class)
    hidden = float(np.maximum(variances - whole.var(axis=1, ddof=1), 0.0).sum()) / number**2
    of_classes = [(float(v) / number**2, float(f)) for v, f in zip(variances, freedom, strict=True) if v > 0]
    return whole.mean(axis=0), hidden, of_classes


def _freedom(samples: Array, extra: float, parts: Sequence[tuple[float, float]]) -> float:
    known = samples[np.isfinite(samples)]
    whole = float(known.var(ddof=1)) if len(known) > 1 else 0.0
    return freedom_of_parts(whole + extra, parts)
