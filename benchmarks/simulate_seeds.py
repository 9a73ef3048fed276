"""Seeds until decided against the same seeds for all: false verdicts, power, first places and trainings.

    python -m benchmarks.simulate_seeds [--images 546] [--spread 0 0.3 0.6 1.2] [--better 0 2] [--sets 100] [--most 8]

Sweeps of five variants, simulated down to the boxes as in ``simulate_verdicts``; the last of them is better by so many
points of AP (``--better``), the others are equal. Each sweep is decided twice: with the most seeds for every variant,
judged once, and with seeds until decided, judged at every look by the policy that a launch follows.

``--normal 0.9``: without boxes, which takes a hundredth of the time: values and resamples are normal, and images move a
difference by so many points (standard deviation).
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from agropest.analysis.candidates import Candidate
from agropest.analysis.compared import Comparison
from agropest.analysis.comparison import compare_candidates
from agropest.analysis.open_questions import questions, seed_counts
from agropest.statistics.accuracy.average_precision import AP
from agropest.statistics.accuracy.metric import Basis
from agropest.statistics.bootstrap import Replicates
from agropest.statistics.detections.boxes import GroundTruth
from agropest.statistics.detections.matching import Targets, read_targets
from agropest.statistics.inference import BETTER, WORSE
from agropest.statistics.seed_policy import LEAST_CHANCE, next_seeds
from agropest.store.records import TrialState
from agropest.sweep.sections.seed_rule import levels
from benchmarks.simulate_coverage import Population, draw_population, over_all_seeds
from benchmarks.simulate_verdicts import AP_PER_SHIFT, VARIANTS, Bank, choose_images, draw_bank, drawn

START = 2
COMMON = 1.2  # points by which images move all variants alike


def judge(bank: Bank, targets: Targets, counts: Mapping[str, int], looks: Sequence[int] = ()) -> Comparison:
    """Returns the comparison of the first seeds of each variant."""
    candidates = [
        Candidate(f"v{i}", TrialState.FINISHED, drawn(row[: counts[f"v{i}"]], 42)) for i, row in enumerate(bank)
    ]
    return compare_candidates(candidates, AP, "v0", targets, looks=looks)


def normal_bank(
    spread: float, better: float, arguments: argparse.Namespace, random: np.random.Generator
) -> tuple[Bank, Targets]:
    """Returns trainings of normal values: images move all variants alike by 1.2 points, and each by some more."""
    box = {"bbox": [0.0, 0.0, 9.0, 9.0], "area": 81.0, "iscrowd": 0}
    truth = GroundTruth([{"id": 1}], [{"id": 1, "name": "all"}], [{"id": 1, "image_id": 1, "category_id": 1, **box}])
    size, own = arguments.resamples, arguments.normal / 2**0.5
    common, moved = random.normal(0, COMMON), random.normal(0, COMMON, size)
    sources = (("all",), arguments.images, np.array([arguments.images]))
    bank: Bank = []
    for i in range(VARIANTS):
        mean = 40 + common + random.normal(0, own) + (better if i == VARIANTS - 1 else 0.0)
        samples = moved + random.normal(0, own, size)
        values = mean + random.normal(0, spread, arguments.most)
        bank.append(
            [Replicates(Basis(), np.array([v]), (v + samples)[None], np.full((1, 64), v), *sources) for v in values]
        )
    return bank, read_targets(truth)


def until_decided(bank: Bank, targets: Targets, most: int, least_chance: float) -> tuple[Comparison, int]:
    """Returns the last comparison and the trainings it took."""
    counts, looks = {f"v{i}": START for i in range(len(bank))}, levels(START, most)
    while True:
        comparison = judge(bank, targets, counts, looks)
        wanted = next_seeds(questions(comparison), seed_counts(comparison), START, most, {}, least_chance)
        if not wanted:
            return comparison, sum(counts.values())
        counts |= wanted


def outcome(comparison: Comparison, trainings: int, better: float) -> dict[str, float]:
    """Returns whether equal variants were called, the better one found, and ranked first."""
    verdicts = {one.label: one.difference.verdict for one in comparison.variants if one.difference}
    best = f"v{VARIANTS - 1}"
    equal = [verdict for label, verdict in verdicts.items() if label != best or not better]
    return {
        "called": float(any(verdict in (BETTER, WORSE) for verdict in equal)),
        "found": float(verdicts[best] == BETTER),
        "first": float(comparison.variants[0].label == best),
        "trainings": float(trainings),
    }


def simulate(population: Population, spread: float, better: float, arguments: argparse.Namespace) -> None:
    """Prints a row for each way."""
    of_seeds = spread if arguments.normal else over_all_seeds(population, 0.0, spread / AP_PER_SHIFT)[1]
    random = np.random.default_rng([arguments.images, round(spread * 10), round(better * 10)])
    rows: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number in range(arguments.sets):
        if arguments.normal:
            bank, targets = normal_bank(spread, better, arguments, random)
        else:
            chosen = choose_images(population, arguments.images, 0, random)
            shifts = spread / AP_PER_SHIFT * random.normal(size=(VARIANTS, arguments.most))
            shifts[-1] += better / AP_PER_SHIFT
            bank, targets = draw_bank(population, shifts, chosen, arguments.resamples, number, random)
        uniform = judge(bank, targets, {f"v{i}": arguments.most for i in range(VARIANTS)})
        adaptive, trainings = until_decided(bank, targets, arguments.most, arguments.least_chance)
        for way, counts in (
            ("uniform", outcome(uniform, VARIANTS * arguments.most, better)),
            ("adaptive", outcome(adaptive, trainings, better)),
        ):
            for name, value in counts.items():
                rows[way][name].append(value)
    for way, columns in rows.items():
        mean = {name: float(np.mean(values)) for name, values in columns.items()}
        found = f"{mean['found']:7.1%} {mean['first']:7.1%}" if better else "      -       -"
        print(
            f"{arguments.images:6d} {of_seeds:8.2f} {better:7.1f}  {way:9s} {len(columns['called']):6d}"
            f" {mean['called']:7.1%} {found} {mean['trainings']:9.1f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sets", type=int, default=100)
    parser.add_argument("--images", type=int, default=546)
    parser.add_argument("--spread", type=float, nargs="+", default=[0.0, 0.3, 0.6, 1.2], help="of seeds, points of AP")
    parser.add_argument("--better", type=float, nargs="+", default=[0.0, 2.0], help="the last variant, points of AP")
    parser.add_argument("--most", type=int, default=8)
    parser.add_argument("--resamples", type=int, default=1000, help="with 200 no p is below 0.005")
    parser.add_argument("--least-chance", type=float, default=LEAST_CHANCE, help="with which a question is asked")
    parser.add_argument("--normal", type=float, default=0.0, metavar="POINTS")
    arguments = parser.parse_args()
    population = draw_population(np.random.default_rng(0))
    print("images  seed sd  better  seeds    sweeps  called   found   first trainings")
    for spread in arguments.spread:
        for better in arguments.better:
            simulate(population, spread, better, arguments)


if __name__ == "__main__":
    main()
