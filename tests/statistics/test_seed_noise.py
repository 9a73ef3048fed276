"""What a seed does, by hand and against simulated trainings."""

from __future__ import annotations

import numpy as np
import pytest

from agropest.statistics.inference import estimate
from agropest.statistics.same_trainings import Share
from agropest.statistics.seed_noise import seed_noise
from agropest.statistics.sums import mean_over_seeds, minus
from agropest.statistics.trainings import Training

STILL = np.zeros(2000)


def training(variant: str, seed: int, value: float, moved: np.ndarray = STILL) -> Training:
    return Training(variant, seed, value, value + moved, sources=500)


def table(**values: list[float]) -> list[Training]:
    return [training(name, seed, value) for name, row in values.items() for seed, value in enumerate(row)]


def test_nothing_is_known_where_every_variant_has_one_seed() -> None:
    assert seed_noise(table(a=[40.0], b=[41.0])) is None
    assert seed_noise([]) is None


def test_the_spread_within_variants_is_pooled() -> None:
    """Squares 2 of a and 8 of b, one degree each: 5 with two; the residuals have too few to be used. c has nothing."""
    noise = seed_noise(table(a=[40.0, 42.0], b=[50.0, 54.0], c=[9.0]), "here")
    assert noise is not None
    assert (noise.own.variance, noise.common.variance) == (pytest.approx(5.0), 0.0)
    assert noise.own.freedom == pytest.approx(2.0)
    assert (noise.sd, noise.source, noise.num_trainings, noise.num_variants) == (pytest.approx(5**0.5), "here", 4, 2)


def test_what_a_seed_does_to_all_alike_is_separated() -> None:
    """Additive but for one cell of 3 x 3: that is 3 off, so the residuals have 9 (1 - 5/9) = 4, with 4 degrees: 1."""
    rows = {"a": [10.0, 14.0, 18.0], "b": [20.0, 24.0, 28.0], "c": [30.0, 34.0, 38.0 + 3]}
    noise = seed_noise(table(**rows))
    assert noise is not None
    assert (noise.own.variance, noise.own.freedom) == (pytest.approx(1.0), 4)
    # Within: 32, 32 and 10 + 30.25 + ... by hand: c has mean 35, squares 25 + 1 + 36 = 62; over 6 degrees: 21.
    assert noise.total.variance == pytest.approx(126 / 6)
    assert (noise.common.variance, noise.common.freedom) == (pytest.approx(20.0), 2)
    # MS(seeds) / 3 = 21 - 2/3 with 2 degrees, 2/3 with 4.
    assert noise.total.freedom == pytest.approx(21**2 / ((21 - 2 / 3) ** 2 / 2 + (2 / 3) ** 2 / 4))


def test_where_seeds_were_added_to_some_only_both_mean_squares_are_pooled_unless_they_differ() -> None:
    """Within: 5 + 5 + 0.5 + 0.5 = 11 over 3 + 3 + 1 + 1 degrees. What is alike in a and b is told apart."""
    apart = seed_noise(table(a=[1.0, 2.0, 3.0, 4.0], b=[4.0, 3.0, 2.0, 1.0], c=[5.0, 6.0], d=[6.0, 5.0]))
    assert apart is not None
    assert (apart.own.variance, apart.own.freedom) == (pytest.approx(11 / 8), 8)
    assert (apart.common.variance, apart.total) == (0.0, apart.own)
    alike = seed_noise(table(a=[1.0, 2.0, 3.0, 4.0], b=[1.1, 2.0, 2.9, 4.0], c=[5.0, 6.1], d=[6.0, 6.9]))
    assert alike is not None
    assert alike.own.freedom == pytest.approx(12 - (4 + 4 - 1))
    assert alike.own.variance < 0.01 < alike.common.variance


def test_what_averages_out_over_seeds_is_theirs_and_what_the_images_show_of_one_training() -> None:
    """Images move each training by 2; seeds by 0 here and by 3 there: 4 and 13 of a training's variance average out."""
    random = np.random.default_rng(0)
    for sd, expected in ((0.0, 4.0), (3.0, 13.0)):
        trainings = [
            training(f"v{i}", 2 * i + j, random.normal(0, (4 + sd**2) ** 0.5), random.normal(0, 2, 500))
            for i in range(400)
            for j in range(2)
        ]
        noise = seed_noise(trainings)
        assert noise is not None
        assert noise.own.averages_out == pytest.approx(expected, rel=0.15)
        assert noise.own.averages_out >= noise.own.images == pytest.approx(4.0, rel=0.05)
        ours = noise.averages_out([Share("v0", (0, 1), 1.0), Share("v1", (2, 3, 4), -1.0)])
        assert ours == pytest.approx(noise.own.averages_out * (1 / 2 + 1 / 3))
        difference = minus(trainings[:2], trainings[2:4], noise)
        assert difference is not None
        assert difference.averages_out == pytest.approx(noise.own.averages_out)
        assert difference.of_seeds == pytest.approx(noise.own.of_seeds, rel=0.1, abs=0.3)


