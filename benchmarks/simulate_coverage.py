"""How often the 95 % intervals hold the truth, on test sets drawn from a population in which the truth is known.

    python -m benchmarks.simulate_coverage [--sets 400] [--images 546] [--resamples 1000]

The population: 60,000 images of one species each, classes as frequent as in AgroPest-12, 1.26 objects an image, images
and classes of different difficulty, and two detectors whose errors are correlated, the second a little better. Each set
is so many images of it; for each, the intervals of AP, of the rarest class's AP and of the paired differences are
computed as a ranking does and compared with the values of the whole population. The percentile interval stands beside
them. Also counts how often two equal detectors (a third, drawn like the first) get a verdict.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, expit, ndtr

from agropest.statistics.average_precision import AP, CLASS_PREFIX
from agropest.statistics.bootstrap import Replicates, replicate
from agropest.statistics.inference import INCONCLUSIVE, Sampled, compare, estimate
from agropest.statistics.matching import IOU_THRESHOLDS, Matches, Targets
from agropest.statistics.metric import Basis
from benchmarks.synthetic import BOXES_PER_IMAGE, CLASS_NAMES, TRAIN_BOXES

Array = npt.NDArray[np.float64]
POPULATION = 60_000
CORRELATION = 0.7
SHIFTS = (0.0, 0.06, 0.0)  # of the detectors' quality, in standard deviations
CLASS = CLASS_PREFIX + CLASS_NAMES[8]  # the rarest


def draw_population(seed: int) -> tuple[Array, list[tuple[Array, ...]]]:
    """Returns objects by class and image [K, I], and of each detector (image, class, score, IoU) of every box."""
    random = np.random.default_rng(seed)
    species = random.choice(len(CLASS_NAMES), POPULATION, p=TRAIN_BOXES / TRAIN_BOXES.sum())
    image = np.repeat(np.arange(POPULATION), 1 + random.poisson(BOXES_PER_IMAGE - 1, POPULATION))
    easy_image, easy_class = random.normal(0, 0.5, POPULATION), np.linspace(-0.8, 0.8, len(CLASS_NAMES))
    common = random.normal(size=len(image))
    detectors = []
    for shift in SHIFTS:
        own = random.normal(size=len(image))
        quality = np.sqrt(CORRELATION) * common + np.sqrt(1 - CORRELATION) * own
        quality = (quality + easy_image[image] + easy_class[species[image]]) / np.sqrt(1.5) + shift
        score = expit(1.2 * quality + 1 + 0.9 * random.normal(size=len(image)))
        wrong = np.repeat(np.arange(POPULATION), random.poisson(1.6, POPULATION))
        taken_for = np.where(random.random(len(wrong)) < 0.5, species[wrong], random.choice(species, len(wrong)))
        low = expit(-1.6 + 1.2 * random.normal(size=len(wrong)))
        iou = betaincinv(5.0, 2.0, ndtr(quality))
        columns = ((image, wrong), (species[image], taken_for), (score, low), (iou, np.zeros(len(wrong))))
        detectors.append(tuple(np.concatenate(column) for column in columns))
    positives = np.zeros((len(CLASS_NAMES), POPULATION), dtype=np.int64)
    np.add.at(positives, (species[image], image), 1)
    return positives, detectors


def matches_of(positives: Array, detector: tuple[Array, ...], images: Array) -> Matches:
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sets", type=int, default=400)
    parser.add_argument("--images", type=int, default=546)
    parser.add_argument("--resamples", type=int, default=1000)
    arguments = parser.parse_args()
    positives, detectors = draw_population(0)
    whole = [matches_of(positives, each, np.arange(POPULATION)) for each in detectors]
    every = np.ones((POPULATION, 1), dtype=np.int32)
    by_class = [Basis().by_class(each, every, 0.5)[:, 0] for each in whole]
    known = {AP: [each.mean() for each in by_class], CLASS: [each[8] for each in by_class]}
    truth = {}
    for name, values in known.items():
        truth |= {name: values[0], f"{name} difference": values[1] - values[0]}
    print(f"population: AP {known[AP][0]:.2f} and {known[AP][1]:.2f}", flush=True)

    random = np.random.default_rng(1)
    held: dict[str, list[tuple[bool, bool, float, float]]] = defaultdict(list)
    called = 0
    for number in range(arguments.sets):
        images = np.sort(random.choice(POPULATION, arguments.images, replace=False))
        drawn = [
            replicate(matches_of(positives, each, images), Basis(), arguments.resamples, number) for each in detectors
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
    print(f"{arguments.sets} sets of {arguments.images} images, {arguments.resamples} resamples each:")
    print(f"{'':24s}  coverage  (percentile)  mean width  truth  mean estimate")
    for name, rows in held.items():
        ours, percentile, width, value = np.array(rows, dtype=float).mean(axis=0)
        print(
            f"{name:24s}  {ours:7.1%}  {percentile:11.1%}  {width:10.2f}  {truth[name]:6.2f}  {value:6.2f}", flush=True
        )
    print(f"equal detectors called different (AP, p < 0.05): {called / arguments.sets:.1%} of the sets")


if __name__ == "__main__":
    main()
