"""Evaluations of the same trainings: what a seed does to a training, it does to all of its evaluations.

In a sum of variants, those that evaluate the same trainings count together: in the difference of two evaluations of one
training its noise cancels, and in their mean it is there once, as in either of them. What does not cancel is what a
seed does to one evaluation more than to another (test-time augmentation gains more on some trainings than on others).
With several seeds the differences, training by training, show how much that is; with one, nothing does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from agropest.statistics.trainings import Training

Part = tuple[Sequence[Training], float]

DIGITS = 9  # to which weights are compared


@dataclass(frozen=True)
class Share:
    """What trainings of one variant count in a sum, each as much as the others.

    Attributes:
        variant: what was trained.
        seeds: of the trainings.
        weight: of their mean.
        number: tells several shares of one variant apart, from 0.
    """

    variant: str
    seeds: tuple[int, ...]
    weight: float
    number: int = 0


def shares(parts: Sequence[Part]) -> list[Share]:
    """Returns how often the noise of each training is in a sum; without those in which it cancels."""
    by_training: dict[str, dict[int, float]] = {}
    for trainings, weight in parts:
        for one in trainings:
            its = by_training.setdefault(one.variant, {})
            its[one.seed] = its.get(one.seed, 0.0) + weight / len(trainings)
    found = []
    for variant, weights in by_training.items():
        alike: dict[float, list[int]] = {}
        for seed, weight in weights.items():
            alike.setdefault(round(weight, DIGITS), []).append(seed)
        kept = [seeds for weight, seeds in alike.items() if weight]
        found += [Share(variant, tuple(its), sum(weights[s] for s in its), i) for i, its in enumerate(kept)]
    return found


def contrasts(parts: Sequence[Part]) -> list[Training]:
    """Returns, of a sum in which every training's noise cancels, what is left of each training.

    The names are unlike those of any other sum, so that nothing is drawn alike for two of them: evaluations that a seed
    moves in ways of their own would else be taken for one.
    """
    by_training: dict[str, dict[int, list[tuple[Training, float]]]] = {}
    for trainings, weight in parts:
        for one in trainings:
            its = by_training.setdefault(one.variant, {}).setdefault(one.seed, [])
            its.append((one, weight / len(trainings)))
    found: list[Training] = []
    for by_seed in by_training.values():
        sums = [_weighted(by_seed[seed], len(by_seed)) for seed in sorted(by_seed)]
        name = f"{sums[0].variant} {[one.value for one in sums]}"
        found += [replace(one, variant=name) for one in sums]
    return found


def _weighted(evaluations: Sequence[tuple[Training, float]], factor: int) -> Training:
    """Returns a weighted sum of evaluations of one training, times a factor."""
    first, _ = evaluations[0]
    value = factor * sum(weight * one.value for one, weight in evaluations)
    samples = factor * np.asarray(sum(weight * one.samples for one, weight in evaluations))
    return Training(first.variant, first.seed, value, samples, 0.0, min(one.sources for one, _ in evaluations))
