"""Which images an epoch shows, and in which order: a pure function of (seed, epoch). numpy only.

Repeat factors are computed as Detectron2 does (``data/samplers/distributed_sampler.py``, after Gupta et al., "LVIS",
CVPR 2019, section 4.1):

1. f(c): the share of images that hold class c
2. r(c) = max(1, sqrt(t / f(c)))
3. r(I) = max of r(c) over the classes in image I; 1 for an image without boxes
4. an epoch shows image I floor(r(I)) times, and once more with probability r(I) - floor(r(I))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class EpochSampler:
    """The images of every epoch.

    Attributes:
        draw_times: how many times each image is shown, [number of images], drawn with a generator.
        seed: of the trial.
        is_constant: ``draw_times`` gives the same for every epoch.
    """

    draw_times: Callable[[np.random.Generator], np.ndarray]
    seed: int
    is_constant: bool

    def times(self, epoch: int) -> np.ndarray:
        """Returns how many times an epoch shows each image: int64 [number of images]."""
        return self.draw_times(np.random.default_rng([self.seed, epoch]))

    def order(self, epoch: int) -> np.ndarray:
        """Returns the indices of the images of an epoch in the order shown: int64 [sum of :meth:`times`]."""
        generator = np.random.default_rng([self.seed, epoch])
        times = self.draw_times(generator)
        return generator.permutation(np.repeat(np.arange(len(times)), times))


def make_sampler(
    name: str,
    image_classes: Sequence[Sequence[int]],
    num_classes: int,
    threshold: float,
    seed: int,
    use_sqrt: bool = True,
) -> EpochSampler:
    """Returns the sampler that ``DATALOADER.SAMPLER_TRAIN`` names.

    Args:
        name: one of ``agropest.modeling.config.SAMPLERS``.
        image_classes: the class index of every box of every image.
        threshold: ``DATALOADER.REPEAT_THRESHOLD``, of the repeat-factor samplers.
        seed: of the trial.
        use_sqrt: ``DATALOADER.REPEAT_SQRT``, which Detectron2 has since 2022; False: r(c) = max(1, t / f(c)).

    Raises:
        ValueError: there is no such sampler.
    """
    if name == "TrainingSampler":
        ones = np.ones(len(image_classes), dtype=np.int64)
        return EpochSampler(lambda _: ones, seed, is_constant=True)
    if name == "ClassBalancedSampler":
        holders = _images_of_each_class(image_classes, num_classes)
        return EpochSampler(lambda g: _class_balanced(holders, len(image_classes), g), seed, is_constant=False)
    if name not in ("RepeatFactorTrainingSampler", "InstanceAwareRepeatFactorSampler"):
        raise ValueError(f"no sampler is called {name!r}")
    frequency = image_frequency(image_classes, num_classes)
    if name == "InstanceAwareRepeatFactorSampler":
        frequency = np.sqrt(frequency * instance_frequency(image_classes, num_classes))  # Yaman et al. 2023, section 3
    repeats = image_repeat_factors(image_classes, class_repeat_factors(frequency, threshold, use_sqrt))
    if (repeats == np.floor(repeats)).all():  # nothing is drawn: where all are 1, the order is TrainingSampler's
        whole = repeats.astype(np.int64)
        return EpochSampler(lambda _: whole, seed, is_constant=True)
    return EpochSampler(lambda g: _rounded(repeats, g), seed, is_constant=False)


def class_repeat_factors(frequency: np.ndarray, threshold: float, use_sqrt: bool = True) -> np.ndarray:
    """Returns r(c) for frequencies f(c) in [0, 1]; 1 for a class that never occurs."""
    factors = np.ones_like(frequency)
    present = frequency > 0
    ratio = threshold / frequency[present]
    factors[present] = np.maximum(1.0, np.sqrt(ratio) if use_sqrt else ratio)
    return factors


def image_repeat_factors(image_classes: Sequence[Sequence[int]], factors: np.ndarray) -> np.ndarray:
    """Returns r(I): the largest factor among an image's classes; 1 for an image without boxes."""
    return np.array([max((factors[c] for c in set(classes)), default=1.0) for classes in image_classes])


def image_frequency(image_classes: Sequence[Sequence[int]], num_classes: int) -> np.ndarray:
    """Returns the share of images that hold each class."""
    counts = np.zeros(num_classes)
    for classes in image_classes:
        counts[list(set(classes))] += 1
    return counts / max(len(image_classes), 1)


def instance_frequency(image_classes: Sequence[Sequence[int]], num_classes: int) -> np.ndarray:
    """Returns each class's share of all boxes."""
    all_classes = np.array([c for classes in image_classes for c in classes], dtype=np.int64)
    return np.bincount(all_classes, minlength=num_classes) / max(len(all_classes), 1)


def _rounded(repeats: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    whole = np.floor(repeats)
    return (whole + (generator.random(len(repeats)) < repeats - whole)).astype(np.int64)


def _images_of_each_class(image_classes: Sequence[Sequence[int]], num_classes: int) -> list[np.ndarray]:
    holders: list[list[int]] = [[] for _ in range(num_classes)]
    for image, classes in enumerate(image_classes):
        for c in set(classes):
            holders[c].append(image)
    return [np.array(images) for images in holders if images]


def _class_balanced(holders: list[np.ndarray], num_images: int, generator: np.random.Generator) -> np.ndarray:
    """As many pictures as there are images: each a class, all alike, and then an image that holds it."""
    if not holders:  # no image has a box
        return np.ones(num_images, dtype=np.int64)
    times = np.zeros(num_images, dtype=np.int64)
    for images, share in zip(holders, np.bincount(generator.integers(len(holders), size=num_images)), strict=False):
        np.add.at(times, images[generator.integers(len(images), size=share)], 1)
    return times
