"""Means and differences over seeds, by hand and against simulated trainings."""

from __future__ import annotations

import numpy as np
import pytest

from agropest.statistics.inference import UNKNOWN, compare
from agropest.statistics.seed_noise import seed_noise
from agropest.statistics.sums import mean_over_seeds, minus, weighted_sum
from agropest.statistics.trainings import ClassValues, Training


def training(variant: str, seed: int, value: float, samples: np.ndarray | None = None) -> Training:
    """Without samples, no image moves it."""
    return Training(variant, seed, value, np.full(20_000, value) if samples is None else samples, sources=546)


BASE = [training("base", seed, value) for seed, value in enumerate((40.0, 41.0, 43.0))]  # the variance of a seed: 7/3
ONE = [training("one", 9, 50.0)]


def test_one_seed_has_the_spread_that_the_others_show() -> None:
    """Variance of one seed less a mean of three: 7/3 (1 + 1/3) = 28/9, estimated with two degrees of freedom."""
    noise = seed_noise([*ONE, *BASE])
    found = minus(ONE, BASE, noise)
    assert found is not None
    assert found.value == pytest.approx(50 - 124 / 3)
    assert found.samples.std() == pytest.approx((28 / 9) ** 0.5, rel=0.03)
    assert found.of_seeds == pytest.approx(28 / 9, rel=0.05)
    assert found.freedom == pytest.approx(2, rel=0.03)
    turned = minus(BASE, ONE, noise)
    assert turned is not None
    assert turned.samples.std() == pytest.approx((28 / 9) ** 0.5, rel=0.03)


def test_a_weight_scales_what_a_seed_does() -> None:
    """Half of one seed less half of three: a quarter of the variance."""
    found = weighted_sum([(ONE, 0.5), (BASE, -0.5)], seed_noise(BASE))
    assert found is not None
    assert found.samples.std() == pytest.approx((7 / 9) ** 0.5, rel=0.03)


def test_the_mean_of_three_has_a_third_of_the_variance() -> None:
    found = mean_over_seeds(BASE, seed_noise(BASE))
    assert found is not None
    assert found.samples.std() == pytest.approx((7 / 9) ** 0.5, rel=0.03)
    assert mean_over_seeds([], None) is None


def test_where_everybody_has_one_seed_nothing_is_known_of_seeds() -> None:
    other = [training("other", 9, 40.0)]
    found = minus(ONE, other, seed_noise([*ONE, *other]))
    assert found is not None
    assert (found.samples.std(), found.freedom, found.knows_seeds) == (0.0, np.inf, False)
    assert compare([found])[0].verdict == UNKNOWN


def of_classes(values: list[float], sources: list[int], samples: np.ndarray) -> Training:
    classes = ClassValues(np.array(values), samples, np.array(sources))
    return Training("a", 1, float(np.mean(values)), samples.mean(axis=0), sources=100, classes=classes)


def test_a_class_of_one_image_is_as_uncertain_as_an_image_of_the_others() -> None:
    """Two classes of 40 images whose value has variance 4, so one image 160; the third class is in one image: 160."""
    random = np.random.default_rng(0)
    samples = np.stack([50 + 2 * random.normal(size=20_000), 60 + 2 * random.normal(size=20_000), np.full(20_000, 0.0)])
    samples[2, ::3] = np.nan  # that image was not drawn
    found = mean_over_seeds([of_classes([50.0, 60.0, 0.0], [40, 40, 1], samples)], None)
    assert found is not None
    # A class of 40: 40 / 39 of the variance shown. The mean of three: a ninth of the sum.
    assert found.samples.var() == pytest.approx(8 / 9, rel=0.03)
    assert found.hidden == pytest.approx((160 * 40 / 39 + 8 / 39) / 9, rel=0.03)
    assert found.freedom == pytest.approx(4, rel=0.2)  # that one image counts for nearly all of it


def test_common_classes_are_taken_as_they_are() -> None:
    samples = np.random.default_rng(0).normal(50, 2, (2, 1000))
    found = mean_over_seeds([of_classes([50.0, 50.0], [40, 30], samples)], None)
    assert found is not None
    np.testing.assert_array_equal(found.samples, samples.mean(axis=0))
    assert (found.hidden, found.freedom) == (0.0, np.inf)
