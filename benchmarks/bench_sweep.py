"""A sweep of 8 trials through launch.py against the same 8 trainings one after another with stock Detectron2.

    python -m benchmarks.bench_sweep [--iterations 60] [--evaluations 2] [--variants 4] [--stop METHOD ...] [--rounds 1]

The four variants of the demo with two seeds, or with ``--variants 8`` those and four more with one seed, on the demo's
data, evaluated at each half (or ``--evaluations`` times) and on the test split at the end. Both sides are started as a
user starts them: stock as eight runs of a training script with all cores, ours as one launch for every method of early
stopping that is named, against the same stock trainings. Prints wall times, their ratio, and the orchestration: wall
time of the launch over (seconds inside trials / slots).
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from agropest.data.dataset import Dataset, load_dataset
from agropest.data.demo.draw import draw_demo_dataset
from agropest.store.store import Store
from agropest.sweep.detectron2_keys import nest
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.sweep.trial import TrialSpec
from benchmarks.pairs import ROOT, machine_line, seconds, tell

# After the name of a method: the baseline is stopped like any other.
ALL = "-all"
TRIALS = 8
FOCAL = {"MODEL.ROI_BOX_HEAD.CLS_LOSS": "softmax_focal", "MODEL.ROI_BOX_HEAD.FOCAL_ALPHA": 0.5}
MORE_VARIANTS = {
    "gentle_focal": {**FOCAL, "MODEL.ROI_BOX_HEAD.FOCAL_GAMMA": 1.0},
    "giou": {"MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE": "giou"},
    "class_balanced": {"DATALOADER.SAMPLER_TRAIN": "ClassBalancedSampler"},
    "half_lr": {"SOLVER.BASE_LR": 0.025},
}


def sweep_file(folder: Path, data: Path, iterations: int, evaluations: int, variants: int, stop: str) -> Path:
    """Writes the demo's sweep with other iterations, variants and seeds, and returns it."""
    content: dict[str, Any] = yaml.safe_load((ROOT / "sweeps" / "demo.yaml").read_text())
    content |= {
        "data": str(data),
        "base": str(ROOT / "configs" / "demo.yaml"),
        "seeds": [*range(42, 42 + TRIALS // variants)],
        "variants": {**content["variants"], **(MORE_VARIANTS if variants == TRIALS else {})},
        "stop": {"method": stop.removesuffix(ALL), "keep_baseline": not stop.endswith(ALL)},
        "silence": ["no-effect"],
    }
    period = max(1, iterations // evaluations)
    content["config"] = {
        **content.get("config", {}),
        "SOLVER.MAX_ITER": iterations,
        "TEST.EVAL_PERIOD": period,
        "SOLVER.CHECKPOINT_PERIOD": period,
    }
    path = folder / f"bench-{stop}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def run_stock(trials: list[TrialSpec], dataset: Dataset, folder: Path, wait: str) -> None:
    """Trains every trial with stock Detectron2, one after another, each in a process of its own with all cores."""
    splits = {name: [str(annotations), str(images)] for name, (annotations, images) in dataset.paths.items()}
    (folder / "data.json").write_text(json.dumps(splits))
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment |= {"PYTHONPATH": str(ROOT), **({"OMP_WAIT_POLICY": wait.upper()} if wait else {})}
    for number, trial in enumerate(trials):
        config = folder / f"{number}.yaml"
        config.write_text(yaml.safe_dump(nest({**trial.config, "MODEL.DEVICE": "cpu"})))
        command = [sys.executable, "-m", "benchmarks.stock", str(config), str(folder / "data.json")]
        with open(folder / f"{number}.log", "w") as log:
            subprocess.run(
                [*command, str(folder / f"out{number}")],
                check=True,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=ROOT,
            )


def launch(sweep: Path, results: Path) -> None:
    command = [sys.executable, str(ROOT / "launch.py"), str(sweep), "--results", str(results), "--no-dashboard"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--iterations", type=int, default=60, metavar="N", help="the demo has 440; default 60")
    parser.add_argument("--variants", type=int, choices=(4, 8), default=4, help="4 with two seeds, or 8 with one")
    parser.add_argument("--rounds", type=int, default=1, metavar="N")
    parser.add_argument("--evaluations", type=int, default=2, metavar="N", help="of each training; default 2")
    parser.add_argument(
        "--stop",
        nargs="+",
        default=["none"],
        metavar="METHOD",
        help=f"early stopping of ours, one launch each; METHOD{ALL}: of the baseline, too",
    )
    parser.add_argument(
        "--stock-wait",
        default="",
        choices=("", "passive", "active"),
        help="OMP_WAIT_POLICY of stock; passive helps it on a machine that does other work, too",
    )
    arguments = parser.parse_args()
    print(machine_line(), flush=True)
    stock: list[float] = []
    ours: dict[str, list[float]] = {stop: [] for stop in arguments.stop}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_demo_dataset(folder / "demo")
        lengths = (arguments.iterations, arguments.evaluations, arguments.variants)
        sweeps = {stop: sweep_file(folder, folder / "demo", *lengths, stop) for stop in arguments.stop}
        dataset = load_dataset(folder / "demo", folder / "data")
        spec = load_sweep(next(iter(sweeps.values())))
        trials = expand_trials(spec, dataset.fingerprint, dataset.class_names)
        for turn in range(arguments.rounds):
            place = folder / f"stock{turn}"
            place.mkdir()
            stock.append(seconds(functools.partial(run_stock, trials, dataset, place, arguments.stock_wait)))
            print(f"round {turn + 1}: stock {stock[-1]:.1f} s for {len(trials)} trainings", flush=True)
            for stop, sweep in sweeps.items():
                store = Store(folder / f"results{turn}-{stop}")
                ours[stop].append(seconds(functools.partial(launch, sweep, store.root)))
                ended = [store.folder(trial).status() for trial in trials]
                inside, trained = sum(one.time_s for one in ended), sum(one.iteration for one in ended)
                slots = len(os.sched_getaffinity(0))
                print(
                    f"round {turn + 1}: ours, stop {stop}: {ours[stop][-1]:.1f} s for "
                    f"{trained / (len(trials) * arguments.iterations):.0%} of the iterations; inside trials "
                    f"{inside:.1f} s on {slots} slots: orchestration {ours[stop][-1] * slots / inside:.2f} "
                    "(start of Python, Ray and the tables included)",
                    flush=True,
                )
    for stop in arguments.stop:
        title = f"sweep of {len(trials)} trials of {arguments.variants} variants, {arguments.iterations} iterations"
        tell(f"{title}, stop {stop}", stock, ours[stop])


if __name__ == "__main__":
    main()
