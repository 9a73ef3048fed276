"""Evaluations of the same trainings: by hand, and how often equal ones are told apart in simulated sweeps."""

from __future__ import annotations

import numpy as np
import pytest

from agropest.statistics.inference import (
    BETTER,
    HIGHER_HERE,
    INCONCLUSIVE,
    LOWER_HERE,
    UNKNOWN,
    WORSE,
    compare,
)
from agropest.statistics.same_trainings import Share, contrasts, shares
from agropest.statistics.seed_noise import NO_SEEDS, seed_noise
from agropest.statistics.sums import minus, weighted_sum
from agropest.statistics.trainings import Training


def evaluated(variant: str, values: dict[int, float]) -> list[Training]:
    """No image moves it."""
    return [Training(variant, seed, value, np.full(20_000, value), sources=546) for seed, value in values.items()]


BASE = evaluated("base", {1: 40.0, 2: 45.0, 3: 50.0})  # the variance of a seed: 25
OTHERWISE = evaluated("base", {3: 53.0, 1: 41.0, 2: 47.0})  # higher by 1, 2 and 3
OTHER = evaluated("other", {1: 44.0, 2: 44.0, 3: 53.0})


def test_two_evaluations_of_the_same_trainings_are_paired() -> None:
    """Differences of 1, 2 and 3 have the variance 1, their mean a third, with two degrees of freedom."""
    found = minus(OTHERWISE, BASE, seed_noise([*BASE, *OTHER]))
    assert found is not None
    assert found.value == pytest.approx(2)
    assert found.of_seeds == pytest.approx(1 / 3, rel=0.03)
    assert found.samples.std() == pytest.approx(3**-0.5, rel=0.02)
    assert found.freedom == pytest.approx(2, rel=0.03)
    assert (found.is_within, found.knows_seeds) == (True, True)
    # What other variants show of seeds has no part in it, and where they show nothing, it is as well known.
    without = minus(OTHERWISE, BASE, None)
    assert without is not None
    np.testing.assert_array_equal(without.samples, found.samples)
    assert without.knows_seeds


def test_of_one_training_is_said_what_is_true_of_it() -> None:
    random = np.random.default_rng(0)
    moved = random.normal(0, 0.5, 20_000)
    for noise in (None, seed_noise(BASE)):
        verdicts = []
        for higher in (3.0, -3.0, 0.1):
            one = [Training("base", 1, 40.0 + higher, 40.0 + higher + moved, sources=546)]
            found = minus(one, [Training("base", 1, 40.0, np.full(20_000, 40.0), sources=546)], noise)
            assert found is not None
            assert (found.is_within, found.knows_seeds, found.of_seeds) == (True, False, 0.0)
            [difference] = compare([found], indifference=5.0)  # of the variants nothing is known, this neither
            assert (difference.is_within, difference.knows_seeds) == (True, False)
            assert difference.detectable == pytest.approx(0.5 * (1.96 + 0.84), rel=0.05)
            verdicts.append(difference.verdict)
        assert verdicts == [HIGHER_HERE, LOWER_HERE, INCONCLUSIVE]


def test_another_seed_or_another_training_is_not_the_same() -> None:
    for theirs in (evaluated("base", {2: 40.0}), evaluated("other", {1: 40.0})):
        found = minus(evaluated("base", {1: 43.0}), theirs, None)
        assert found is not None
        assert not found.is_within
        assert compare([found])[0].verdict == UNKNOWN


def test_files_have_no_seeds_that_could_cancel() -> None:
    found = minus(evaluated("base", {1: 43.0}), evaluated("base", {1: 40.0}), NO_SEEDS)
    assert found is not None
    assert (found.is_within, found.knows_seeds) == (False, True)


def test_a_mean_of_two_evaluations_has_the_noise_of_their_trainings_once() -> None:
    """Were they trainings of their own, it would be half as much: 25/3 (1/4 + 1/4 + 1) instead of 25/3 (1 + 1)."""
    noise = seed_noise(BASE)
    found = weighted_sum([(BASE, 0.5), (OTHERWISE, 0.5), (OTHER, -1.0)], noise)
    assert found is not None
    assert found.of_seeds == pytest.approx(25 / 3 * 2, rel=0.03)
    assert not found.is_within


