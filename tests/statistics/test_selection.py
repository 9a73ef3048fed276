"""The first of several, corrected for having been chosen."""

from __future__ import annotations

import numpy as np
import pytest

from agropest.statistics.inference import Sampled, estimate
from agropest.statistics.selection import of_the_first

NOISE = np.random.default_rng(0).normal(size=(8, 4000))


def test_one_alone_was_not_chosen() -> None:
    told, plain = of_the_first([Sampled(50.0, 50 + NOISE[0])]), estimate(Sampled(50.0, 50 + NOISE[0]))
    assert told.value == pytest.approx(50.0, abs=1e-6)
    assert told.interval is not None
    assert plain.interval is not None
    assert told.interval.low == pytest.approx(plain.interval.low, abs=0.1)  # the hybrid spends a tenth of the error


def test_far_ahead_of_the_others_nothing_is_taken_away() -> None:
    sampled = [Sampled(value, value + NOISE[i]) for i, value in enumerate((50.0, 30.0, 20.0))]
    assert of_the_first(sampled).value == pytest.approx(50.0, abs=0.01)


def test_next_to_an_equal_much_is_taken_away() -> None:
    """Two independent values that happen to be equal: the first, seen as chosen, is cut off at its own value."""
    told = of_the_first([Sampled(50.0, 50 + NOISE[0]), Sampled(49.9, 49.9 + NOISE[1])])
    assert told.value is not None
    assert told.value < 49


def test_a_bias_is_taken_away_too_and_a_value_that_cannot_be_is_cut() -> None:
    sampled = [Sampled(99.5, 99.5 + NOISE[0], bias=0.5), Sampled(50.0, 50 + NOISE[1], bias=0.5)]
    told = of_the_first(sampled, 0.0, 100.0)
    assert told.value == pytest.approx(99.0, abs=0.01)
    assert told.interval is not None
    assert told.interval.high == 100.0


def test_without_any_spread_there_is_no_interval() -> None:
    told = of_the_first([Sampled(50.0, np.full(100, 50.0)), Sampled(40.0, np.full(100, 40.0))])
    assert (told.value, told.interval) == (50.0, None)


def test_few_seeds_widen_it_as_for_all_variants_at_once() -> None:
    """Two independent ones, 95 % at once: 2.236 errors each, and with four degrees of freedom 2.776 / 1.960 as many."""
    sampled = [Sampled(value, value + NOISE[i], freedom=4.0, seeds=(2,)) for i, value in enumerate((50.0, 30.0))]
    interval = of_the_first(sampled).interval
    assert interval is not None
    assert interval.high - 50 == pytest.approx(2.236 * 2.776 / 1.960, rel=0.04)
    assert 50 - interval.low == pytest.approx(2.236 * 2.776 / 1.960, rel=0.04)


@pytest.mark.parametrize(("shared", "gap"), [(0.0, 0.0), (0.8, 0.0), (0.5, 0.7)])
def test_the_corrected_interval_holds_the_truth(shared: float, gap: float) -> None:
    """Eight variants, ``gap`` apart; the plain interval of the first holds 79 % of (0.0, 0.0)."""
    random = np.random.default_rng(5)
    sets, held, plain, too_high = 300, 0, 0, []
    mix = np.full((8, 8), shared) + (1 - shared) * np.eye(8)
    root = np.linalg.cholesky(mix)
    noise = root @ NOISE
    for _ in range(sets):
        truth = -gap * np.arange(8)
        values = truth + root @ random.normal(size=8)
        sampled = [Sampled(value, value + noise[i]) for i, value in enumerate(values)]
        first = int(values.argmax())
        told, usual = of_the_first(sampled), estimate(sampled[first]).interval
        assert told.interval is not None
        assert told.value is not None
        assert usual is not None
        held += told.interval.low <= truth[first] <= told.interval.high
        plain += usual.low <= truth[first] <= usual.high
        too_high.append(told.value - truth[first])
    assert 0.92 < held / sets < 0.99
    assert abs(np.mean(too_high)) < 0.45
    if not shared and not gap:
        assert plain / sets < 0.85
        assert np.mean(too_high) < 0.3


def test_equal_ones_near_the_lowest_value_leave_an_interval_within_what_can_be() -> None:
    """Seen as chosen among equals, the first is far below its value, here below anything that a metric can be."""
    found = of_the_first([Sampled(0.02, 0.02 + 0.05 * NOISE[i], sources=6) for i in (0, 1)], 0.0, 100.0)
    assert found.value == 0.0
    assert found.interval is not None
    assert 0.0 <= found.interval.low <= found.interval.high < 0.1
