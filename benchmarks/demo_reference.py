"""The demo with ten seeds: what its verdicts are checked against.

    python -m benchmarks.demo_reference train RESULTS   # sweeps/demo.yaml with seeds 42 to 51, 40 minutes of CPU time
    python -m benchmarks.demo_reference keep RESULTS    # writes results/reference/demo_seeds.csv and demo_seeds.npz
    python -m benchmarks.demo_reference                 # what these say

Kept are, of every training, the metrics of the checkpoint that validation chose, and AP of each class on 200 resamples
of the validation images, in hundredths of a percent: all that a verdict is computed from. The demo begins with the
first two of these seeds, so that its trials are among these forty.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agropest import command_line, files
from agropest.analysis.candidates import Candidate, Drawn
from agropest.analysis.compared import Comparison
from agropest.analysis.comparison import compare_candidates
from agropest.analysis.open_questions import questions, seed_counts
from agropest.errors import StoreError, fault
from agropest.statistics.accuracy.average_precision import AP
from agropest.statistics.accuracy.metric import basis_of
from agropest.statistics.bootstrap import Replicates
from agropest.statistics.detections.boxes import GroundTruth
from agropest.statistics.detections.matching import Targets, read_targets
from agropest.statistics.detections.npz import read_npz, write_npz
from agropest.statistics.inference import BETTER, WORSE, Difference
from agropest.statistics.seed_policy import next_seeds
from agropest.store.chosen import chosen_evaluation
from agropest.store.records import TrialState
from agropest.store.replicate_cache import read_replicates
from agropest.store.store import Store
from agropest.store.sweep_record import read_sweep_record
from agropest.sweep.sections.seed_rule import FIRST
from agropest.sweep.spec import load_sweep

ROOT = Path(__file__).resolve().parents[1]
SWEEP = ROOT / "sweeps" / "demo.yaml"
CSV, ARRAYS = ROOT / "results" / "reference" / "demo_seeds.csv", ROOT / "results" / "reference" / "demo_seeds.npz"
SEEDS, RESAMPLES = tuple(range(FIRST, FIRST + 10)), 200
METRICS = ("AP", "AP50", "AP75", "AP_deployed")
KEPT = ("value", "samples", "class_names", "num_sources", "sources_by_class", "fingerprint")
FIX = "run `train` first: it trains what is missing"
MISSING = 2**16 - 1  # no image of the class was drawn

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class DemoReference:
    """Ten trainings of each of the demo's variants.

    Attributes:
        replicates: by variant and seed, of AP.
        targets: stands for the validation images: their classes.
        signatures: of the trials, by variant and seed.
        fingerprint: of the data set.
    """

    replicates: Mapping[str, Mapping[int, Replicates]]
    targets: Targets
    signatures: Mapping[tuple[str, int], str]
    fingerprint: str

    def candidate(self, label: str, variant: str, seeds: Sequence[int]) -> Candidate:
        """Returns some trainings of a variant, under any name."""
        drawn = tuple(self.replicates[variant][seed] for seed in seeds)
        return Candidate(label, TrialState.FINISHED, Drawn(tuple(seeds), (), drawn, (), (None,) * len(seeds)))

    def comparison(self, counts: Mapping[str, int], looks: Sequence[int] = ()) -> Comparison:
        """Returns what the first so many seeds of each variant say."""
        chosen = [self.candidate(name, name, SEEDS[: counts[name]]) for name in self.replicates]
        return compare_candidates(chosen, AP, "baseline", self.targets, looks=looks)

    def ten_seeds(self) -> Comparison:
        """Returns what all trainings say, looked at once."""
        return self.comparison(dict.fromkeys(self.replicates, len(SEEDS)))

    def demo(self) -> tuple[Comparison, dict[str, int]]:
        """Returns what the demo says, whose sweep file decides how many seeds are trained, and these."""
        rule = load_sweep(SWEEP).seed_rule
        counts = dict.fromkeys(self.replicates, rule.start)
        while True:
            comparison = self.comparison(counts, rule.looks)
            wanted = next_seeds(questions(comparison), seed_counts(comparison), rule.start, rule.most, {})
            if not wanted:
                return comparison, counts
            counts |= wanted

    def called_pairs(self, size: int) -> tuple[int, int, int]:
        """Compares trainings of one configuration with others of it, which cannot be better, as the demo would.

        Args:
            size: seeds on either side.

        Returns:
            Pairs; those called better or worse; those of which the checkpoints are said to score higher or lower.
        """
        groups = [SEEDS[start : start + size] for start in range(0, len(SEEDS) - size + 1, size)]
        looks = load_sweep(SWEEP).seed_rule.looks
        called = on_images = 0
        pairs = [(name, *pair) for name in self.replicates for pair in itertools.combinations(groups, 2)]
        for name, one, other in pairs:
            beside = [self.candidate(f"beside {each}", each, one) for each in self.replicates if each != name]
            sides = [self.candidate("baseline", name, one), self.candidate("again", name, other), *beside]
            difference = verdicts(compare_candidates(sides, AP, "baseline", self.targets, looks=looks))["again"]
            called += difference.verdict in (BETTER, WORSE)
            on_images += bool(difference.on_images)
        return len(pairs), called, on_images


def verdicts(comparison: Comparison) -> dict[str, Difference]:
    """Returns the differences to the baseline, by variant."""
    return {one.label: one.difference for one in comparison.variants if one.difference is not None}


def train(results: Path) -> int:
    """Launches the demo with ten seeds; what is stored already is not trained again."""
    settings = [f"seeds={list(SEEDS)}".replace(" ", ""), "stop=none"]
    words = [word for setting in settings for word in ("--set", setting)]
    return command_line.main(
        ["launch", str(SWEEP), "--results", str(results), "--name", "demo", "--no-dashboard", *words]
    )


def keep(results: Path, to: tuple[Path, Path] = (CSV, ARRAYS)) -> None:
    """Writes what is kept of the trainings in a results folder."""
    store = Store(results)
    record = read_sweep_record(results / "demo")
    targets = read_targets(record.ground_truths()["valid"])
    rows, drawn = [], []
    for trial in record.trials:
        folder = store.folder(trial)
        chosen = chosen_evaluation(folder, AP)
        if chosen is None or folder.status().status != TrialState.FINISHED:
            raise StoreError(fault(str(folder.path), "expected a trial that has finished", folder.status().status, FIX))
        test = {one.iteration: one for one in folder.read_evaluations("test")}[chosen.iteration]
        figures = [chosen.metrics[name] for name in METRICS] + [test.metrics[name] for name in METRICS]
        figures_text = [f"{value:.2f}" for value in figures]
        rows.append([trial.label, trial.seed, chosen.iteration, *figures_text, trial.signature])
        drawn.append(read_replicates(folder, chosen, targets, basis_of(AP), trial.config, RESAMPLES))
    text = io.StringIO()
    names = [f"{split}_{name}" for split in ("val", "test") for name in METRICS]
    csv.writer(text, lineterminator="\n").writerows([["variant", "seed", "iteration", *names, "signature"], *rows])
    files.write_text(to[0], text.getvalue())
    arrays = {
        "value": np.stack([one.value for one in drawn]).astype(np.float32),
        "samples": _hundredths(np.stack([one.samples for one in drawn])),
        "class_names": np.array(drawn[0].class_names),
        "num_sources": np.array(drawn[0].num_sources),
        "sources_by_class": drawn[0].sources_by_class,
        "fingerprint": np.array(record.trials[0].data),
    }
    files.write_with(to[1], lambda file: write_npz(file, arrays))


def read(table: Path = CSV, arrays: Path = ARRAYS) -> DemoReference:
    """Returns what is kept."""
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    value, samples, class_names, num_sources, by_class, fingerprint = read_npz(arrays, KEPT)
    names = tuple(str(name) for name in class_names)
    found: dict[str, dict[int, Replicates]] = {}
    without_halves = np.zeros((len(names), 0))  # of which no difference is made
    for row, *of_one in zip(rows, value.astype(np.float64), _percent(samples), strict=True):
        one = Replicates(basis_of(AP), *of_one, without_halves, names, num_sources.item(), by_class)
        found.setdefault(row["variant"], {})[int(row["seed"])] = one
    signatures = {(row["variant"], int(row["seed"])): row["signature"] for row in rows}
    return DemoReference(found, _targets(names), signatures, str(fingerprint.item()))


def _targets(names: Sequence[str]) -> Targets:
    box = {"bbox": [0.0, 0.0, 9.0, 9.0], "area": 81.0, "iscrowd": 0, "image_id": 1}
    boxes = [{"id": i, "category_id": i, **box} for i in range(1, len(names) + 1)]
    return read_targets(GroundTruth([{"id": 1}], [{"id": i, "name": n} for i, n in enumerate(names, 1)], boxes))


def _hundredths(percent: Array) -> Array:
    return np.where(np.isfinite(percent), np.round(100 * np.nan_to_num(percent)), MISSING).astype(np.uint16)


def _percent(hundredths: Array) -> Array:
    return np.where(hundredths == MISSING, np.nan, hundredths / 100).astype(np.float32)


def show(reference: DemoReference) -> None:
    """Prints the demo's verdicts beside those of ten seeds, and what is called between equal configurations."""
    demo, counts = reference.demo()
    whole = verdicts(reference.ten_seeds())
    for name, ours in verdicts(demo).items():
        print(f"{name}: demo, {counts[name]} seeds: {_in_words(ours)}; ten seeds: {_in_words(whole[name])}")
    for size in (1, 2):
        pairs, called, on_images = reference.called_pairs(size)
        sides = "one seed" if size == 1 else f"{size} seeds"
        print(
            f"one configuration twice, {sides} each: {called} of {pairs} pairs called, {on_images} by the images alone"
        )


def _in_words(one: Difference) -> str:
    return f"{one.value:+.2f} [{one.interval.low:+.2f}, {one.interval.high:+.2f}] {one.verdict}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", nargs="?", choices=["train", "keep", "show"], default="show")
    parser.add_argument("results", nargs="?", type=Path, default=ROOT / "results" / "demo-seeds")
    arguments = parser.parse_args()
    if arguments.command == "train":
        return train(arguments.results)
    if arguments.command == "keep":
        keep(arguments.results)
    show(read())
    return 0


if __name__ == "__main__":
    sys.exit(main())
