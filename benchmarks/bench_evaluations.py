"""What evaluations of trained weights cost: ``python -m benchmarks.bench_evaluations [--variants 50]``.

Trains the demo's baseline on a drawn data set for a few iterations, then evaluates its weights under that many settings
which differ after the forward pass (``evaluate:``, NMS thresholds), all in this process, without Ray. Printed is the
CPU time of both, with validation, test, the referee's check and the bootstrap of each, and their ratio, for a training
as long as the demo's and for one of 25,000 iterations: the seconds of its iterations are those of the few, multiplied.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch
import yaml

from agropest.data.dataset import Dataset, load_dataset
from agropest.data.demo.draw import draw_demo_dataset
from agropest.store.records import TrialState
from agropest.store.sharing.shared_work import all_sharing
from agropest.store.store import Store
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.sweep.trial import TrialSpec
from agropest.training.run_context import RunContext
from agropest.training.trial import run_trial

ROOT = Path(__file__).resolve().parents[1]
LENGTHS = {"the demo's": 440, "the study's": 25_000}  # iterations
NMS = "MODEL.ROI_HEADS.NMS_THRESH_TEST"


def trials_of(folder: Path, iterations: int, variants: int, dataset: Dataset) -> list[TrialSpec]:
    """Returns the training, then the evaluations of its weights."""
    path = folder / "sweep.yaml"
    thresholds = [round(0.2 + 0.6 * number / variants, 4) for number in range(variants)]
    content = {
        "base": str(ROOT / "configs" / "demo.yaml"),
        "config": {"SOLVER.MAX_ITER": iterations, "TEST.EVAL_PERIOD": iterations, "SOLVER.STEPS": []},
        "variants": {"baseline": {}},
        "evaluate": {"nms": {NMS: {"each": thresholds}}},
    }
    path.write_text(yaml.safe_dump(content))
    return expand_trials(load_sweep(path), dataset.fingerprint, dataset.class_names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", type=int, default=50)
    parser.add_argument("--iterations", type=int, default=40, help="that are trained and measured")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="agropest-evaluations-") as name:
        folder = Path(name)
        draw_demo_dataset(folder / "data", seed=3)
        dataset = load_dataset(folder / "data", folder / "converted")
        store = Store(folder / "results")
        trials = trials_of(folder, arguments.iterations, arguments.variants, dataset)
        sharing = all_sharing(trials, store)
        cpu_s = []
        for trial in trials:
            context = RunContext(dict(dataset.paths), sharing=sharing[trial.name])
            started = time.process_time()
            status = run_trial(trial, store.folder(trial).claim(), context, lambda _: None)
            assert status.status is TrialState.FINISHED, status.reason
            cpu_s.append(time.process_time() - started)
        training_s, *evaluations_s = cpu_s
        once_s = evaluations_s[0]  # the training evaluates its last iteration as the first of the others does
        images = ", ".join(f"{split.num_images} {word}" for word, split in dataset.splits.items())
        print(f"images: {images}")
        print(f"training: {training_s:.1f} s of CPU for {arguments.iterations} iterations and their evaluation")
        rest_s = sum(evaluations_s[1:])
        total_s, median_s = sum(evaluations_s), sorted(evaluations_s)[len(evaluations_s) // 2]
        each = f"the first {once_s:.2f} s, the median {median_s:.3f} s"
        print(f"{len(evaluations_s)} evaluations: {total_s:.1f} s, {each}")
        for name, iterations in LENGTHS.items():
            whole_s = (training_s - once_s) * iterations / arguments.iterations + once_s
            told = f"{iterations:,} iterations ({name} length, {whole_s:,.0f} s)"
            print(f"share of a training of {told}: {total_s / whole_s:.2%}, without the first {rest_s / whole_s:.2%}")


if __name__ == "__main__":
    main()
