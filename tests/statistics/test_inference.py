"""From replicates to verdicts, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from agropest.statistics.bootstrap import halvings
from agropest.statistics.inference import (
    BETTER,
    HIGHER,
    INCONCLUSIVE,
    UNKNOWN,
    WORSE,
    Sampled,
    _step_down,
    compare,
    estimate,
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


def test_without_resamples_nothing_is_inferred() -> None:
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
    for nothing in (0.0, 7e-15):  # equal sums in another order
        [equal] = compare([Sampled(nothing, np.zeros(1000))])
        assert (equal.p, equal.p_adjusted, equal.verdict, equal.detectable) == (1.0, 1.0, INCONCLUSIVE, None)
    assert compare([]) == []


def test_a_verdict_needs_to_know_what_a_seed_does() -> None:
    """The same figures, of one seed: true of the checkpoints, unknown of the variants."""
    [found] = compare([Sampled(2.5, 2.5 + NOISE, knows_seeds=False)])
    assert (found.verdict, found.on_images, found.detectable) == (UNKNOWN, HIGHER, None)
    [unclear] = compare([Sampled(0.5, 0.5 + NOISE, knows_seeds=False)])
    assert (unclear.verdict, unclear.on_images) == (UNKNOWN, "")
    assert ties([Sampled(0.0, np.zeros(1000)), Sampled(9.0, 9 + NOISE, knows_seeds=False)]) == [True, True]


def test_what_the_resamples_do_not_show_and_what_is_the_seeds_are_parts_of_the_error() -> None:
    """Images and seeds 4, of which seeds 3, classes in few images 5: standard error 3, a third of its square seeds."""
    [found] = compare([Sampled(6.0, 6 + 2 * NOISE, hidden=5.0, of_seeds=3.0)])
    assert (found.error, found.seeds_share) == (pytest.approx(3.0), pytest.approx(1 / 3))
    assert found.p == pytest.approx(0.0455, abs=1e-4)


def test_what_every_resample_says_is_as_sure_as_a_sign_test_of_its_images() -> None:
    always = np.full(1000, -100.0)
    assert compare([Sampled(-100.0, always, sources=40)])[0].verdict == WORSE
    [few] = compare([Sampled(-100.0, always, sources=5)])
    assert (few.p, few.verdict, few.detectable) == (2 / 2**5, INCONCLUSIVE, None)
    # 0.025^(1/5) = 0.47818 of the images may be all that are so; the others may gain 100: -47.818 + 52.182.
    assert (few.interval.low, few.interval.high) == pytest.approx((-100, 4.365), abs=1e-3)
    six = compare([Sampled(-100.0, always, sources=6)])[0]
    assert (six.verdict, six.detectable) == (WORSE, None)  # nothing varies: no size could be told
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


def test_halves_are_halves() -> None:
    halves = halvings(7, 0)
    assert set(halves.sum(axis=1)) == {3, 4}
    assert (halves[0::2] + halves[1::2] == 1).all()
