"""Whether a trial with ``deterministic: true`` ends bit for bit alike, and what that costs; about 3 minutes on a card.

    python -m benchmarks.bench_deterministic [--config agropest_r50_fpn.yaml] [--iterations 120] [--cpu]

One training on drawn pictures is done four times, each in processes of its own: undisturbed; again; killed with SIGKILL
behind its first checkpoint and resumed; beside neighbours on the same card. Compared by SHA-256 are all weights of the
last checkpoint and the boxes of every evaluation. Then the same training is timed with and without the setting. Exit
code 1: something differs. ``--cpu`` tries the script out where there is no card.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path

from agropest.data.dataset import Dataset, load_dataset
from agropest.data.demo.draw import draw_demo_dataset
from agropest.machine import this_machine
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.trial import TrialSpec
from agropest.training.run_context import RunContext
from benchmarks.bench_iteration import trial_of

START = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Training:
    """What is trained, and where: the same each time but for the folder and the setting."""

    trial: TrialSpec
    context: RunContext

    def begin(self, folder: Path) -> BaseProcess:
        """Starts it in a process of its own; resumes from what is in the folder."""
        process = START.Process(target=_train, args=(self.trial, self.context, folder))
        process.start()
        return process

    def run(self, folder: Path) -> float:
        """Runs it to its end; returns the seconds per iteration that it noted itself."""
        process = self.begin(folder)
        process.join()
        if process.exitcode:
            raise SystemExit(f"a training ended with exit code {process.exitcode}")
        return TrialFolder(folder).status().time_s / self.trial.max_iter

    def killed_and_resumed(self, folder: Path) -> None:
        """Kills it as soon as a checkpoint is whole that is not its last, and resumes."""
        process = self.begin(folder)
        while process.is_alive() and not TrialFolder(folder).checkpointed():
            time.sleep(0.02)
        process.kill()
        process.join()
        held = TrialFolder(folder).checkpointed()
        if not held or max(held) >= self.trial.max_iter:
            raise SystemExit(f"it was not killed amid its training: checkpoints {sorted(held)}")
        print(f"  killed with checkpoints {sorted(held)} of {self.trial.max_iter}", flush=True)
        self.run(folder)

    def beside(self, folder: Path, neighbours: int) -> None:
        """Runs it beside others that train other seeds."""
        others = [
            replace(self, trial=replace(self.trial, seed=seed, config={**self.trial.config, "SEED": seed})).begin(
                folder.with_name(f"{folder.name}-neighbour{seed}")
            )
            for seed in range(100, 100 + neighbours)
        ]
        try:
            self.run(folder)
        finally:
            for other in others:
                other.kill()
                other.join()


def _train(trial: TrialSpec, context: RunContext, folder: Path) -> None:
    from agropest.training.trial import run_trial

    run_trial(trial, TrialFolder(folder).claim(), context, lambda record: None)


def digests(folder: Path, iteration: int) -> dict[str, str]:
    """Returns the SHA-256 of a trial's last weights and of the boxes of each of its evaluations."""
    import numpy as np

    from agropest.training import checkpoints

    content = checkpoints.load(folder / "checkpoints", iteration)
    if content is None:
        raise SystemExit(f"no checkpoint of iteration {iteration} in {folder}")
    weights = hashlib.sha256()
    for name, tensor in sorted(content["model"].items()):
        weights.update(name.encode() + np.ascontiguousarray(tensor.numpy()).tobytes())
    found = {f"weights after {iteration}": weights.hexdigest()}
    stored = TrialFolder(folder)
    for record in [*stored.read_evaluations("valid"), *stored.read_evaluations("test")]:
        with np.load(stored.boxes_path(record)) as arrays:
            boxes = hashlib.sha256(b"".join(arrays[name].tobytes() for name in sorted(arrays.files)))
        found[f"boxes of {record.split} after {record.iteration}"] = boxes.hexdigest()
    return found


def compared(training: Training, root: Path, neighbours: int) -> bool:
    """Returns whether all four runs are the same; prints what differs."""
    end = training.trial.max_iter
    training.run(root / "first")
    expected, same = digests(root / "first", end), True
    runs = {
        "again": training.run,
        "killed and resumed": training.killed_and_resumed,
        f"beside {neighbours} neighbours": lambda folder: training.beside(folder, neighbours),
    }
    for number, (name, run) in enumerate(runs.items()):
        run(root / str(number))
        found = digests(root / str(number), end)
        wrong = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
        print(f"{name}: {'bit for bit the same' if not wrong else 'DIFFERENT: ' + ', '.join(wrong)}", flush=True)
        same = same and not wrong
    return same


def training_of(dataset: Dataset, folder: Path, arguments: argparse.Namespace) -> Training:
    """Returns the training that the command line asks for."""
    settings = [
        f"SOLVER.MAX_ITER={arguments.iterations}",
        f"SOLVER.CHECKPOINT_PERIOD={max(1, arguments.iterations // 4)}",
        f"TEST.EVAL_PERIOD={max(1, arguments.iterations // 2)}",
        "SOLVER.STEPS=[]",
        "SOLVER.WARMUP_ITERS=1",
        "SOLVER.BASE_LR=0.0001",
        "MODEL.WEIGHTS=''",
        *arguments.settings,
    ]
    trial = trial_of(dataset, folder, arguments.config, settings)
    device = "cpu" if arguments.cpu else "cuda"
    share = 0.9 / (1 + arguments.neighbours) if device == "cuda" else 0.0
    paths = dataset.paths
    return Training(trial, RunContext(paths, device=device, gpu_memory_fraction=share, deterministic=True))


def main(argv: list[str] | None = None) -> int:
    """Runs the comparison; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--config", default="agropest_r50_fpn.yaml", metavar="NAME", help="of configs/")
    parser.add_argument("--iterations", type=int, default=120, metavar="N")
    parser.add_argument("--neighbours", type=int, default=2, metavar="N", help="on the same card; default 2")
    parser.add_argument("--images", type=int, default=60, metavar="N", help="drawn; default 60")
    parser.add_argument("--side", type=int, default=640, metavar="PX", help="of the pictures; default 640")
    parser.add_argument("--cpu", action="store_true", help="try the script out without a card")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    arguments = parser.parse_args(argv)
    if not arguments.cpu and not this_machine().cards:
        print("error: no NVIDIA card here; --cpu tries the script out", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        draw_demo_dataset(root / "set", train=arguments.images, valid=8, test=8, image_size_px=arguments.side)
        (root / "trials").mkdir()
        training = training_of(load_dataset(root / "set", root / "cache"), root, arguments)
        same = compared(training, root / "trials", arguments.neighbours)
        took = {}
        for is_deterministic in (True, False):
            timed = replace(training, context=replace(training.context, deterministic=is_deterministic))
            took[is_deterministic] = timed.run(root / "trials" / f"timed-{is_deterministic}")
    print(f"deterministic: {took[True]:.4f} s an iteration with evaluations; without {took[False]:.4f} s")
    print(f"deterministic costs a factor of {took[True] / took[False]:.2f}")
    return 0 if same else 1


if __name__ == "__main__":
    raise SystemExit(main())
