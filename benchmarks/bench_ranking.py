"""How long a sweep of many finished trials takes to rank, from the store to the written tables.

    python -m benchmarks.bench_ranking [--trials 1000] [--images 1095] [--test-images 546]

Draws a validation and a test split of AgroPest-12's size and the boxes of so many trials, stores them as trials do,
then times the ranking twice in processes of their own: first with nothing but the boxes (every bootstrap is computed),
then as a launch finds it (each trial has kept its replicates when it finished). Prints seconds and peak memory of both.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from agropest import files
from agropest.analysis.ranking import rank_trials
from agropest.analysis.sweep_comparison import compare_trials
from agropest.report.tables.variants import table_texts
from agropest.statistics.accuracy.average_precision import AP, AP_DEPLOYED, evaluate
from agropest.statistics.detections.boxes import GroundTruth
from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.store import Store
from agropest.sweep.trial import TrialSpec
from benchmarks.synthetic import draw_detector, draw_split

MAX_ITER = 25000


def sweep_trials(number: int) -> list[TrialSpec]:
    """Returns the trials of a sweep that varies one number."""
    config = {"SOLVER.MAX_ITER": MAX_ITER, "TEST.EVAL_PERIOD": 2500}
    labels = ["baseline", *(f"variant{i:04d}" for i in range(1, number))]
    return [TrialSpec(label, 42, {**config, "N": i}, "synthetic") for i, label in enumerate(labels)]


def fill(store: Store, trials: list[TrialSpec], truths: dict[str, GroundTruth]) -> None:
    """Stores one evaluation of each split for every trial."""
    for number, trial in enumerate(trials):
        folder = store.folder(trial).claim()
        for split, truth in truths.items():
            noise = 0.12 + 0.02 * (number / max(len(trials), 1))
            boxes = draw_detector(np.random.default_rng([number, len(split)]), truth, noise)
            metrics = {**evaluate(truth, boxes), AP_DEPLOYED: evaluate(truth, boxes.at_threshold(0.5))[AP]}
            record = EvaluationRecord(split, MAX_ITER, metrics, len(boxes), len(truth.images), 1.0)
            folder.write_evaluation(record, boxes.save)
        folder.write_status(Status(TrialState.FINISHED, MAX_ITER, 3000.0))


def rank(root: Path, trials: list[TrialSpec], truths: dict[str, GroundTruth]) -> None:
    """Ranks the stored trials and writes the tables; prints how long that took."""
    started = time.perf_counter()
    store = Store(root)
    comparison = compare_trials(trials, store, truths, AP, "baseline")
    for name, text in table_texts(comparison, rank_trials(trials, store, AP, comparison.damaged), "bench").items():
        files.write_text(store.sweep_folder("bench") / name, text)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    ties = sum(one.ties_with_best for one in comparison.variants)
    print(f"  {seconds:.1f} s, peak memory {peak:.2f} GiB; {ties} of {len(trials)} tie with the best", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--images", type=int, default=1095)
    parser.add_argument("--test-images", type=int, default=546)
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    truths = {"valid": draw_split(random, arguments.images), "test": draw_split(random, arguments.test_images)}
    trials = sweep_trials(arguments.trials)
    root = Path(tempfile.mkdtemp(prefix="bench-ranking-"))
    try:
        fill(Store(root), trials, truths)
        for what in ("boxes alone, every bootstrap computed", "as trials leave it, replicates kept"):
            print(f"{arguments.trials} trials, {what}:")
            process = multiprocessing.get_context("fork").Process(target=rank, args=(root, trials, truths))
            process.start()
            process.join()
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
