"""Samplers against Detectron2's own computation and numbers worked by hand."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

from agropest.modeling.config import SAMPLERS
from agropest.training.input.samplers import (
    class_repeat_factors,
    image_frequency,
    image_repeat_factors,
    instance_frequency,
    make_sampler,
)

with warnings.catch_warnings():  # fvcore calls torch.jit.script as it is imported, which torch warns of
    warnings.filterwarnings("ignore", ".*torch.jit.script")
    from detectron2.data.samplers import RepeatFactorTrainingSampler

# Class 0 in images 0 to 3, class 1 in image 3 (twice), class 2 in image 4; image 5 has no box.
BY_HAND = [[0], [0, 0], [0], [0, 1, 1], [2], []]


def long_tailed(num_images: int = 400, num_classes: int = 12) -> list[list[int]]:
    generator = np.random.default_rng(0)
    share = 0.6 ** np.arange(num_classes)
    sizes = generator.integers(0, 5, num_images)
    return [generator.choice(num_classes, n, p=share / share.sum()).tolist() for n in sizes]


@pytest.mark.parametrize("threshold", [0.001, 0.08, 0.3, 1.0])
def test_repeat_factors_are_detectron2s(threshold: float) -> None:
    images = long_tailed()
    dicts = [{"annotations": [{"category_id": c} for c in classes]} for classes in images]
    theirs = RepeatFactorTrainingSampler.repeat_factors_from_category_frequency(dicts, threshold)
    ours = image_repeat_factors(images, class_repeat_factors(image_frequency(images, 12), threshold))
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-6)
    if threshold >= 0.3:
        assert ours.max() > 1.5


def test_repeat_factors_by_hand() -> None:
    frequency = image_frequency(BY_HAND, 4)
    np.testing.assert_allclose(frequency, [4 / 6, 1 / 6, 1 / 6, 0])
    # t = 2/3: r(0) = 1, r(1) = r(2) = sqrt((2/3) / (1/6)) = 2, r(3) = 1 as it never occurs
    np.testing.assert_allclose(class_repeat_factors(frequency, 2 / 3), [1, 2, 2, 1])
    np.testing.assert_allclose(class_repeat_factors(frequency, 2 / 3, use_sqrt=False), [1, 4, 4, 1])
    sampler = make_sampler("RepeatFactorTrainingSampler", BY_HAND, 4, 2 / 3, seed=0)
    assert sampler.times(0).tolist() == [1, 1, 1, 2, 2, 1]
    assert sampler.is_constant


def test_instance_aware_repeat_factors_by_hand() -> None:
    shares = instance_frequency(BY_HAND, 4)
    np.testing.assert_allclose(shares, [5 / 8, 2 / 8, 1 / 8, 0])
    # f(1) = sqrt(1/6 * 2/8) = 0.2041241, f(2) = sqrt(1/6 * 1/8) = 0.1443376; t = 1
    factor_1, factor_2 = math.sqrt(1 / 0.2041241452), math.sqrt(1 / 0.1443375673)
    factor_0 = math.sqrt(1 / math.sqrt(4 / 6 * 5 / 8))
    sampler = make_sampler("InstanceAwareRepeatFactorSampler", BY_HAND, 4, 1.0, seed=0)
    mean = np.mean([sampler.times(epoch) for epoch in range(4000)], axis=0)
    np.testing.assert_allclose(mean, [factor_0, factor_0, factor_0, factor_1, factor_2, 1], atol=0.04)
    assert not sampler.is_constant


def test_the_fraction_is_drawn_anew_each_epoch() -> None:
    images = long_tailed()
    sampler = make_sampler("RepeatFactorTrainingSampler", images, 12, 0.3, seed=3)
    expected = image_repeat_factors(images, class_repeat_factors(image_frequency(images, 12), 0.3))
    times = np.array([sampler.times(epoch) for epoch in range(1500)])
    assert set(np.unique(times - np.floor(expected))) == {0, 1}
    np.testing.assert_allclose(times.mean(axis=0), expected, atol=0.07)
    assert len({row.tobytes() for row in times}) == 1500


def test_detectron2s_sampler_repeats_as_often_over_many_epochs() -> None:
    images = long_tailed(60)
    factors = image_repeat_factors(images, class_repeat_factors(image_frequency(images, 12), 0.3))
    theirs = RepeatFactorTrainingSampler(torch.tensor(factors), seed=0)
    generator = torch.Generator().manual_seed(0)
    counts = np.mean([np.bincount(theirs._get_epoch_indices(generator), minlength=60) for _ in range(3000)], axis=0)
    sampler = make_sampler("RepeatFactorTrainingSampler", images, 12, 0.3, seed=0)
    ours = np.mean([sampler.times(epoch) for epoch in range(3000)], axis=0)
    np.testing.assert_allclose(ours, counts, atol=0.06)


def test_the_studys_threshold_repeats_nothing() -> None:
    images = [[c] for c in range(12) for _ in range(60 + 10 * c)]  # every class in more than 3 % of the images
    sampler = make_sampler("RepeatFactorTrainingSampler", images, 12, 0.001, seed=42)
    assert sampler.is_constant
    assert sampler.times(0).tolist() == [1] * len(images)
    natural = make_sampler("TrainingSampler", images, 12, 0.001, seed=42)
    assert [sampler.order(n).tolist() for n in range(3)] == [natural.order(n).tolist() for n in range(3)]


def test_class_balanced_draws_classes_alike() -> None:
    images = [[0]] * 90 + [[1]] * 9 + [[2, 2, 2]]
    sampler = make_sampler("ClassBalancedSampler", images, 4, 0.0, seed=0)
    shown = np.mean([sampler.times(epoch) for epoch in range(400)], axis=0)
    for part in (shown[:90], shown[90:99], shown[99:]):
        assert part.sum() == pytest.approx(100 / 3, abs=1.0)
    assert shown[:90].max() < 0.6 and shown[:90].min() > 0.2  # within a class, images alike


def test_class_balanced_shows_no_image_without_boxes() -> None:
    sampler = make_sampler("ClassBalancedSampler", BY_HAND, 4, 0.0, seed=0)
    assert sum(sampler.times(epoch)[5] for epoch in range(50)) == 0
    assert make_sampler("ClassBalancedSampler", [[], []], 4, 0.0, seed=0).times(0).tolist() == [1, 1]


@pytest.mark.parametrize("name", SAMPLERS)
def test_an_epoch_is_a_function_of_seed_and_number(name: str) -> None:
    images = long_tailed(50)
    first, again, other = (make_sampler(name, images, 12, 0.5, seed) for seed in (7, 7, 8))
    later = first.order(5)
    assert later.tolist() == again.order(5).tolist()  # without the epochs before
    assert later.tolist() != first.order(6).tolist()
    assert later.tolist() != other.order(5).tolist()
    assert np.bincount(later, minlength=50).tolist() == first.times(5).tolist()
    if first.is_constant:
        assert first.times(5).tolist() == first.times(0).tolist()


def test_an_unknown_name() -> None:
    with pytest.raises(ValueError, match="NoSampler"):
        make_sampler("NoSampler", BY_HAND, 4, 0.1, seed=0)