def test_seeds_that_only_one_side_has_are_left() -> None:
    """Of four less two of them: 1/4 - 1/2 of the first two, 1/4 of the others; 4 (1/4)^2 = 1/4 of the variance."""
    four, two = evaluated("base", dict.fromkeys((1, 2, 3, 4), 0.0)), evaluated("base", {1: 0.0, 2: 0.0})
    assert shares([(four, 1.0), (two, -1.0)]) == [Share("base", (1, 2), -0.5, 0), Share("base", (3, 4), 0.5, 1)]
    found = minus(four, two, seed_noise(BASE))
    assert found is not None
    assert found.of_seeds == pytest.approx(25 / 4, rel=0.03)


def test_what_is_left_of_each_training_has_a_name_of_its_own() -> None:
    [one, two, three] = contrasts([(OTHERWISE, 1.0), (BASE, -1.0)])
    assert [(each.seed, round(each.value, 9)) for each in (one, two, three)] == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert one.variant == two.variant != contrasts([(BASE, 1.0), (OTHERWISE, -1.0)])[0].variant


IMAGES, RESAMPLES, SWEEPS = 80, 200, 250
MOST = 0.078  # of 250, where 5 % are called: at most so many but for one time in forty
TRAINING_SD = 2.0  # of a training's value, in which the images' part is about 0.6


def simulated(
    random: np.random.Generator, variant: str, seeds: int, evaluations: int, own_sd: float
) -> list[list[Training]]:
    """Returns equal evaluations of some trainings; a seed moves each evaluation by ``own_sd`` beside the training."""
    drawn = random.multinomial(IMAGES, np.full(IMAGES, 1 / IMAGES), size=RESAMPLES) / IMAGES
    of_training = random.normal(0, TRAINING_SD, seeds)
    hard = random.normal(0, 4, IMAGES)
    found = []
    for _ in range(evaluations):
        moved = of_training + random.normal(0, own_sd, seeds)
        images = hard + random.normal(0, 2, IMAGES) + random.normal(0, 2, (seeds, IMAGES))
        found.append(
            [
                Training(variant, seed, float(moved[seed] + images[seed].mean()), moved[seed] + drawn @ images[seed],
                         sources=IMAGES)
                for seed in range(seeds)
            ]
        )  # fmt: skip
    return found


@pytest.mark.parametrize(("seeds", "own_sd"), [(1, 0.0), (2, 0.0), (2, 0.6), (3, 0.0), (3, 0.6), (6, 0.6)])
def test_equal_evaluations_are_seldom_told_apart(seeds: int, own_sd: float) -> None:
    """And the noise of the trainings is gone from the standard error."""
    random = np.random.default_rng([seeds, int(10 * own_sd)])
    called, errors = 0, []
    for _ in range(SWEEPS):
        one, other = simulated(random, "base", seeds, 2, own_sd)
        found = minus(one, other, None)
        assert found is not None
        [difference] = compare([found])
        called += difference.verdict in ((HIGHER_HERE, LOWER_HERE) if seeds == 1 else (BETTER, WORSE))
        errors.append(difference.error)
    assert called / SWEEPS < MOST
    assert np.median(errors) < TRAINING_SD * (2 / seeds) ** 0.5 / 2


def test_a_factor_of_training_is_not_better_known_for_being_evaluated_twice() -> None:
    """Two equal trainings, each evaluated in two ways; as four trainings they would be told apart too often."""
    random, called, as_four = np.random.default_rng(7), 0, 0
    for _ in range(SWEEPS):
        (a, b), (c, d) = (simulated(random, name, 8, 2, 0.0) for name in ("one", "two"))
        noise = seed_noise([*a, *c])
        for is_four in (False, True):
            names = ("one", "again", "two", "more") if is_four else ("one", "one", "two", "two")
            parts = [
                ([Training(name, t.seed, t.value, t.samples, 0.0, t.sources) for t in trainings], weight)
                for name, trainings, weight in zip(names, (a, b, c, d), (0.5, 0.5, -0.5, -0.5), strict=True)
            ]
            found = weighted_sum(parts, noise)
            assert found is not None
            is_called = compare([found])[0].verdict in (BETTER, WORSE)
            called, as_four = called + (is_called and not is_four), as_four + (is_called and is_four)
    assert called / SWEEPS < MOST
    assert as_four / SWEEPS > MOST
