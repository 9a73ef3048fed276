"""A sweep that is disturbed: its launches, and what must hold after each."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import uuid
from pathlib import Path

import torch

from agropest.data.demo.draw import draw_demo_dataset
from agropest.store.records import TrialState
from agropest.store.trial_folder import TrialFolder
from benchmarks.faults.figures import Figures
from benchmarks.faults.launched import MARK, Launch

ROOT = Path(__file__).resolve().parents[2]
MAX_ITER = 16
# One layer of the model: enough for a file that every trial reads and that is in its signature.
WEIGHTS, LAYER = "weights.pth", "proposal_generator.rpn_head.conv.bias"
SWEEP = """
name: faults
base: {base}
data: {data}
seeds: [1]
retries: 50
silence: [no-effect, single-seed]
stop: {stop}
resources: {{cpus: 1}}
config:
  INPUT: {{MIN_SIZE_TRAIN: [64], MIN_SIZE_TEST: 64, MAX_SIZE_TRAIN: 96, MAX_SIZE_TEST: 96}}
  MODEL.FPN.OUT_CHANNELS: 32
  MODEL.ROI_BOX_HEAD.FC_DIM: 32
  MODEL.RPN: {{POST_NMS_TOPK_TEST: 20, PRE_NMS_TOPK_TEST: 50}}
  SOLVER: {{IMS_PER_BATCH: 2, MAX_ITER: {max_iter}, WARMUP_ITERS: 1, CHECKPOINT_PERIOD: 4}}
  TEST: {{EVAL_PERIOD: 8, DETECTIONS_PER_IMAGE: 10}}
  MODEL.WEIGHTS: {weights}
variants:
"""
# Of trained weights: one made of the first forward pass, one with a forward pass of its own.
EVALUATE = """
evaluate:
  few: {TEST.DETECTIONS_PER_IMAGE: 5, of: [v0]}
  small: {INPUT.MIN_SIZE_TEST: 40, of: [v0]}
"""


def write_sweep(folder: Path, num_trials: int, stop: str, num_valid: int, evaluate: bool = False) -> Path:
    """Draws the data, once, with so many validation images, and writes the sweep file.

    Every second trial shares the training of the one before and is evaluated otherwise.

    Args:
        folder: for the data, the initial weights and the file.
        num_trials: that train.
        stop: the rule of early stopping.
        num_valid: validation images.
        evaluate: also evaluates the first one's weights otherwise when it has finished.
    """
    data = folder / "data"
    if not data.exists():
        draw_demo_dataset(data, seed=3, train=8, valid=num_valid, test=3, image_size_px=64)
    weights = folder / WEIGHTS
    if not weights.exists():
        torch.save({"model": {LAYER: torch.zeros(32)}}, weights)
    base = ROOT / "configs" / "demo.yaml"
    text = SWEEP.format(base=base, data=data, max_iter=MAX_ITER, stop=stop, weights=weights)
    for i in range(num_trials):
        evaluation = ", INPUT.MIN_SIZE_TEST: 48" if i % 2 else ""
        text += f"  v{i}: {{SOLVER.BASE_LR: {0.01 + i // 2 * 0.001:.3f}{evaluation}}}\n"
    text += EVALUATE if evaluate else ""
    path = folder / f"faults-{stop}.yaml"
    path.write_text(text)
    return path


class DisturbedSweep:
    """A sweep into an empty results folder, with faults.

    Args:
        file: the sweep file.
        folder: for results and logs.
        draw: decides what breaks when.
        figures: are added to.
        address: of a Ray cluster; None: each launch starts its own.
    """

    def __init__(
        self, file: Path, folder: Path, draw: random.Random, figures: Figures, address: str | None = None
    ) -> None:
        self.file, self.folder, self.draw, self.figures, self.address = file, folder, draw, figures, address
        self.results = folder / "results"
        self.results.mkdir(parents=True)
        self.finished_logs: dict[str, int] = {}
        self.damaged: dict[str, set[str]] = {}
        self.before_losses: list[tuple[str, int, int]] = []
        self.hit: list[str] = []
        self.launches = 0

    def trials(self) -> list[TrialFolder]:
        folder = self.results / "trials"
        return [TrialFolder(path) for path in sorted(folder.glob("*-*"))] if folder.is_dir() else []

    def start(self) -> Launch:
        self.launches += 1
        self.figures.launches += 1
        mark = uuid.uuid4().hex
        log = self.folder / f"launch-{self.launches}.txt"
        command = [sys.executable, str(ROOT / "launch.py"), str(self.file), "--results", str(self.results)]
        command += ["--address", self.address] if self.address else ["--no-dashboard"]
        with open(log, "wb") as file:
            process = subprocess.Popen(
                command,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, MARK: mark, "OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )
        return Launch(process, mark, log)

    def note_finished(self) -> None:
        """Remembers how long the log of every finished trial is: no training may be added to it."""
        for folder in self.trials():
            if folder.path.name not in self.finished_logs and folder.status().status == TrialState.FINISHED:
                self.finished_logs[folder.path.name] = folder.log.stat().st_size if folder.log.exists() else 0

    def note_damage(self, path: Path) -> None:
        """Remembers what was damaged of a trial, also before it had finished: a checkpoint may still be needed then.

        What a trial has taken over from another is one file under two names.
        """
        trials = self.results / "trials"
        same = [one for one in trials.glob(f"*/*/{path.name}") if path.exists() and one.samefile(path)]
        for trial, kind in {one.relative_to(trials).parts[:2] for one in [path, *same]}:
            self.damaged.setdefault(trial, set()).add(kind)

    def run_again(self) -> tuple[int, int]:
        """Returns how many finished trials have trained since, needlessly and of need.

        Where an evaluation and a checkpoint are damaged, that evaluation can be had again only by training.
        """
        again = [t for t, size in self.finished_logs.items() if any(n != MAX_ITER for n in self._starts(t, size))]
        needed = [trial for trial in again if self.damaged.get(trial, set()) >= {"checkpoints", "evaluations"}]
        return len(again) - len(needed), len(needed)

    def note_checkpoints(self) -> None:
        """Remembers the newest checkpoint of every trial that runs: it may lose nothing before that."""
        for folder in self.trials():
            kept = [int(path.stem) for path in folder.checkpoints.glob("*.json") if path.stem.isdecimal()]
            if folder.status().status == TrialState.RUNNING and kept and folder.log.exists():
                self.before_losses.append((folder.path.name, max(kept), folder.log.stat().st_size))

    def went_back(self) -> list[str]:
        """Returns the trials that have continued from before the checkpoint that was noted."""
        return [
            name
            for name, iteration, size in self.before_losses
            if any(started < iteration for started in self._starts(name, size))
        ]

    def _starts(self, trial: str, since: int) -> list[int]:
        """Returns the iterations that a trial has continued from, by its log from that size on."""
        text = (self.results / "trials" / trial / "log.txt").read_bytes()[since:].decode(errors="replace")
        return [int(iteration) for iteration in re.findall(r"Starting training from iteration (\d+)", text)]

    def require(self, holds: bool, what: str) -> None:
        """Keeps what did not hold."""
        if not holds:
            self.figures.not_survived.append(f"{self.folder.name}, launch {self.launches}: {what}")

    def add(self, kind: str) -> None:
        self.figures.injected[kind] += 1
        self.hit.append(kind)
        print(f"  {kind}", flush=True)
