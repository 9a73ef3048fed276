"""Which variants get another seed, by hand."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from scipy.special import ndtr

from agropest.statistics.inference import ALIKE, BETTER, INCONCLUSIVE, Sampled, compare, ties
from agropest.statistics.seed_policy import (
    Question,
    chance_of_call,
    images_factor,
    level_of_looks,
    next_seeds,
    seeds_needed,
)
from agropest.sweep.sections.seed_rule import levels

# Squared error 4 with two seeds: 3 of seeds, 1 of images; called from 2 errors on.
OPEN = Question("a", "base", 4.0, 2.0, 0.75, 2.0)
NOISE = np.random.default_rng(0).normal(size=4000)


@pytest.mark.parametrize(
    ("start", "most", "expected"), [(2, 8, [2, 3, 5, 8]), (2, 2, [2]), (3, 6, [3, 5, 6]), (2, 5, [2, 3, 5])]
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
    assert chance_of_call(replace(OPEN, seeds_share=0.0, value=1.0), 2, 8) == 0.0  # images are what they are


def test_how_much_more_would_settle_what_is_seen() -> None:
    """4 is called with an error of 2: 1 of images and 3 of seeds, so it is just called; 3 asks for 2.25 in all."""
    assert seeds_needed(OPEN, 2) == pytest.approx(2.0)
    assert seeds_needed(replace(OPEN, value=3.0), 2) == pytest.approx(2 * 3 / 1.25)
    assert seeds_needed(replace(OPEN, value=2.0), 2) == inf  # the images alone have an error of 1
    assert seeds_needed(replace(OPEN, value=0.0), 2) == inf
    assert images_factor(replace(OPEN, value=-3.8)) == pytest.approx(1 / (1.9**2 - 3))
    assert images_factor(replace(OPEN, value=3.0)) == inf


def test_both_sides_of_an_open_question_get_the_next_seeds() -> None:
    far = Question("b", "base", 30.0, 2.0, 0.75, 2.0, is_decided=True)
    hopeless = Question("c", "base", 0.0, 2.0, 0.05, 2.0)
    counts = {"base": 2, "a": 2, "b": 2, "c": 2}
    assert next_seeds([OPEN, far, hopeless], counts, 2, 8, {}) == {"a": 3, "base": 3}
    assert next_seeds([far, hopeless], counts, 2, 8, {}) == {}
    assert next_seeds([OPEN], {"base": 8, "a": 8}, 2, 8, {}) == {}
    # The baseline has been trained further for another question: both go to the next level, there is one for all.
    assert next_seeds([OPEN], {"base": 5, "a": 3}, 2, 8, {}) == {"a": 8, "base": 8}
    assert next_seeds([OPEN], {"base": 8, "a": 3}, 2, 8, {}) == {}  # no look is left


def test_what_tells_most_per_cost_comes_first() -> None:
    two = replace(OPEN, one="b")
    counts = {"base": 2, "a": 2, "b": 2}
    assert next(iter(next_seeds([OPEN, two], counts, 2, 8, {}))) == "base"  # of two questions
    assert list(next_seeds([OPEN, two], counts, 2, 8, {"base": 10.0, "a": 2.0})) == ["b", "a", "base"]
    assert next_seeds([OPEN, two], counts, 2, 8, {}) == next_seeds([two, OPEN], counts, 2, 8, {})


def test_looking_often_makes_every_look_stricter() -> None:
    """2.2 errors are p = 0.028: enough for one look, not for each of four (Pocock: 0.0182)."""
    sampled = Sampled(2.2, 2.2 + (NOISE - NOISE.mean()) / NOISE.std(ddof=1))
    assert compare([sampled])[0].verdict == BETTER
    [told] = compare([sampled], looks=4)
    assert told.verdict == INCONCLUSIVE
    assert told.p == pytest.approx(0.0278, abs=1e-4)
    assert told.p_adjusted >= 0.0278 * 0.05 / 0.0182
    behind = [Sampled(0.0, np.zeros(4000)), Sampled(1.9, sampled.samples)]
    assert (ties(behind), ties(behind, looks=4)) == ([True, False], [True, True])
    assert level_of_looks(12) == pytest.approx(0.05 / 12)


@pytest.mark.parametrize(("looks", "seeds"), [(4, (2, 3, 5, 8)), (3, (2, 3, 5))])
def test_five_percent_over_all_looks(looks: int, seeds: tuple[int, ...]) -> None:
    """Nothing but seed noise, which is the worst case: the error of all looks at means of the first seeds."""
    random = np.random.default_rng(1)
    values = random.normal(size=(20_000, max(seeds)))
    z = np.stack([values[:, :n].mean(axis=1) * n**0.5 for n in seeds])
    called = (2 * ndtr(-np.abs(z)) < level_of_looks(looks)).any(axis=0)
    assert called.mean() < 0.053


def test_a_difference_that_does_not_matter() -> None:
    small = Sampled(0.1, 0.1 + 0.2 * NOISE)
    assert compare([small], indifference=1.0)[0].verdict == ALIKE
    assert compare([small], indifference=0.4)[0].verdict == INCONCLUSIVE
    assert compare([small])[0].verdict == INCONCLUSIVE
    assert compare([Sampled(0.8, 0.8 + 0.2 * NOISE)], indifference=2.0)[0].verdict == BETTER
