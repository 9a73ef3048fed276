"""What sharing equal trainings saves: ``python -m benchmarks.bench_shared_stages [--run]``.

Without ``--run``: for every file in sweeps/, the iterations of its trials, trained each for itself and trained once
where they are the same, as a table. Nothing is trained, and no data set is needed.

With ``--run``: the ablation of sweeps/anchors.yaml at the size of the demo, launched without and with sharing at the
same time on a drawn data set, so that whatever else the machine does slows down both; from when the shared one has
ended, the other has the machine to itself. The metrics and boxes of every evaluation are compared byte for byte.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from agropest.data.dataset import load_dataset
from agropest.data.demo.draw import draw_demo_dataset
from agropest.store.store import Store
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.sweep.stages.tree import stage_tree
from agropest.sweep.trial import TrialSpec

ROOT = Path(__file__).resolve().parents[1]
# The factors of sweeps/anchors.yaml at the demo's size of pictures.
FACTORS: dict[str, dict[str, Any]] = {
    "anchors": {
        "MODEL.ANCHOR_GENERATOR.SIZES": [[8, 12, 16], [20, 24, 32], [40, 48, 64], [72, 80, 88], [96, 108, 120]]
    },
    "train_scales": {"INPUT.MIN_SIZE_TRAIN": [128, 144, 160, 176]},
    "test_scale": {"INPUT.MIN_SIZE_TEST": 144},
    "tta": {"TEST.AUG.ENABLED": True, "TEST.AUG.MIN_SIZES": [144, 160]},
}
LAUNCH = "import sys\nfrom agropest import command_line\nsys.exit(command_line.main(['launch', *sys.argv[1:]]))"
UNSHARED = f"""
from agropest.store.sharing.shared_work import Sharing
from agropest.tuning import launch
launch.all_sharing = lambda trials, *_: {{trial.name: Sharing() for trial in trials}}
{LAUNCH}"""


def planned(path: Path) -> list[TrialSpec]:
    """Returns the trials of a sweep file, for a data set of twelve classes."""

    def fit(config: Mapping[str, Any], per_level: int, where: str) -> dict[str, Any]:
        return {"MODEL.ANCHOR_GENERATOR.SIZES": [[8.5 * n for n in range(1, per_level + 1)]]}

    return expand_trials(load_sweep(path), "data", [f"class{i}" for i in range(12)], fit)


def table(paths: Sequence[Path]) -> Iterator[str]:
    """Yields the table of iterations, line by line, as Markdown."""
    yield "| sweep | trials | iterations, each trial for itself | trained once | saved |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    everyone = []
    for path in paths:
        trials = planned(path)
        everyone += trials
        yield _row(f"`{path.stem}`", trials)
    yield _row("all, in one results folder", everyone)


def _row(name: str, trials: Sequence[TrialSpec]) -> str:
    tree, different = stage_tree(trials), {trial.signature for trial in trials if trial.trains}
    once, alone = tree.num_iters, tree.num_iters_unshared
    return f"| {name} | {len(different)} | {alone:,} | {once:,} | {1 - once / alone:.0%} |"


def write_ablation(folder: Path, iterations: int) -> Path:
    """Draws a data set and writes the ablation over it; returns the sweep file."""
    draw_demo_dataset(folder / "data", seed=3, train=200, valid=60, test=40)
    content = {
        "base": str(ROOT / "configs" / "demo.yaml"),
        "data": str(folder / "data"),
        "seeds": [42],
        "stop": "none",
        "silence": ["no-effect"],
        "config": {"SOLVER.MAX_ITER": iterations, "TEST.EVAL_PERIOD": iterations // 2},
        "design": "ablation",
        "factors": FACTORS,
        "resources": {"cpus": 1},
    }
    path = folder / "ablation.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def launched(codes: Mapping[str, str], path: Path) -> dict[str, float]:
    """Launches a sweep at the same time by several programs, each in a process and a results folder of its own.

    Returns:
        Wall time of each, in seconds.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started, running = time.monotonic(), {}
    for word, code in codes.items():
        command = [sys.executable, "-c", code, str(path), "--results", str(path.parent / word), "--no-dashboard"]
        with open(path.parent / f"{word}.txt", "wb") as log:
            running[word] = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    wall_s: dict[str, float] = {}
    while len(wall_s) < len(running):
        time.sleep(0.1)
        for word, process in running.items():
            if word not in wall_s and process.poll() is not None:
                if process.returncode:
                    sys.exit((path.parent / f"{word}.txt").read_text(errors="replace"))
                wall_s[word] = time.monotonic() - started
    return wall_s


def differences(path: Path, one: Path, two: Path) -> tuple[int, list[str]]:
    """Returns how many evaluations were compared, and which differ in a metric or a byte of their boxes."""
    dataset = load_dataset(path.parent / "data", one / "data")
    found, number = [], 0
    for trial in expand_trials(load_sweep(path), dataset.fingerprint, dataset.class_names):
        folders = [Store(results).folder(trial) for results in (one, two)]
        for split in ("valid", "test", "valid_augmented"):
            left, right = (folder.read_evaluations(split) for folder in folders)
            number += len(left)
            if [(r.iteration, r.metrics) for r in left] != [(r.iteration, r.metrics) for r in right]:
                found.append(f"{trial.name}: {split}")
            for record in left:
                contents = [folder.boxes_path(record).read_bytes() for folder in folders]
                if contents[0] != contents[1]:
                    found.append(f"{trial.name}: boxes of {record.stem}")
    return number, found


def run_ablation(iterations: int) -> None:
    """Launches the ablation without and with sharing, at the same time, and prints what came of it."""
    with tempfile.TemporaryDirectory(prefix="agropest-shared-") as name:
        folder = Path(name)
        path = write_ablation(folder, iterations)
        wall_s = launched({"alone": UNSHARED, "shared": LAUNCH}, path)
        number, found = differences(path, folder / "alone", folder / "shared")
        print(f"wall time: {wall_s['alone']:.0f} s each for itself, {wall_s['shared']:.0f} s shared", flush=True)
        print(f"ratio: {wall_s['alone'] / wall_s['shared']:.2f}")
        print(f"{number} evaluations compared: {len(found)} differ", *found, sep="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="store_true", help="launch the demo-sized ablation without and with sharing")
    parser.add_argument("--iterations", type=int, default=440, help="of each trial of that ablation")
    arguments = parser.parse_args()
    print(*table(sorted((ROOT / "sweeps").glob("*.yaml"))), sep="\n", flush=True)
    if arguments.run:
        run_ablation(arguments.iterations)


if __name__ == "__main__":
    main()
