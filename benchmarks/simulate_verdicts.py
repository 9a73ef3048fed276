"""How often equal variants are called better or worse, and how often the printed intervals hold the truth.

    python -m benchmarks.simulate_verdicts [--images 150 546 5000] [--spread 0 0.3 0.6 1.2] [--sets 200]

Sweeps of five equal variants, simulated down to the boxes (the population of ``simulate_coverage``): each seed of each
variant is a detector of its own, whose true AP differs from the variant's by so many points (``--spread``, standard
deviation). Everything goes through ``compare_candidates``, as a launch does. For each cell: the share of sweeps in
which a variant is called better or worse than the baseline; of the intervals (a variant's AP, its difference, the
corrected one of the first) how many hold the mean over all seeds there could be, and by how much the first is too high.

``1 borrowed``: one seed, with what a seed does taken from four variants with two seeds each of another sweep.
``--apart 3``: the last variant's seeds spread so many times as much as the others'.
``--rare 1``: two of the twelve classes are in so many images of each set.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from agropest.analysis.candidates import Candidate, Drawn
from agropest.analysis.compared import Comparison
from agropest.analysis.comparison import compare_candidates
from agropest.analysis.evidence import Borrowed
from agropest.statistics.accuracy.average_precision import AP
from agropest.statistics.accuracy.metric import Basis
from agropest.statistics.bootstrap import Replicates, replicate
from agropest.statistics.detections.matching import Targets
from agropest.statistics.inference import BETTER, WORSE
from agropest.store.records import TrialState
from benchmarks.simulate_coverage import (
    POPULATION,
    Population,
    draw_detector,
    draw_population,
    matches_of,
    over_all_seeds,
)

Array = npt.NDArray[np.float64]
VARIANTS, MOST_SEEDS = 5, 5
AP_PER_SHIFT = 28.0  # percentage points of AP for one standard deviation of quality
BORROWED = "1 borrowed"
Bank = list[list[Replicates]]  # by variant and seed


def draw_bank(
    population: Population, shifts: Array, chosen: Array, resamples: int, number: int, random: np.random.Generator
) -> tuple[Bank, Targets]:
    """Returns the replicates of every training on some images; ``shifts`` of their quality, [V, S]."""
    bank: Bank = []
    for row in shifts:
        bank.append([])
        for shift in row:
            matches = matches_of(population.positives, draw_detector(population, shift, chosen, random), chosen)
            bank[-1].append(replicate(matches, Basis(), resamples, number))
    return bank, matches.targets


def choose_images(population: Population, images: int, rare: int, random: np.random.Generator) -> Array:
    """Returns images of the population; of the last two classes ``rare`` each, where that is not 0."""
    if not rare:
        return np.sort(random.choice(POPULATION, images, replace=False))
    common = np.flatnonzero(population.species < 10)
    few = [random.choice(np.flatnonzero(population.species == i), rare, replace=False) for i in (10, 11)]
    return np.sort(np.concatenate([random.choice(common, images - 2 * rare, replace=False), *few]))


def drawn(replicates: Sequence[Replicates], first_seed: int) -> Drawn:
    """Returns trainings of one variant."""
    seeds = tuple(range(first_seed, first_seed + len(replicates)))
    return Drawn(seeds, (), tuple(replicates), (), (None,) * len(seeds))


def sweeps(bank: Bank, targets: Targets) -> Iterator[tuple[str, Comparison]]:
    """Yields the comparisons that can be made of a bank without using a training twice for one number of seeds."""
    for seeds in (1, 2, 3, 5):
        for start in range(0, MOST_SEEDS - seeds + 1, seeds):
            candidates = [
                Candidate(f"v{i}", TrialState.FINISHED, drawn(row[start : start + seeds], start))
                for i, row in enumerate(bank)
            ]
            yield str(seeds), compare_candidates(candidates, AP, "v0", targets)
            if seeds == 1:
                order = [*range(start + 1, MOST_SEEDS), *range(start)][:2]
                others = [(f"other v{i}", drawn([row[s] for s in order], 90)) for i, row in enumerate(bank[:4])]
                comparison = compare_candidates(
                    candidates, AP, "v0", targets, borrowed=Borrowed(others, "another sweep")
                )
                yield BORROWED, comparison


def judge(comparison: Comparison, truth: float) -> dict[str, list[float]]:
    """Returns what was right: False verdicts, intervals that hold the truth, widths."""
    found: dict[str, list[float]] = defaultdict(list)
    differences = [one.difference for one in comparison.variants if one.difference]
    found["called"].append(any(one.verdict in (BETTER, WORSE) for one in differences))
    for one in comparison.variants:
        interval = one.estimate.interval
        if interval:
            found["AP"].append(interval.low <= truth <= interval.high)
            found["AP width"].append(interval.high - interval.low)
    for difference in differences:
        interval = difference.interval
        found["difference"].append(interval.low <= 0 <= interval.high)
        found["difference width"].append(interval.high - interval.low)
    first = comparison.variants[0]
    if first.corrected and first.corrected.interval and first.corrected.value is not None:
        found["first"].append(first.corrected.interval.low <= truth <= first.corrected.interval.high)
        found["first width"].append(first.corrected.interval.high - first.corrected.interval.low)
        found["first too high"].append(first.corrected.value - truth)
        found["first too high, as measured"].append((first.estimate.value or 0.0) - truth)
    return found


def simulate(population: Population, images: int, spread: float, arguments: argparse.Namespace) -> None:
    """Prints a row for each number of seeds."""
    truth, of_seeds = over_all_seeds(population, 0.0, spread / AP_PER_SHIFT)
    random = np.random.default_rng([images, round(spread * 10)])
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number in range(arguments.sets):
        chosen = choose_images(population, images, arguments.rare, random)
        shifts = spread / AP_PER_SHIFT * random.normal(size=(VARIANTS, MOST_SEEDS))
        shifts[-1] *= arguments.apart
        bank, targets = draw_bank(population, shifts, chosen, arguments.resamples, number, random)
        for seeds, comparison in sweeps(bank, targets):
            for name, values in judge(comparison, truth).items():
                found[seeds][name] += values
    for seeds, rows in found.items():
        share = {name: float(np.mean(values)) for name, values in rows.items()}
        print(
            f"{images:5d} {of_seeds:6.2f}  {seeds:10s} {len(rows['called']):5d} {share['called']:8.1%}"
            f" {share['AP']:8.1%} {share['AP width']:6.2f} {share['difference']:8.1%} {share['difference width']:6.2f}"
            f" {share['first']:8.1%} {share['first width']:6.2f} {share['first too high']:7.2f}"
            f" {share['first too high, as measured']:7.2f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--images", type=int, nargs="+", default=[150, 546, 5000])
    parser.add_argument("--spread", type=float, nargs="+", default=[0.0, 0.3, 0.6, 1.2], help="of seeds, points of AP")
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--apart", type=float, default=1.0)
    parser.add_argument("--rare", type=int, default=0)
    arguments = parser.parse_args()
    population = draw_population(np.random.default_rng(0))
    print("images  seed sd  seeds     sweeps   called  AP held  width  difference  width  first held  width  too high")
    for images in arguments.images:
        for spread in arguments.spread:
            simulate(population, images, spread, arguments)


if __name__ == "__main__":
    main()
