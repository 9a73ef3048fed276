"""The paired bootstrap over images: how far a metric, or a difference of two, would move on other images of the kind.

Sources are drawn with replacement (images that are copies of one source together), the same draws for every detector:
that is the pairing. Every replicate is the exact COCO evaluation of the drawn set.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 6 and 16.

Shapes: I images, G sources, K classes, R resamples.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from agropest.statistics.accuracy.average_precision import AP, CLASS_PREFIX
from agropest.statistics.accuracy.image_weights import ImageWeights
from agropest.statistics.accuracy.metric import AP_WORST, BASES, Basis, basis_of, chosen_classes, reduce_classes
from agropest.statistics.detections.boxes import Boxes, GroundTruth
from agropest.statistics.detections.matching import Matches, Targets, match, read_targets

Array = npt.NDArray[Any]

RESAMPLES = 2000
HALVINGS = 32
CHUNK = 1024  # resamples at a time, which bounds the memory
MOST_KEPT = 4_000_000  # weights that are kept from detector to detector: 8 MiB
MOST_WEIGHTS = 16_000_000  # of images in resamples at a time: large sets take fewer resamples than a chunk


@dataclass(frozen=True)
class Replicates:
    """One detector's metric, and the same on every resample.

    Attributes:
        basis: what it is of.
        value: of the images as they are, [K].
        samples: [K, R], resample r being the same images for every detector.
        halves: [K, 2 H], on random halves of the images; every second one is the other half of the one before.
        class_names: [K]; of F1, which is pooled, there is one row.
        num_sources: G, of which the resamples are drawn.
        sources_by_class: [K], those with something of the class to find.
    """

    basis: Basis
    value: Array
    samples: Array
    halves: Array
    class_names: tuple[str, ...]
    num_sources: int
    sources_by_class: Array
    _known: dict[str, tuple[float | None, Array]] = field(default_factory=dict, repr=False)

    def of(self, metric: str) -> tuple[float | None, Array]:
        """Returns a metric that has this basis: its value (None without ground truth) and its replicates [R]."""
        if metric not in self._known:
            value = float(reduce_classes(metric, self.value[:, None], self.class_names)[0])
            samples = reduce_classes(metric, self.samples.astype(np.float64), self.class_names)
            self._known[metric] = (None if np.isnan(value) else value, samples)
        return self._known[metric]

    def values(self, metric: str) -> dict[str, float | None]:
        """Returns a metric that has this basis, and AP of each class where that is the basis, by their names."""
        found = {metric: self.of(metric)[0]}
        if self.basis == BASES[AP]:
            classes = zip(self.class_names, self.value.tolist(), strict=True)
            found |= {CLASS_PREFIX + name: None if np.isnan(value) else value for name, value in classes}
        return found

    def rows(self, metric: str) -> list[int]:
        """Returns the classes that a metric is the mean of; none where it is no mean."""
        if metric == AP_WORST or self.basis.kind == "F1":
            return []
        chosen = chosen_classes(metric, self.class_names) if metric not in BASES else ()
        names = chosen or self.class_names
        return [i for i, name in enumerate(self.class_names) if name in names]

    def sources(self, metric: str) -> int:
        """Returns the sample size behind a metric: of one class, the sources that hold it; else all of them."""
        chosen = chosen_classes(metric, self.class_names) if metric not in BASES else ()
        if len(chosen) != 1:
            return self.num_sources
        return int(self.sources_by_class[self.class_names.index(chosen[0])])

    def bias(self, metric: str) -> float:
        """Returns by how much the metric is expected to be too high because there are so few images.

        The mean of two halves minus the whole (Quenouille 1949): what half as many images add to a bias that falls as
        1/n. What is linear in the images cancels, so that few halves suffice.
        """
        value, _ = self.of(metric)
        halves = reduce_classes(metric, self.halves, self.class_names).reshape(-1, 2).mean(axis=1)
        known = halves[np.isfinite(halves)]
        return float(known.mean() - value) if value is not None and len(known) > len(halves) / 2 else 0.0


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
    parts = weightings(targets, resamples, seed)
    found = np.concatenate([basis.by_class(matches, part, deployed_threshold) for part in parts], axis=1)
    value, samples, halves = found[:, 0], found[:, 1 : 1 + resamples], found[:, 1 + resamples :]
    if targets.num_groups < 2:
        samples = np.full(samples.shape, np.nan)  # one picture tells nothing about others
    kept = (value, samples.astype(np.float32), halves.astype(np.float32))  # as they are on disk
    return Replicates(basis, *kept, targets.class_names, targets.num_groups, targets.sources_by_class(basis.area))


def weightings(targets: Targets, resamples: int, seed: int) -> Iterator[ImageWeights]:
    """Yields what :func:`replicate` weighs images by, in parts of at most ``MOST_WEIGHTS``.

    In order: the images as they are, the resamples, the halves. Of a small split all of it is kept for the next
    detector, because making it takes as long as using it.
    """
    once = np.ones((1, targets.num_groups), dtype=np.uint16)
    if (1 + resamples + 2 * HALVINGS) * targets.num_images <= MOST_KEPT:
        yield _kept_weights(targets, resamples, seed)
        return
    for counts in (once, *draws(targets.num_groups, resamples, seed), halvings(targets.num_groups, seed)):
        for part in in_parts(counts, targets.num_images):
            yield ImageWeights(targets, part[:, targets.group])


@lru_cache(maxsize=4)
def _kept_weights(targets: Targets, resamples: int, seed: int) -> ImageWeights:
    once = np.ones((1, targets.num_groups), dtype=np.uint16)
    counts = np.concatenate([once, *draws(targets.num_groups, resamples, seed), halvings(targets.num_groups, seed)])
    return ImageWeights(targets, counts[:, targets.group])


def in_parts(draw: Array, num_images: int) -> list[Array]:
    """Returns resamples [R, G] in parts that each weigh at most ``MOST_WEIGHTS`` images; R stays in order."""
    return np.array_split(draw, max(1, -(-len(draw) * num_images // MOST_WEIGHTS)))


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


@lru_cache(maxsize=4)
def halvings(num_sources: int, seed: int) -> Array:
    """Returns random halves of the sources, each followed by the other half, [2 H, G], 0 or 1."""
    random = np.random.default_rng([seed, 1, 2])
    half = np.arange(num_sources) < num_sources // 2
    firsts = np.stack([random.permutation(half) for _ in range(HALVINGS)])
    return np.stack([firsts, ~firsts], axis=1).reshape(2 * HALVINGS, num_sources)


def paired_bootstrap(
    ground_truth: GroundTruth | Targets,
    detectors: Mapping[str, Boxes],
    metric: str = AP,
    resamples: int = RESAMPLES,
    seed: int = 0,
    deployed_threshold: float = 0.5,
    max_detections: int | None = 100,
) -> dict[str, Replicates]:
    """Returns the replicates of several detectors on one set of images, paired; on all cores.

    Args:
        detectors: name to boxes.
        metric: of :mod:`agropest.statistics.accuracy.metric`; ``replicates.of(metric)`` reads it, and all with the
        same basis.

    Raises:
        DataError: a box is on an image that the ground truth lacks.
    """
    targets = ground_truth if isinstance(ground_truth, Targets) else read_targets(ground_truth)
    basis = basis_of(metric)
    draws(targets.num_groups, resamples, seed)  # once, before several threads ask for them

    def of(boxes: Boxes) -> Replicates:
        matches = match(targets, boxes, max_detections, [basis.area])
        return replicate(matches, basis, resamples, seed, deployed_threshold)

    # Almost all of it is in numpy, which lets other threads run meanwhile.
    with ThreadPoolExecutor(min(len(os.sched_getaffinity(0)), max(len(detectors), 1))) as pool:
        return dict(zip(detectors, pool.map(of, detectors.values()), strict=True))


def variance_of_seed(values: Array, samples: Array) -> float:
    """Returns an unbiased estimate of the variance that another seed makes in a value; below 0 by chance.

    Two trainings differ on the same images by what the seed did and by what these images happened to show of either.
    The second is in the images' resamples: its variance W is the mean of their variances less the mean of their
    covariances. What is left of the variance V between the values is the seeds': V - W (a random effect by the method
    of moments: Searle, Casella and McCulloch, Variance Components, 1992, chapter 3).

    Args:
        values: of each of several seeds on the images as they are, [S].
        samples: on each resample, [S, R].
    """
    size = len(values)
    known = samples[:, np.isfinite(samples).all(axis=0)]
    within = 0.0
    if known.shape[1] > 1:
        covariance = np.cov(known)
        common = (covariance.sum() - covariance.trace()) / (size * (size - 1))
        within = max(float(covariance.trace() / size - common), 0.0)
    return float(values.var(ddof=1)) - within


def weighted_metrics(matches: Matches, weights: Array, deployed_threshold: float = 0.5) -> dict[str, Array]:
    """Returns every metric in percent, [R] each; NaN where there is no ground truth.

    Args:
        matches: with all area ranges.
        weights: how often each image counts, [I, R], whole numbers.
    """
    known: dict[Basis, Array] = {}
    class_names: Sequence[str] = matches.targets.class_names
    counted = ImageWeights(matches.targets, weights.T)
    metrics = {}
    for name in (*BASES, *(CLASS_PREFIX + name for name in class_names)):
        basis = basis_of(name)
        if basis not in known:
            known[basis] = basis.by_class(matches, counted, deployed_threshold)
        metrics[name] = reduce_classes(name, known[basis], class_names)
    return metrics
