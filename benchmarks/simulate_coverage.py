"""How often the 95 % intervals hold the truth, on test sets drawn from a population in which the truth is known.

    python -m benchmarks.simulate_coverage [--sets 400] [--images 546] [--resamples 1000] [--seeds 1 2 3 5]

The population: 60,000 images of one species each, classes as frequent as in AgroPest-12, 1.26 objects an image, images
and classes of different difficulty, and two detectors whose errors are correlated, the second a little better. Each set
is so many images of it; for each, the intervals of AP, of the rarest class's AP and of the paired differences are
computed as a ranking does and compared with the values of the whole population. The percentile interval stands beside
them. Also counts how often two equal detectors (a third, drawn like the first) get a verdict.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, expit, ndtr

from agropest.analysis.candidates import Candidate, Drawn
from agropest.analysis.comparison import compare_candidates
from agropest.statistics.accuracy.average_precision import AP, CLASS_PREFIX
from agropest.statistics.accuracy.image_weights import ImageWeights
from agropest.statistics.accuracy.metric import Basis
from agropest.statistics.bootstrap import Replicates, replicate
from agropest.statistics.detections.matching import IOU_THRESHOLDS, Matches, Targets
from agropest.statistics.inference import INCONCLUSIVE, Sampled, compare, estimate
from agropest.store.records import TrialState
from benchmarks.synthetic import BOXES_PER_IMAGE, CLASS_NAMES, TRAIN_BOXES

Array = npt.NDArray[np.float64]
Detector = tuple[Array, ...]
POPULATION = 60_000
CORRELATION = 0.7
SHIFTS = (0.0, 0.06, 0.0)  # of the detectors' quality, in standard deviations
CLASS = CLASS_PREFIX + CLASS_NAMES[8]  # the rarest


@dataclass(frozen=True)
class Population:
    """All images there are, one species each.

    Attributes:
        species: of each image, [I].
        image: of each object, [O].
        ease: of each object's image and class, in standard deviations of quality, [O].
        common: what all detectors share of an object's quality, [O].
        positives: objects by class and image, [K, I].
    """

    species: Array
    image: Array
    ease: Array
    common: Array
    positives: Array


def draw_population(random: np.random.Generator) -> Population:
    """Returns the images and objects."""
    species = random.choice(len(CLASS_NAMES), POPULATION, p=TRAIN_BOXES / TRAIN_BOXES.sum())
    image = np.repeat(np.arange(POPULATION), 1 + random.poisson(BOXES_PER_IMAGE - 1, POPULATION))
    easy_image, easy_class = random.normal(0, 0.5, POPULATION), np.linspace(-0.8, 0.8, len(CLASS_NAMES))
    common = random.normal(size=len(image))
    positives = np.zeros((len(CLASS_NAMES), POPULATION), dtype=np.int64)
    np.add.at(positives, (species[image], image), 1)
    return Population(species, image, easy_image[image] + easy_class[species[image]], common, positives)


def draw_detector(population: Population, shift: float, images: Array, random: np.random.Generator) -> Detector:
    """Returns (image, class, score, IoU) of every box of a detector on some images; ``shift`` is of its quality."""
    there = np.isin(population.image, images)
    image, species = population.image[there], population.species
    own = random.normal(size=len(image))
    quality = np.sqrt(CORRELATION) * population.common[there] + np.sqrt(1 - CORRELATION) * own
    quality = (quality + population.ease[there]) / np.sqrt(1.5) + shift
    score = expit(1.2 * quality + 1 + 0.9 * random.normal(size=len(image)))
    wrong = np.repeat(images, random.poisson(1.6, len(images)))
    taken_for = np.where(random.random(len(wrong)) < 0.5, species[wrong], random.choice(species, len(wrong)))
    low = expit(-1.6 + 1.2 * random.normal(size=len(wrong)))
    iou = betaincinv(5.0, 2.0, ndtr(quality))
    columns = ((image, wrong), (species[image], taken_for), (score, low), (iou, np.zeros(len(wrong))))
    return tuple(np.concatenate(column) for column in columns)


def matches_of(positives: Array, detector: Detector, images: Array) -> Matches:
    """Returns a detector's boxes on some of the images, matched."""
    number = np.full(positives.shape[1], -1)
    number[images] = np.arange(len(images))
    kept = number[detector[0]] >= 0
    image, category, score, iou = (column[kept] for column in detector)
    image = number[image]
    order = np.lexsort((image, -score, category))
    counts = np.zeros((4, len(CLASS_NAMES), len(images)), dtype=np.int64)
    counts[0] = positives[:, images]
    nothing = np.zeros(0)
    targets = Targets(
        np.arange(len(images)),
        np.arange(len(CLASS_NAMES)),
        tuple(CLASS_NAMES),
        np.arange(len(images)),
        nothing,
        nothing,
        nothing,
        nothing,
        counts,
    )
    right = (iou[order][None] >= IOU_THRESHOLDS[:, None]).astype(np.uint8)
    starts = np.searchsorted(category[order], np.arange(len(CLASS_NAMES) + 1))
    return Matches(targets, image[order], starts, score[order], np.zeros(len(order)), {"all": right})


def quantities(one: Replicates, two: Replicates) -> dict[str, Sampled]:
    """Returns what the intervals are of."""
    found = {}
    for name in (AP, CLASS):
        (value, samples), (other, others) = one.of(name), two.of(name)
        if value is not None and other is not None:
            found[name] = Sampled(value, samples, one.bias(name), sources=one.sources(name))
            found[f"{name} difference"] = Sampled(other - value, others - samples, sources=one.sources(name))
    return found


