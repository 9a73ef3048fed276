"""What a mean over classes rests on where some of them are in few images.

A class that one image holds has no spread that a resample could show: with that image its AP is what it is, without it
there is none. Its spread is taken from the other classes: the variance that one image makes is pooled over them, and a
class of g images counts g - 1 degrees of freedom beside the pool's (the moderated variance of Smyth 2004, Statistical
Applications in Genetics and Molecular Biology 3(1), with fixed prior degrees of freedom).

Shapes: K classes, R resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

FEW_SOURCES = 6  # in fewer a class alone establishes nothing: a sign test of five images that agree has p = 0.06
RARE_SOURCES = 30  # from here on the bootstrap's own spread of a class serves
PRIOR_FREEDOM = 4.0


@dataclass(frozen=True)
class FewImages:
    """The part of a difference that rests on classes in fewer than six images.

    Attributes:
        part: of the difference, in its unit.
        classes: their names, with the number of images that hold each.
    """

    part: float
    classes: Mapping[str, int]


def few_images(differences: Array, class_names: Sequence[str], sources: Array, rows: Sequence[int]) -> FewImages | None:
    """Returns what of the difference of a mean over classes rests on those in few images; None where no class is.

    Args:
        differences: of every class, [K]; NaN without ground truth.
        sources: that hold something of the class, [K].
        rows: the classes of the mean; none where it is no mean.
    """
    there = [i for i in rows if np.isfinite(differences[i])]
    few = [i for i in there if sources[i] < FEW_SOURCES]
    if len(there) < 2 or not few:
        return None
    part = float(differences[few].sum()) / len(there)
    return FewImages(part, {class_names[i]: int(sources[i]) for i in few})


def filled(samples: Array) -> Array:
    """Returns the resamples with every class in each: one that was not drawn has its mean over the others, [K, R].

    A mean over fewer classes is of something else, and would move for that reason alone.
    """
    known = np.isfinite(samples)
    count = known.sum(axis=1, keepdims=True)
    mean = np.where(known, samples, 0.0).sum(axis=1, keepdims=True) / np.maximum(count, 1)
    whole: Array = np.where(known, samples, mean)
    return whole


def class_variances(samples: Array, sources: Array) -> tuple[Array, Array]:
    """Returns the variance of every class's value, moderated, and its degrees of freedom, [K] each.

    Args:
        samples: on every resample, [K, R]; NaN where no image of the class was drawn.
        sources: that hold something of the class, [K], each at least 1.
    """
    known = np.isfinite(samples)
    count = known.sum(axis=1)
    mean = np.where(known, samples, 0.0).sum(axis=1) / np.maximum(count, 1)
    squares = (np.where(known, samples - mean[:, None], 0.0) ** 2).sum(axis=1)
    freedom = np.maximum(sources - 1.0, 0.0)
    # n draws of n show (n - 1) / n of the variance; times n again, the variance that one image makes.
    of_one = squares / np.maximum(count - 1, 1) * sources * sources / np.maximum(freedom, 1.0) * (freedom > 0)
    pooled = float((freedom * of_one).sum() / freedom.sum()) if freedom.sum() else 0.0
    moderated = (PRIOR_FREEDOM * pooled + freedom * of_one) / (PRIOR_FREEDOM + freedom)
    return moderated / sources, PRIOR_FREEDOM + freedom


def no_less_than_seen(variances: Array, differences: Array, sources: Array) -> Array:
    """Returns variances of differences that let no class in few images establish anything alone, [K].

    Two detectors may agree on every other image, and the pool then says that images do nothing. Were the variants
    equal, the square of a class's difference would be its variance in the mean: no class has less than that.
    """
    raised: Array = np.where(sources < FEW_SOURCES, np.maximum(variances, differences**2), variances)
    return raised
