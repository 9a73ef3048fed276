"""Which variants get another seed, by hand."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from scipy.special import ndtr, stdtrit

from agropest.statistics.alpha_spending import Looks
from agropest.statistics.inference import ALIKE, BETTER, INCONCLUSIVE, Sampled, compare, ties
from agropest.statistics.seed_policy import (
    Question,
    chance_of_call,
    chance_of_exchange,
    gain_by_exchange,
    images_factor,
    next_seeds,
    seeds_needed,
)
from agropest.sweep.sections.seed_rule import levels

# Squared error 4 with two seeds: 2 of seeds, 2 of images, of which more seeds take 1 away; called from 2 errors on.
OPEN = Question("a", "base", 4.0, 2.0, 0.5, 2.0, 2.0, 0.75)
LOOKS = Looks((2, 3, 5, 8))
NOISE = np.random.default_rng(0).normal(size=4000)


@pytest.mark.parametrize(
    ("start", "most", "expected"),
    [
        (2, 8, [2, 3, 4, 5, 6, 7, 8]),
        (2, 2, [2]),
        (3, 6, [3, 4, 5, 6]),
        (5, 30, [5, 6, 7, 8, 10, 12, 14, 17, 20, 24, 29, 30]),
    ],
)
def test_rounds(start: int, most: int, expected: list[int]) -> None:
    assert levels(start, most) == expected


def test_the_chance_that_the_rest_of_the_seeds_settles_it() -> None:
    """With eight seeds the squared error is 1 + 3/4; 3 - 3/4 is still to come."""
    final, to_come = 1.75**0.5, 2.25**0.5
    expected = ndtr((4 - 2 * final) / to_come) + ndtr((-4 - 2 * final) / to_come)
    assert chance_of_call(OPEN, 2, 8) == pytest.approx(expected)
    assert chance_of_call(OPEN, 8, 8) == 0.0  # 4 is not more than 2 errors
    assert chance_of_call(replace(OPEN, value=4.1), 8, 8) == 1.0
    assert chance_of_call(replace(OPEN, averaged_share=0.0, value=1.0), 2, 8) == 0.0  # images are what they are


def test_how_much_more_would_settle_what_is_seen() -> None:
    """4 is called with an error of 2: 1 stays, 3 averages out, so it is just called; 3 asks for 2.25 in all.

    Of the same squared error half is the images', which more images take away.
    """
    assert seeds_needed(OPEN, 2) == pytest.approx(2.0)
    assert seeds_needed(replace(OPEN, value=3.0), 2) == pytest.approx(2 * 3 / 1.25)
    assert seeds_needed(replace(OPEN, value=2.0), 2) == inf  # what stays alone has an error of 1
    assert seeds_needed(replace(OPEN, value=0.0), 2) == inf
    assert images_factor(replace(OPEN, value=-3.8)) == pytest.approx(2 / (1.9**2 - 2))
    assert images_factor(replace(OPEN, value=2.8)) == inf


def test_both_sides_of_an_open_question_get_the_next_seeds() -> None:
    far = Question("b", "base", 30.0, 2.0, 0.75, 2.0, 2.0, 0.75, is_decided=True)
    hopeless = Question("c", "base", 0.0, 2.0, 0.05, 2.0, 2.0, 0.05)
    counts = {"base": 2, "a": 2, "b": 2, "c": 2}
    assert next_seeds([OPEN, far, hopeless], counts, 2, 8, {}) == {"a": 3, "base": 3}
    assert next_seeds([far, hopeless], counts, 2, 8, {}) == {}
    assert next_seeds([OPEN], {"base": 8, "a": 8}, 2, 8, {}) == {}
    # The baseline has been trained further for another question: both go to the next level, there is one for all.
    assert next_seeds([OPEN], {"base": 5, "a": 3}, 2, 8, {}) == {"a": 6, "base": 6}
    assert next_seeds([OPEN], {"base": 8, "a": 3}, 2, 8, {}) == {}  # no look is left


def test_what_tells_most_per_cost_comes_first() -> None:
    two = replace(OPEN, one="b")
    counts = {"base": 2, "a": 2, "b": 2}
    assert next(iter(next_seeds([OPEN, two], counts, 2, 8, {}))) == "base"  # of two questions
    assert list(next_seeds([OPEN, two], counts, 2, 8, {"base": 10.0, "a": 2.0})) == ["b", "a", "base"]
    assert next_seeds([OPEN, two], counts, 2, 8, {}) == next_seeds([two, OPEN], counts, 2, 8, {})


def test_who_is_first_is_asked_as_long_as_the_rest_of_the_seeds_may_exchange_them() -> None:
    """2.25 of the squared error is still to come: a difference of 0.5 changes its sign with a chance of 37 %."""
    close = replace(OPEN, value=0.5, critical=9.0, critical_at_end=9.0)
    assert chance_of_exchange(close, 2, 8) == pytest.approx(ndtr(-0.5 / 1.5))
    assert chance_of_exchange(close, 8, 8) == 0.0
    assert next_seeds([close], {"base": 2, "a": 2}, 2, 8, {}) == {}
    first = replace(close, is_of_first=True)
    assert next_seeds([first], {"base": 2, "a": 2}, 2, 8, {}) == {"a": 3, "base": 3}
    assert next_seeds([replace(first, value=1.6)], {"base": 2, "a": 2}, 2, 8, {}) == {}  # 14 %
    assert next_seeds([replace(first, value=1.5)], {"base": 2, "a": 2}, 2, 8, {}) == {"a": 3, "base": 3}  # 16 %
    assert next_seeds([replace(first, is_decided=True)], {"base": 2, "a": 2}, 2, 8, {}) == {}


def test_who_is_first_is_not_asked_where_nobody_would_mind() -> None:
    """Two equal ones, of which one will be ahead by 1.5 * 0.798 / 2 on average; a twentieth of that is 0.03 points."""
    equal = replace(OPEN, value=0.0, has_verdict=False, is_of_first=True)
    assert gain_by_exchange(equal, 2, 8) == pytest.approx(1.5 * (2 / np.pi) ** 0.5 / 2)
    assert gain_by_exchange(equal, 8, 8) == 0.0
    apart = gain_by_exchange(replace(equal, value=1.5), 2, 8)
    assert apart == pytest.approx(1.5 * (np.exp(-0.5) / (2 * np.pi) ** 0.5 - ndtr(-1.0)))
    counts = {"base": 2, "a": 2}
    assert next_seeds([equal], counts, 2, 8, {}) == {"a": 3, "base": 3}
    assert next_seeds([replace(equal, error=0.1)], counts, 2, 8, {}) == {}


def test_by_how_much_the_first_is_ahead_is_asked_against_the_baseline_alone() -> None:
    """The seeds to come call 4 with a chance of 82 %, and exchange the two with one of 0.4 %."""
    ahead = replace(OPEN, one="b", other="a", is_of_first=True)
    counts = {"base": 2, "a": 2, "b": 2}
    assert next_seeds([replace(ahead, has_verdict=False)], counts, 2, 8, {}) == {}
    assert next_seeds([ahead], counts, 2, 8, {}) == {"a": 3, "b": 3}


def test_looking_often_makes_early_looks_stricter() -> None:
    """2.2 errors are p = 0.028. Half of the squared error is the seeds', so that of eight seeds the first look has 5/8
    of the information: 0.05 * (5/8)^3 = 0.0122 is spent there."""
    half = (NOISE - NOISE.mean()) / NOISE.std(ddof=1)
    sampled = Sampled(2.2, 2.2 + half, of_seeds=0.5, averages_out=0.5, seeds=(2, 2))
    assert compare([sampled])[0].verdict == BETTER
    [difference] = compare([sampled], looks=LOOKS)
    assert difference.verdict == INCONCLUSIVE
    assert difference.p == pytest.approx(0.0278, abs=1e-4)
    assert difference.p_adjusted >= 0.0278 * 0.05 / 0.0123
    assert difference.critical > difference.critical_at_end > 1.96
    assert compare([replace(sampled, averages_out=0.0)], looks=LOOKS)[0].verdict == BETTER  # all looks see the same
    behind = [Sampled(0.0, np.zeros(4000), seeds=(2, 2)), replace(sampled, value=1.9)]
    assert (ties(behind), ties(behind, looks=LOOKS)) == ([True, False], [True, True])


def test_what_is_called_at_a_strict_look_has_few_seeds_behind_it() -> None:
    """Student's t at the level of the look, not at 5 %: 0.0122 of four degrees of freedom is 4.3 errors, not 2.5."""
    sampled = Sampled(3.0, 3.0 + NOISE, freedom=4.0, averages_out=0.5 * float(NOISE.var(ddof=1)), seeds=(2, 2))
    [difference] = compare([sampled], looks=LOOKS)
    level = 0.05 * 0.625**3
    assert difference.critical == pytest.approx(-stdtrit(4, level / 2), rel=0.08)
    assert difference.critical_at_end < 2.6  # with seven times as many degrees of freedom


def test_a_difference_that_does_not_matter() -> None:
    small = Sampled(0.1, 0.1 + 0.2 * NOISE)
    assert compare([small], indifference=1.0)[0].verdict == ALIKE
    assert compare([small], indifference=0.4)[0].verdict == INCONCLUSIVE
    assert compare([small])[0].verdict == INCONCLUSIVE
    assert compare([Sampled(0.8, 0.8 + 0.2 * NOISE)], indifference=2.0)[0].verdict == BETTER