def of_population(population: Population, detector: Detector) -> Array:
    """Returns the AP of every class on the whole population, percent."""
    matches = matches_of(population.positives, detector, np.arange(POPULATION))
    every = ImageWeights(matches.targets, np.ones((1, POPULATION), np.uint16))
    return Basis().by_class(matches, every, 0.5)[:, 0]


def simulate_detectors(
    population: Population, detectors: list[Detector], sets: int, images: int, resamples: int
) -> None:
    """Prints how often the intervals of single trials hold the truth."""
    by_class = [of_population(population, each) for each in detectors]
    known = {AP: [each.mean() for each in by_class], CLASS: [each[8] for each in by_class]}
    truth = {}
    for name, values in known.items():
        truth |= {name: values[0], f"{name} difference": values[1] - values[0]}
    print(f"population: AP {known[AP][0]:.2f} and {known[AP][1]:.2f}", flush=True)

    random = np.random.default_rng(1)
    held: dict[str, list[tuple[bool, bool, float, float]]] = defaultdict(list)
    called = 0
    for number in range(sets):
        chosen = np.sort(random.choice(POPULATION, images, replace=False))
        drawn = [
            replicate(matches_of(population.positives, each, chosen), Basis(), resamples, number) for each in detectors
        ]
        for name, sampled in quantities(drawn[0], drawn[1]).items():
            interval = estimate(sampled).interval
            low, high = np.nanquantile(sampled.samples, [0.025, 0.975])
            if interval is not None:
                held[name].append(
                    (
                        interval.low <= truth[name] <= interval.high,
                        low <= truth[name] <= high,
                        interval.high - interval.low,
                        sampled.value,
                    )
                )
        equal = quantities(drawn[0], drawn[2])[f"{AP} difference"]
        called += compare([equal])[0].verdict != INCONCLUSIVE
    print(f"{sets} sets of {images} images, {resamples} resamples each:")
    print(f"{'':24s}  coverage  (percentile)  mean width  truth  mean estimate")
    for name, rows in held.items():
        ours, percentile, width, value = np.array(rows, dtype=float).mean(axis=0)
        print(
            f"{name:24s}  {ours:7.1%}  {percentile:11.1%}  {width:10.2f}  {truth[name]:6.2f}  {value:6.2f}", flush=True
        )
    print(f"equal detectors called different (AP, p < 0.05): {called / sets:.1%} of the sets")


def over_all_seeds(population: Population, shift: float, spread: float) -> tuple[float, float]:
    """Returns mean and standard deviation of a variant's AP over all seeds (Gauss and Hermite's quadrature)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    everything = np.arange(POPULATION)
    random = np.random.default_rng(2)
    detectors = [draw_detector(population, shift + spread * node, everything, random) for node in nodes]
    aps = np.array([of_population(population, each).mean() for each in detectors])
    mean = float(np.average(aps, weights=weights))
    return mean, float(np.sqrt(np.average((aps - mean) ** 2, weights=weights)))


def simulate_seeds(population: Population, seeds: int, spread: float, sets: int, images: int, resamples: int) -> None:
    """Prints how often the intervals of variants with several seeds hold the mean over all seeds."""
    (base, of_seeds), (better, _) = (over_all_seeds(population, shift, spread) for shift in SHIFTS[:2])
    random = np.random.default_rng(3)
    held, called = defaultdict(list), 0
    for number in range(sets):
        chosen = np.sort(random.choice(POPULATION, images, replace=False))
        candidates = []
        for label, shift in zip(("base", "better", "equal"), SHIFTS, strict=True):
            drawn = []
            for moved in shift + spread * random.normal(size=seeds):
                detector = draw_detector(population, moved, chosen, random)
                drawn.append(matches_of(population.positives, detector, chosen))
            replicates = tuple(replicate(each, Basis(), resamples, number) for each in drawn)
            trials = Drawn(tuple(range(seeds)), (), replicates, replicates, (None,) * seeds)
            candidates.append(Candidate(label, TrialState.FINISHED, trials))
        found = {one.label: one for one in compare_candidates(candidates, AP, "base", drawn[0].targets).variants}
        difference = found["better"].difference
        assert difference is not None
        for name, truth, interval in (
            (AP, base, found["base"].estimate.interval),
            (f"{AP} difference", better - base, difference.interval),
        ):
            assert interval is not None
            held[name].append((interval.low <= truth <= interval.high, interval.high - interval.low))
        equal = found["equal"].difference
        called += equal is not None and equal.verdict != INCONCLUSIVE
    print(f"{seeds} seeds, spread {of_seeds:.2f} AP; {sets} sets of {images} images, {resamples} resamples each:")
    for name, rows in held.items():
        coverage, width = np.array(rows, dtype=float).mean(axis=0)
        print(f"{name:24s}  {coverage:7.1%}  mean width {width:6.2f}", flush=True)
    print(f"equal variants called different (AP, one of two comparisons): {called / sets:.1%} of the sets", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sets", type=int, default=400)
    parser.add_argument("--images", type=int, default=546)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="of each variant; several: one after another")
    parser.add_argument("--spread", type=float, default=0.02, help="of a seed's quality, in standard deviations")
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    population = draw_population(random)
    size = (arguments.sets, arguments.images, arguments.resamples)
    for seeds in arguments.seeds:
        if seeds == 1:
            everything = np.arange(POPULATION)
            detectors = [draw_detector(population, shift, everything, random) for shift in SHIFTS]
            simulate_detectors(population, detectors, *size)
        else:
            simulate_seeds(population, seeds, arguments.spread, *size)


if __name__ == "__main__":
    main()
