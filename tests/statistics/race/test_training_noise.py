from __future__ import annotations

import math

import numpy as np
import pytest

from agropest.statistics.race.entrant import Sample
from agropest.statistics.race.training_noise import (
    CheckpointNoise,
    NoiseVariance,
    SeenVariance,
    seen_over_seeds,
)

FLAT = np.zeros(50)
NO_NOISE = NoiseVariance(0.0, math.inf, "none")


def exact(value: float) -> Sample:
    """A metric that no other image would change."""
    return Sample(value, value + FLAT)


def test_evidence_counts_by_its_degrees_of_freedom() -> None:
    known = NoiseVariance(1.0, 10.0)
    after = known.updated(SeenVariance(0.4, 10.0, 0.0), "seeds")
    assert (after.variance, after.freedom, after.source) == (pytest.approx(0.7), 20.0, "seeds")
    assert known.updated(SeenVariance(0.0, 0.0, 0.0), "seeds") == known
    assert NO_NOISE.updated(SeenVariance(4.0, 10.0, 0.0)) == NO_NOISE  # known exactly


def test_evidence_that_images_blur_counts_for_less() -> None:
    """Images do as much as seeds are expected to: the estimate is twice as uncertain, and worth a quarter."""
    after = NoiseVariance(1.0, 10.0).updated(SeenVariance(0.4, 10.0, 1.0))
    assert (after.variance, after.freedom) == (pytest.approx((10 * 1.0 + 2.5 * 0.4) / 12.5), 12.5)
    assert NoiseVariance(1.0, 10.0).updated(SeenVariance(-0.5, 10.0, 1.0)).variance == pytest.approx(0.8)


def test_what_was_expected_gives_way_to_evidence_that_exceeds_it() -> None:
    after = NoiseVariance(1.0, 16.0).updated(SeenVariance(2.0, 10.0, 0.0))
    assert (after.variance, after.freedom) == (pytest.approx(21 / 11), 11.0)  # (1 / 2)^4 * 16 = 1 is left


def test_a_sum_is_as_uncertain_as_its_parts_make_it() -> None:
    both = NoiseVariance(1.0, 4.0, "seeds").plus(NoiseVariance(3.0, 12.0))
    assert (both.variance, both.freedom, both.source) == (4.0, 16.0, "seeds")  # 16 / (1 / 4 + 9 / 12)
    assert NO_NOISE.plus(NO_NOISE).variance == 0
    assert math.isinf(NO_NOISE.plus(NO_NOISE).freedom)


def test_seeds_are_pooled_over_variants() -> None:
    spread = Sample.mean([exact(40.0), exact(42.0)])  # variance 2, one degree of freedom
    agree = Sample.mean([exact(30.0), exact(30.0), exact(30.0)])  # 0, two
    seen = seen_over_seeds([spread, agree, exact(10.0)])
    assert (seen.variance, seen.freedom, seen.of_images) == (pytest.approx(2 / 3), 3, pytest.approx(0.0))
    assert seen_over_seeds([exact(40.0), exact(50.0)]).freedom == 0


def collected(values: np.ndarray, replicates: np.ndarray | None = None, curves: str = "") -> SeenVariance:
    """What the curves [V, T], of variants that are alike where ``curves`` has no letter of their own, show."""
    noise = CheckpointNoise()
    for t in range(values.shape[1]):
        drawn = FLAT + values[:, t, None] if replicates is None else replicates[:, t]
        samples = {str(v): Sample(float(values[v, t]), drawn[v]) for v in range(len(values))}
        noise.add(100 * (t + 1), {name: (curves[int(name) :][:1], one) for name, one in samples.items()})
    return noise.seen


def test_the_noise_of_checkpoints_by_hand() -> None:
    """Bends 0 of level 10 and 3 of level 11; relative to these 0 and 3/11, of variance 9/242."""
    seen = collected(np.array([[10.0, 10.0, 10.0], [10.0, 13.0, 10.0]]))
    assert seen.variance == pytest.approx(9 / 242 * (100 + 121) / 2 / 1.5)
    assert seen.freedom == 1
    assert collected(np.array([[10.0, 10.0, 10.0], [10.0, 13.0, 10.0]]), curves="ab").freedom == 0  # not alike
    assert collected(np.array([[10.0, 10.0], [10.0, 13.0]])).freedom == 0
    assert collected(np.array([[0.0, 0.0, 0.0], [10.0, 13.0, 10.0]])).freedom == 0  # no level to compare at
    twice = collected(np.array([[10.0, 10.0, 10.0, 10.0], [10.0, 13.0, 13.0, 10.0]]))
    assert twice.freedom == pytest.approx(2 * 2 / (2 + 2 * 4 / 9))  # two bends that overlap


def test_the_noise_of_checkpoints_is_found_under_a_rise_and_a_drop_of_the_learning_rate() -> None:
    rng = np.random.default_rng(0)
    shape = np.array([10, 20, 26, 29, 30, 30.5, 38, 39, 39.2, 39.3, 39.3, 39.4])
    values = shape * rng.uniform(0.8, 1.2, (8, 1)) + rng.normal(0, 0.5, (8, 12))
    seen = collected(values)
    assert seen.variance == pytest.approx(0.25, rel=0.4)
    assert seen.freedom == pytest.approx(70 / 1.83, rel=0.05)
    assert collected(shape * rng.uniform(0.8, 1.2, (8, 1))).variance == pytest.approx(0.0, abs=1e-9)


def test_what_images_do_between_checkpoints_is_not_taken_for_noise_of_training() -> None:
    rng = np.random.default_rng(1)
    by_image = rng.normal(0, 10, (8, 12, 400))  # a checkpoint's own luck on each of 400 images
    values = 40 + by_image.mean(axis=2)
    draws = rng.multinomial(400, np.full(400, 1 / 400), size=200)
    replicates = 40 + by_image @ draws.T / 400
    seen = collected(values, replicates)
    assert seen.of_images == pytest.approx(0.25, rel=0.2)  # 10^2 / 400
    assert seen.variance == pytest.approx(0.0, abs=0.1)
