"""What each part of a trial saves that is on by default, each against the plain way of doing it.

    python -m benchmarks.bench_trial_parts [--device cpu] [--rounds 5] [--images 32]

- evaluation in batches of equal size, against one image at a time, as Detectron2's test loader does it;
- losses that are read every 20 iterations, against a loss that is waited for in every iteration, as ``SimpleTrainer``
  does when it writes its metrics; says something on a card only;
- a trial's process that is forked from the warm server, against a Python of its own that imports torch and Detectron2.

The decoded-image cache is in ``bench_evaluation``, mixed precision and channels last in ``bench_iteration``.
"""

from __future__ import annotations

import argparse
import functools
import subprocess
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from agropest.data.dataset import load_dataset
from agropest.data.demo.draw import draw_demo_dataset
from agropest.training import evaluation
from agropest.training.evaluation import detect
from agropest.training.input.mapper import TestMapper
from agropest.training.input.records import load_records
from agropest.training.trainer import TrialTrainer
from agropest.tuning.workers import child
from benchmarks.bench_iteration import block, our_trainer, trial_of
from benchmarks.pairs import ROOT, machine_line, seconds, tell

ITERATIONS = 20


def evaluate(trainer: TrialTrainer, records: list[dict], category_ids: dict[int, int], at_a_time: int) -> None:  # type: ignore[type-arg]
    """Evaluates the images, so many at a time."""
    before, evaluation.IMAGES_PER_BATCH = evaluation.IMAGES_PER_BATCH, at_a_time
    try:
        detect(trainer.evaluation_model(), records, TestMapper(trainer.cfg), category_ids)
    finally:
        evaluation.IMAGES_PER_BATCH = before


def train(trainer: TrialTrainer, waits: bool) -> None:
    """Trains a number of iterations; ``waits``: for every one's losses."""

    def step() -> None:
        trainer.run_step()
        if waits:
            trainer.require_finite()

    block(step, trainer, ITERATIONS)


def start_warm() -> None:
    """Starts a process as a trial's is started, and waits until it could build its model."""
    process, connection = child.fork(_say_ready, (), "bench")
    connection.recv()
    process.join()


def _say_ready(connection: Connection) -> None:
    import agropest.training.trial

    connection.send(agropest.training.trial.__name__)


def start_cold() -> None:
    """Starts a Python of its own, which imports what a trial needs."""
    subprocess.run([sys.executable, "-c", "import agropest.training.trial"], check=True, cwd=ROOT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--images", type=int, default=32, metavar="N", help="evaluated; default 32")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(machine_line(), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_demo_dataset(folder / "set", train=40, valid=arguments.images, test=4)
        dataset = load_dataset(folder / "set", folder / "converted")
        trial = trial_of(dataset, folder, "demo.yaml", [])
        trainer = our_trainer(trial, dataset, folder, 0, arguments.device)
        split = load_records("valid", *dataset.paths["valid"])
        for title, plain, better in (
            (
                f"evaluation of {arguments.images} images, 8 at a time against 1",
                functools.partial(evaluate, trainer, split.dicts, split.category_ids, 1),
                functools.partial(evaluate, trainer, split.dicts, split.category_ids, 8),
            ),
            (
                f"{ITERATIONS} iterations on the {arguments.device}, losses read at the end against each time",
                functools.partial(train, trainer, True),
                functools.partial(train, trainer, False),
            ),
            ("a trial's process, warm against cold", start_cold, start_warm),
        ):
            plain(), better()
            pairs: tuple[list[float], list[float]] = ([], [])
            for _ in range(arguments.rounds):
                pairs[0].append(seconds(plain))
                pairs[1].append(seconds(better))
            tell(title, *pairs)
        trainer.batches.close()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
