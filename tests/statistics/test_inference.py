"""From replicates to verdicts, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from agropest.statistics.bootstrap import halvings, over_seeds
from agropest.statistics.inference import (
    BETTER,
    INCONCLUSIVE,
    WORSE,
    Sampled,
    _step_down,
    compare,
    estimate,
    freedom_over_seeds,
    ties,
)

# Mean 0, standard deviation 1 (n - 1), and 1,000 of them.
NOISE = np.random.default_rng(0).normal(size=1000)
NOISE = (NOISE - NOISE.mean()) / NOISE.std(ddof=1)


def test_an_interval_is_corrected_for_bias_and_cut_to_what_can_be() -> None:
    interval = estimate(Sampled(50.0, 50.2 + NOISE, bias=0.75)).interval
    assert interval is not None
    half = 1.959964 * 1.25  # 1 and 0.75 are the legs of a triangle of 1.25
    assert (interval.low, interval.high) == pytest.approx((49.25 - half, 49.25 + half), abs=1e-5)
    cut = estimate(Sampled(99.0, 99 + NOISE), 0.0, 100.0).interval
    assert cut is not None
    assert (cut.low, cut.high) == pytest.approx((99 - 1.959964, 100.0), abs=1e-5)


def test_few_seeds_widen_an_interval() -> None:
    """Student's t with two degrees of freedom: 4.3027."""
    interval = estimate(Sampled(50.0, 50 + NOISE, freedom=2.0)).interval
    assert interval is not None
    assert interval.high == pytest.approx(54.3027, abs=1e-4)


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("spread", [0.5, 2.0, 4.0])
def test_seeds_that_happen_to_agree_are_not_taken_for_many(seeds: int, spread: float) -> None:
    """Images move the mean by 1, each seed by ``spread``; Satterthwaite's plain formula holds 87.7 % of (2, 4.0)."""
    random = np.random.default_rng(4)
    sets = 4000
    values = random.normal(0, 1, (sets, 1)) + random.normal(0, spread, (sets, seeds))
    held = 0
    for each in values:
        samples = NOISE * np.sqrt(1 + each.var(ddof=1) / seeds)
        mean = float(each.mean())
        interval = estimate(Sampled(mean, mean + samples, freedom=freedom_over_seeds([each], samples))).interval
        assert interval is not None
        held += interval.low <= 0 <= interval.high
    assert held / sets > (0.92 if seeds == 2 else 0.94)


def test_nothing_is_told_of_what_has_no_resamples() -> None:
    assert estimate(None).value is None
    assert estimate(Sampled(50.0, np.full(1000, np.nan))).interval is None
    assert not Sampled(50.0, np.full(1000, np.nan)).is_known


def test_a_verdict_and_what_could_have_been_seen() -> None:
    """One comparison: p of a normal statistic; detectable: 1.96 (or what the resamples ask for) + 0.84 errors."""
    [found] = compare([Sampled(2.5, 2.5 + NOISE)])
    assert found.verdict == BETTER
    assert found.p == pytest.approx(0.012419, abs=1e-5)
    assert 0.012 <= found.p_adjusted < 0.03
    assert found.detectable == pytest.approx(1.96 + 0.8416, abs=0.15)
    assert compare([Sampled(-2.5, NOISE)])[0].verdict == WORSE
    assert compare([Sampled(1.7, 1.7 + NOISE)])[0].verdict == INCONCLUSIVE
    [equal] = compare([Sampled(0.0, np.zeros(1000))])
    assert (equal.p, equal.p_adjusted, equal.verdict, equal.detectable) == (1.0, 1.0, INCONCLUSIVE, 0.0)
    assert compare([]) == []


def test_what_every_resample_says_is_as_sure_as_a_sign_test_of_its_images() -> None:
    always = np.full(1000, -100.0)
    assert compare([Sampled(-100.0, always, sources=40)])[0].verdict == WORSE
    [few] = compare([Sampled(-100.0, always, sources=5)])
    assert (few.p, few.verdict, few.detectable) == (2 / 2**5, INCONCLUSIVE, None)
    # 0.025^(1/5) = 0.47818 of the images may be all that are so; the others may gain 100: -47.818 + 52.182.
    assert (few.interval.low, few.interval.high) == pytest.approx((-100, 4.365), abs=1e-3)
    six = compare([Sampled(-100.0, always, sources=6)])[0]
    assert (six.verdict, six.detectable) == (WORSE, 0.0)
    assert not Sampled(-100.0, always, sources=1).is_known