def test_what_all_have_in_common_cancels_in_a_difference_of_equal_seeds_only() -> None:
    noise = seed_noise(table(a=[10.0, 14.0, 18.0], b=[20.0, 24.0, 28.0], c=[30.0, 34.0, 41.0]))
    assert noise is not None

    def error(ours: list[int], theirs: list[int]) -> float:
        one, other = ([training(name, seed, 0.0) for seed in its] for name, its in (("a", ours), ("b", theirs)))
        sampled = minus(one, other, noise)
        assert sampled is not None
        return float(sampled.samples.std())

    assert error([0, 1, 2], [0, 1, 2]) == pytest.approx((2 / 3) ** 0.5, rel=0.05)
    assert error([0], [1]) == pytest.approx((2 + 40) ** 0.5, rel=0.05)
    # Two seeds in common of which the other has a third: 20 (2 (1/2 - 1/3)^2 + 1/9) of all, 1/2 + 1/3 of each alone.
    assert error([0, 1], [0, 1, 2]) == pytest.approx((20 / 6 + 5 / 6) ** 0.5, rel=0.05)


def test_what_the_images_do_is_not_counted_twice() -> None:
    """Images move each training by 2: of a spread of 13 between seeds, 9 are the seeds'."""
    random = np.random.default_rng(0)
    trainings = []
    for variant in range(400):
        for seed in (2 * variant, 2 * variant + 1):
            value = random.normal(0, 13**0.5)
            trainings.append(training(f"v{variant}", seed, value, random.normal(0, 2, 500)))
    noise = seed_noise(trainings)
    assert noise is not None
    assert noise.own.images == pytest.approx(4.0, rel=0.05)
    assert noise.own.of_seeds == pytest.approx(9.0, rel=0.2)


def test_a_variant_that_spreads_far_more_is_judged_by_its_own_spread() -> None:
    rows = {f"v{i}": [50.0, 51.0, 49.0, 50.5] for i in range(5)} | {"wild": [40.0, 50.0, 60.0, 45.0]}
    noise = seed_noise(table(**rows))
    assert noise is not None
    assert list(noise.apart) == ["wild"]
    assert noise.of("wild").variance == pytest.approx(np.var(rows["wild"], ddof=1))
    assert noise.of("v0") is noise.own
    assert noise.own.variance < 1  # without it
    assert noise.num_variants == 5


def test_a_variant_that_spreads_a_little_more_stays_in_the_pool() -> None:
    rows = {f"v{i}": [50.0, 51.0, 49.0, 50.5] for i in range(5)} | {"more": [48.0, 52.0, 51.5, 48.5]}
    noise = seed_noise(table(**rows))
    assert noise is not None
    assert list(noise.apart) == ["more"]
    assert noise.num_variants == 6


def test_order_does_not_matter() -> None:
    rows = table(a=[10.0, 14.0, 18.0], b=[20.0, 24.0, 29.0], c=[30.0, 34.0, 41.0])
    one, other = seed_noise(rows), seed_noise(rows[::-1])
    assert one is not None
    assert other is not None
    assert one.own.variance == pytest.approx(other.own.variance, rel=1e-9)
    share = Share("a", (0, 1), 1.0)
    np.testing.assert_array_equal(one.draw(share, 50), one.draw(share, 50))


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize(("own", "common"), [(0.5, 0.0), (2.0, 0.0), (1.0, 2.0)])
def test_intervals_hold_the_truth_with_few_seeds(seeds: int, own: float, common: float) -> None:
    """Four equal variants; images move all by 1 and each by 1 more: intervals of a variant and of a difference."""
    random = np.random.default_rng(seeds)
    sets, held, apart = 300, 0, 0
    for _ in range(sets):
        images, of_seed = random.normal(), random.normal(0, common, seeds)
        drawn = random.normal(size=400)
        groups = []
        for i in range(4):
            moved = drawn + random.normal(size=400)
            values = images + random.normal() + of_seed + random.normal(0, own, seeds)
            groups.append([training(f"v{i}", seed, value, moved) for seed, value in enumerate(values)])
        noise = seed_noise(one for group in groups for one in group)
        mean, difference = (
            estimate(each).interval for each in (mean_over_seeds(groups[0], noise), minus(groups[1], groups[0], noise))
        )
        assert mean is not None
        assert difference is not None
        held += mean.low <= 0 <= mean.high
        apart += difference.low <= 0 <= difference.high
    assert held / sets > 0.91
    assert apart / sets > 0.92
