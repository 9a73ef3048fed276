"""Means and differences over seeds, by hand and against simulated trainings."""

from __future__ import annotations

import numpy as np
import pytest

from agropest.statistics.bootstrap import Replicates
from agropest.statistics.inference import INCONCLUSIVE, compare
from agropest.statistics.metric import BASES, F1_DEPLOYED
from agropest.statistics.sums import minus, weighted_sum


def replicates(value: float, samples: np.ndarray | None = None) -> Replicates:
    """Of one seed; without samples, no image moves it."""
    drawn = np.full(20_000, value) if samples is None else samples
    counts = (("x",), 546, np.array([546]))
    return Replicates(BASES[F1_DEPLOYED], np.array([value]), drawn[None], np.full((1, 64), value), *counts)


BASE = [replicates(value) for value in (40.0, 41.0, 43.0)]  # the variance of a seed: 7/3


def test_one_seed_has_the_spread_that_the_others_show() -> None:
    """Variance of one seed less a mean of three: 7/3 (1 + 1/3) = 28/9, estimated with two degrees of freedom."""
    found = minus([replicates(50.0)], BASE, F1_DEPLOYED, paired=False)
    assert found is not None
    assert found.value == pytest.approx(50 - 124 / 3)
    assert found.samples.std() == pytest.approx((28 / 9) ** 0.5, rel=0.03)
    assert found.freedom == pytest.approx(2, rel=0.03)
    turned = minus(BASE, [replicates(50.0)], F1_DEPLOYED, paired=False)
    assert turned is not None
    assert turned.samples.std() == pytest.approx((28 / 9) ** 0.5, rel=0.03)


def test_a_weight_scales_what_is_lent() -> None:
    """Half of one seed less half of three: a quarter of the variance."""
    found = weighted_sum([([replicates(50.0)], 0.5), (BASE, -0.5)], F1_DEPLOYED, paired=False)
    assert found is not None
    assert found.samples.std() == pytest.approx((7 / 9) ** 0.5, rel=0.03)


def test_where_everybody_has_one_seed_nothing_is_known_of_seeds() -> None:
    found = minus([replicates(50.0)], [replicates(40.0)], F1_DEPLOYED, paired=True)
    assert found is not None
    assert (found.samples.std(), found.freedom) == (0.0, np.inf)


def test_one_seed_against_three_is_seldom_called_different_by_chance() -> None:
    """Equal variants, seeds with a standard deviation of 2: without what is lent, 15.6 % are called different."""
    random = np.random.default_rng(1)
    sets, resamples, wrong = 400, 300, 0
    for _ in range(sets):
        images, own = random.normal(0, 1.2), random.normal(0, 1.0)  # of both, and of the variant alone
        drawn, own_drawn = random.normal(0, 1.2, resamples), random.normal(0, 1.0, resamples)
        one = 50 + images + own + random.normal(0, 2)
        others = 50 + images + random.normal(0, 2, 3)
        variant = [replicates(one, one + drawn + own_drawn)]
        sampled = minus(variant, [replicates(value, value + drawn) for value in others], F1_DEPLOYED, paired=False)
        assert sampled is not None
        wrong += compare([sampled])[0].verdict != INCONCLUSIVE
    assert wrong / sets < 0.08
