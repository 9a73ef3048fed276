"""Levels of looks: by hand where one look is alone, by the multivariate normal distribution and by lot where not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import multivariate_normal

from agropest.statistics.alpha_spending import NO_LOOKS, Looks, level_of_look

LOOKS = Looks((2, 3, 5, 8))


def test_one_look_has_the_whole_level() -> None:
    assert NO_LOOKS.level(1.0, 0.5, (2, 2)) == NO_LOOKS.level_at_end(1.0, 0.5, (2, 2)) == 0.05
    assert level_of_look([1.0]) == pytest.approx(0.05)
    assert LOOKS.level(0.0, 0.0, (2, 2)) == 0.05  # nothing varies


def test_a_first_look_has_what_its_information_asks_for() -> None:
    """Nothing but seeds: two of eight are a quarter of the information, 0.05 / 64. Half of it images: 5/8."""
    assert LOOKS.level(1.0, 1.0, (2, 2)) == pytest.approx(0.05 / 64)
    assert LOOKS.level(1.0, 0.5, (2, 2)) == pytest.approx(0.05 * 0.625**3)
    assert LOOKS.level(3.0, 0.0, (2, 2)) == pytest.approx(0.05)  # the images are the same at every look


def test_sides_with_unequal_seeds_have_been_looked_at_with_what_they_had() -> None:
    """Eight seeds against three: 1/8 + 1/3 of a seed's variance, and 2/8 at the end; before, 1/2 + 1/2, 1/3 + 1/3 and
    1/5 + 1/3."""
    expected = level_of_look([0.25, 0.375, 0.25 / (1 / 5 + 1 / 3), 0.25 / (1 / 8 + 1 / 3)])
    assert LOOKS.level(1.0, 1.0, (8, 3)) == pytest.approx(expected)
    assert LOOKS.level(2.0, 4.0, (3, 8)) == pytest.approx(expected)


def test_what_is_spent_until_the_second_look() -> None:
    """Neither of two looks is crossed with a probability of 1 - 0.05 * 0.8^3: by the bivariate normal distribution."""
    looks = [0.3, 0.8]
    bounds = np.array([-ndtri(level_of_look(looks[: n + 1]) / 2) for n in range(2)])
    correlation = (0.3 / 0.8) ** 0.5
    normal = multivariate_normal(cov=[[1, correlation], [correlation, 1]])
    assert normal.cdf(bounds, lower_limit=-bounds) == pytest.approx(1 - 0.05 * 0.512, abs=2e-5)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1])
def test_five_percent_over_all_looks(share: float) -> None:
    """Differences of seeds and images, whatever their shares, of which nothing is true: 5 % are called at some look."""
    random = np.random.default_rng(1)
    of_seeds, images = share, 1 - share  # of two seeds on either side; in all 1
    values = random.normal(size=(100_000, 8)) * np.sqrt(2 * of_seeds)
    common = random.normal(size=100_000) * np.sqrt(images)
    called = np.zeros(len(values), dtype=bool)
    for number in LOOKS.seeds:
        error = np.sqrt(images + 2 * of_seeds / number)
        level = LOOKS.level(error, 2 * of_seeds / number, (number, number))
        called |= np.abs(common + values[:, :number].mean(axis=1)) / error > -ndtri(level / 2)
    assert called.mean() == pytest.approx(0.05, abs=0.002)


def test_the_level_at_the_end_is_that_of_the_last_look() -> None:
    """The same difference with eight seeds: what is 1 of seeds with two is a quarter of that."""
    assert LOOKS.level_at_end(1.0, 1.0, (2, 2)) == pytest.approx(LOOKS.level(0.5, 0.25, (8, 8)))
    assert LOOKS.level(0.5, 0.25, (8, 8)) > LOOKS.level(1.0, 1.0, (2, 2))
    assert LOOKS.growth((2, 3)) == 7.0
    assert NO_LOOKS.growth((2, 3)) == 1.0


def test_looks_that_see_the_same_count_once() -> None:
    assert level_of_look([0.995, 0.999, 1.0]) == pytest.approx(0.05)
