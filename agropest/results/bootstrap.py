"""The paired bootstrap over images: how far a metric, or a difference of two, would move on other images of the kind.

Sources are drawn with replacement (images that are copies of one source together), the same draws for every detector:
that is the pairing. Every replicate is the exact COCO evaluation of the drawn set.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 6 and 16.

Shapes: I images, G sources, K classes, R resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from agropest.results.average_precision import AP, CLASS_PREFIX
from agropest.results.boxes import Boxes, GroundTruth
from agropest.results.matching import Matches, Targets, match, read_targets
from agropest.results.metric import BASES, Basis, basis_of, reduce_classes

Array = npt.NDArray[Any]

RESAMPLES = 2000
CHUNK = 256  # resamples at a time: what a second-level cache holds, and what bounds the memory


@dataclass(frozen=True)
class Replicates:
    """One detector's metric, and the same on every resample.

    Attributes:
        basis: what it is of.
        value: of the images as they are, [K].
        samples: [K, R], resample r being the same images for every detector.
        class_names: [K]; of F1, which is pooled, there is one row.
    """

    basis: Basis
    value: Array
    samples: Array
    class_names: tuple[str, ...]
    _known: dict[str, tuple[float | None, Array]] = field(default_factory=dict, repr=False)

    def of(self, metric: str) -> tuple[float | None, Array]:
        """Returns a metric that has this basis: its value (None without ground truth) and its replicates [R]."""
        if metric not in self._known:
            value = float(reduce_classes(metric, self.value[:, None], self.class_names)[0])
            samples = reduce_classes(metric, self.samples.astype(np.float64), self.class_names)
            self._known[metric] = (None if np.isnan(value) else value, samples)
        return self._known[metric]


def replicate(
    matches: Matches,
    basis: Basis,
    resamples: int = RESAMPLES,
    seed: int = 0,
    deployed_threshold: float = 0.5,
) -> Replicates:
    """Returns the replicates of one detector.

    Args:
        matches: with the area range of the basis.
        resamples: R.
        seed: of the draws; equal for detectors that are to be compared.
    """
    targets = matches.targets
    once = np.ones((targets.num_images, 1), dtype=np.int32)
    value = basis.by_class(matches, once, deployed_threshold)[:, 0]
    parts = [
        basis.by_class(matches, draw.T[targets.group].astype(np.int32), deployed_threshold)
        for draw in draws(targets.num_groups, resamples, seed)
    ]
    samples = np.concatenate(parts, axis=1).astype(np.float32)  # as they are kept on disk
    return Replicates(basis, value, samples, targets.class_names)


@lru_cache(maxsize=4)
def draws(num_sources: int, resamples: int, seed: int) -> tuple[Array, ...]:
    """Returns how often each source is drawn, up to ``CHUNK`` resamples each [.., G], ``resamples`` in all.

    A function of its arguments alone: the same for every detector, today and later.
    """
    share = np.full(num_sources, 1 / max(num_sources, 1))
    sizes = [min(CHUNK, resamples - start) for start in range(0, resamples, CHUNK)]
    return tuple(
        np.random.default_rng([seed, number]).multinomial(num_sources, share, size=size).astype(np.uint16)
        for number, size in enumerate(sizes)
    )


def paired_bootstrap(
    ground_truth: GroundTruth | Targets,
    detectors: Mapping[str, Boxes],
    metric: str = AP,
    resamples: int = RESAMPLES,
    seed: int = 0,
    deployed_threshold: float = 0.5,
    max_detections: int | None = 100,
) -> dict[str, Replicates]:
    """Returns the replicates of several detectors on one set of images, paired.

    Args:
        detectors: name to boxes.
        metric: of :mod:`agropest.results.metric`; ``replicates.of(metric)`` reads it, and all with the same basis.

    Raises:
        DataError: a box is on an image that the ground truth lacks.
    """
    targets = ground_truth if isinstance(ground_truth, Targets) else read_targets(ground_truth)
    basis = basis_of(metric)
    return {
        name: replicate(match(targets, boxes, max_detections, [basis.area]), basis, resamples, seed, deployed_threshold)
        for name, boxes in detectors.items()
    }


def over_seeds(samples: Array, stream: str) -> Array:
    """Returns the mean over seeds on every resample, the seeds drawn with replacement, [S, .., R] to [.., R].

    Drawing S of S seeds shows (S - 1) / S of the variance that the mean has; the deviations are widened by as much.

    Args:
        stream: of the draws: what is drawn under one name is drawn alike.
    """
    size, resamples = len(samples), samples.shape[-1]
    mean: Array = samples.mean(axis=0)
    if size == 1:
        return mean
    random = np.random.default_rng([size, resamples, *stream.encode()])
    counts = random.multinomial(size, np.full(size, 1 / size), size=resamples)
    drawn = np.einsum("s...r,rs->...r", samples, counts) / size
    widened: Array = mean + np.sqrt(size / (size - 1)) * (drawn - mean)
    return widened


def weighted_metrics(matches: Matches, weights: Array, deployed_threshold: float = 0.5) -> dict[str, Array]:
    """Returns every metric in percent, [R] each; NaN where there is no ground truth.

    Args:
        matches: with all area ranges.
        weights: how often each image counts, [I, R], whole numbers.
    """
    known: dict[Basis, Array] = {}
    class_names: Sequence[str] = matches.targets.class_names
    metrics = {}
    for name in (*BASES, *(CLASS_PREFIX + name for name in class_names)):
        basis = basis_of(name)
        if basis not in known:
            known[basis] = basis.by_class(matches, weights, deployed_threshold)
        metrics[name] = reduce_classes(name, known[basis], class_names)
    return metrics