def test_few_images_widen_an_interval_as_students_t_does() -> None:
    noise = np.random.default_rng(2).normal(size=100_000)
    interval = estimate(Sampled(0.0, noise, sources=5)).interval
    assert interval is not None
    assert interval.high == pytest.approx(2.7764 * (5 / 4) ** 0.5, rel=0.01)  # t of 4 degrees; 4/5 of the variance seen


def test_five_images_that_agree_are_not_all_there_are() -> None:
    told = estimate(Sampled(100.0, np.full(1000, 100.0), sources=5), 0.0, 100.0).interval
    assert told is not None
    assert (told.low, told.high) == pytest.approx((47.818, 100), abs=1e-3)


def test_a_difference_is_cut_to_what_can_be() -> None:
    [told] = compare([Sampled(-99.0, -99 + NOISE)])
    assert (told.interval.low, told.interval.high) == pytest.approx((-100, -99 + 1.959964), abs=1e-5)
    [interaction] = compare([Sampled(-99.0, -99 + NOISE)], farthest=200.0)
    assert interaction.interval.low == pytest.approx(-99 - 1.959964, abs=1e-5)


def test_many_comparisons_make_one_of_them_less_remarkable() -> None:
    random = np.random.default_rng(1)
    others = [Sampled(0.1, 0.1 + random.normal(size=1000)) for _ in range(19)]
    alone, among = compare([Sampled(2.5, NOISE)])[0], compare([Sampled(2.5, NOISE), *others])[0]
    assert alone.verdict == BETTER
    assert among.verdict == INCONCLUSIVE
    assert among.p == alone.p
    assert 1 - (1 - alone.p) ** 20 == pytest.approx(among.p_adjusted, abs=0.05)  # as if independent: 0.22


def test_step_down_by_hand() -> None:
    """Statistics 3 and 2 against four resamples: the second is held against its own replicates only."""
    null = np.array([[3.5, 0.0, 0.0, 0.0], [0.0, 2.5, 2.5, 0.0]])
    assert _step_down(null, np.array([3.0, 2.0])) == pytest.approx([2 / 5, 3 / 5])
    assert _step_down(null, np.array([1.0, 3.0])) == pytest.approx([2 / 5, 2 / 5])  # never below a larger statistic's


def test_ties_are_judged_by_the_difference_to_the_best() -> None:
    best = Sampled(0.0, np.zeros(1000))
    near, far = Sampled(1.0, 1 + NOISE), Sampled(4.0, 4 + NOISE)
    assert ties([best, near, far]) == [True, True, False]
    always = np.full(1000, 100.0)
    assert ties([best, Sampled(100.0, always, sources=6)]) == [True, False]
    assert ties([best, Sampled(100.0, always, sources=5)]) == [True, True]  # p is 2 / 2^5
    assert ties([]) == []


def test_seeds_are_part_of_what_is_drawn() -> None:
    """Three seeds without any image noise: the standard error of their mean is sd / sqrt(3), not smaller."""
    values = np.array([40.0, 41.0, 43.0])
    samples = np.repeat(values[:, None], 20_000, axis=1)
    drawn = over_seeds(values, samples, "part 0")
    assert drawn.mean() == pytest.approx(values.mean(), abs=0.03)
    assert drawn.std() == pytest.approx(values.std(ddof=1) / np.sqrt(3), rel=0.03)
    np.testing.assert_array_equal(over_seeds(values[:1], samples[:1], "part 0"), samples[0])


@pytest.mark.parametrize(("of_seed", "variance"), [(0.0, 9 + 4 / 3), (5.0, 9 + (4 + 25) / 3)])
def test_what_images_do_to_each_seed_is_counted_once(of_seed: float, variance: float) -> None:
    """Images move all seeds by 3 and each by 2 more; the variance of the mean of three, in the mean of many sets."""
    random = np.random.default_rng(6)
    found = []
    for _ in range(300):
        values = random.normal(0, 3) + random.normal(0, 2, 3) + random.normal(0, of_seed, 3)
        samples = values[:, None] + random.normal(0, 3, (1, 2000)) + random.normal(0, 2, (3, 2000))
        found.append(over_seeds(values, samples, "part 0").var())
    # Where seeds do nothing, V is exponential with mean W = 4, and what it has beyond W is 4 / e in the mean.
    by_chance = 4 / np.e / 3 if of_seed == 0 else 0.0
    assert np.mean(found) == pytest.approx(variance + by_chance, rel=0.06)


def test_halves_are_halves() -> None:
    halves = halvings(7, 0)
    assert set(halves.sum(axis=1)) == {3, 4}
    assert (halves[0::2] + halves[1::2] == 1).all()
