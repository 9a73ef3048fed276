"""Injects faults into real sweeps and says what they cost: ``python -m benchmarks.faults --faults 60 --minutes 15``.

A small sweep is run once undisturbed. Then it is run again and again through ``launch.py``, each time into an empty
results folder, and at random (seeded) moments something breaks: a trial, the driver, a node or Ray itself is killed,
Ctrl-C is pressed once or twice, the disk is full, bytes of a checkpoint, an evaluation or a status are cut off or
flipped. The same command is given again until it says that everything is done. Printed at the end:

    injected                   faults that hit something
    survived                   of these: the launch did what it must, and the sweep came to its end
    trials lost                not finished at the end of their sweep
    finished trials run again  that trained an iteration after they had finished
    metrics differing          evaluations that are not, to the last bit of their boxes, those of the undisturbed sweep
    evaluations missing        damaged ones whose checkpoint was no longer kept (they were neither best nor last)

Exit code 0 when everything was survived and the rest is 0.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agropest.data.demo import draw_demo_dataset
from agropest.results.store import FINISHED, RUNNING, TrialFolder

ROOT = Path(__file__).resolve().parents[1]
MARK = "AGROPEST_FAULTS_RUN"
MAX_ITER = 12
# The undisturbed sweep has every evaluation here; both must be the same to the last bit.
SPLITS = ("valid", "test")
# A launch that is hit ends within this; the limit of an interrupted trial is 60 s.
END_LIMIT_S = 150.0
FAULTS_PER_SWEEP = 10

SWEEP = """
name: faults
base: {base}
data: {data}
seeds: [1]
retries: 50
silence: [no-effect, single-seed]
stop: none
resources: {{cpus: 1}}
config:
  INPUT: {{MIN_SIZE_TRAIN: [64], MIN_SIZE_TEST: 64, MAX_SIZE_TRAIN: 96, MAX_SIZE_TEST: 96}}
  MODEL.FPN.OUT_CHANNELS: 32
  MODEL.ROI_BOX_HEAD.FC_DIM: 32
  MODEL.RPN: {{POST_NMS_TOPK_TEST: 20, PRE_NMS_TOPK_TEST: 50}}
  SOLVER: {{IMS_PER_BATCH: 2, MAX_ITER: {max_iter}, WARMUP_ITERS: 1, CHECKPOINT_PERIOD: 2}}
  TEST: {{EVAL_PERIOD: 4, DETECTIONS_PER_IMAGE: 10}}
variants:
"""


@dataclass
class Figures:
    """What is printed at the end."""

    injected: Counter[str] = field(default_factory=Counter)
    not_survived: list[str] = field(default_factory=list)
    trials_lost: int = 0
    finished_run_again: int = 0
    metrics_differing: int = 0
    evaluations_missing: int = 0
    sweeps: int = 0
    launches: int = 0
    seconds: float = 0.0

    def content(self) -> dict[str, Any]:
        injected = sum(self.injected.values())
        return {
            "injected": injected,
            "survived": injected - len(self.not_survived),
            "trials lost": self.trials_lost,
            "finished trials run again": self.finished_run_again,
            "metrics differing": self.metrics_differing,
            "evaluations missing": self.evaluations_missing,
            "sweeps": self.sweeps,
            "launches": self.launches,
            "seconds": round(self.seconds),
            "by kind": dict(sorted(self.injected.items())),
            "not survived": self.not_survived,
        }

    @property
    def all_well(self) -> bool:
        lost = self.trials_lost + self.finished_run_again + self.metrics_differing
        return bool(self.injected) and not self.not_survived and not lost


@dataclass
class Launch:
    """One ``launch.py`` that runs, and all processes that come from it."""

    process: subprocess.Popen[bytes]
    mark: str
    log: Path

    def is_running(self) -> bool:
        return self.process.poll() is None

    def wait(self) -> int | None:
        """Returns the exit code, None when it does not end."""
        try:
            return self.process.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            return None

    def left_over(self) -> list[int]:
        """Returns the processes of this launch that are alive, once they have had the time to end."""
        limit = time.monotonic() + 90
        while (alive := list(marked(self.mark))) and time.monotonic() < limit:
            time.sleep(0.3)
        return alive

    def end_hard(self) -> None:
        for pid in marked(self.mark):
            kill(pid)


def marked(mark: str) -> Iterator[int]:
    """Yields the live processes that have the mark in their environment."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and f"{MARK}={mark}".encode() in (entry / "environ").read_bytes():
                yield int(entry.name)
        except OSError:
            continue


def kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return False
    return True


class Sweep:
    """A sweep into an empty results folder, with faults.

    Args:
        file: the sweep file.
        folder: for results and logs.
        draw: decides what breaks when.
        figures: are added to.
        address: of a Ray cluster; None: each launch starts its own.
    """

    def __init__(self, file: Path, folder: Path, draw: random.Random, figures: Figures, address: str | None = None):
        self.file, self.folder, self.draw, self.figures, self.address = file, folder, draw, figures, address
        self.results = folder / "results"
        self.results.mkdir(parents=True)
        self.finished_logs: dict[str, int] = {}
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
            if folder.path.name not in self.finished_logs and folder.status().status == FINISHED:
                self.finished_logs[folder.path.name] = folder.log.stat().st_size if folder.log.exists() else 0

    def run_again(self) -> int:
        """Returns how many finished trials have trained since."""
        count = 0
        for name, size in self.finished_logs.items():
            text = (self.results / "trials" / name / "log.txt").read_bytes()[size:].decode(errors="replace")
            started = re.findall(r"Starting training from iteration (\d+)", text)
            count += any(iteration != str(MAX_ITER) for iteration in started)
        return count

    def require(self, holds: bool, what: str) -> None:
        """Keeps what did not hold."""
        if not holds:
            self.figures.not_survived.append(f"{self.folder.name}, launch {self.launches}: {what}")

    def add(self, kind: str) -> None:
        self.figures.injected[kind] += 1
        self.hit.append(kind)
        print(f"  {kind}", flush=True)


# ---- the faults: each returns whether it hit something ----


def running_writer(sweep: Sweep) -> int | None:
    """Returns the process of a trial that trains."""
    for folder in sweep.draw.sample(sweep.trials(), len(sweep.trials())):
        try:
            pid = int(json.loads((folder.path / "writer.json").read_text())["pid"])
        except (OSError, ValueError, KeyError):
            continue
        if folder.status().status == RUNNING and Path(f"/proc/{pid}").is_dir():
            return pid
    return None


def kill_trial(sweep: Sweep, launch: Launch) -> bool:
    pid = running_writer(sweep)
    return pid is not None and kill(pid)


def fill_disk(sweep: Sweep, launch: Launch) -> bool:
    """No file of one trial's process may grow beyond 4 KiB: what a full disk does to whoever writes next."""
    pid = running_writer(sweep)
    if pid is None:
        return False
    try:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, 4096))
    except OSError:
        return False
    return True


def damage(sweep: Sweep, launch: Launch | None) -> bool:
    """Cuts off or flips bytes of a stored file."""
    patterns = ("checkpoints/*.pth", "checkpoints/*.json", "evaluations/*.json", "evaluations/*.npz", "status.json")
    pattern = sweep.draw.choice(patterns)
    files = sorted(path for folder in sweep.trials() for path in folder.path.glob(pattern))
    if not files:
        return False
    path = sweep.draw.choice(files)
    try:
        content = bytearray(path.read_bytes())
        if sweep.draw.random() < 0.5:
            content = content[: sweep.draw.randrange(len(content))]
        else:
            for _ in range(sweep.draw.randint(1, 3)):
                content[sweep.draw.randrange(len(content))] ^= 1 << sweep.draw.randrange(8)
        with open(path, "r+b") as file:  # in place: this is what a disk does, not what a writer does
            file.truncate(len(content))
            file.write(content)
    except (OSError, ValueError):
        return False  # it was replaced or removed in the meantime
    return True


def kill_driver(sweep: Sweep, launch: Launch) -> bool:
    launch.process.kill()
    launch.process.wait()
    if sweep.address is None:
        sweep.require(not launch.left_over(), "processes are left after the driver was killed")
        launch.end_hard()
    return True


def interrupt(sweep: Sweep, launch: Launch) -> bool:
    """Ctrl-C in a terminal reaches the whole group."""
    os.killpg(launch.process.pid, signal.SIGINT)
    code = launch.wait()
    # Within the last moments everything may have been done already; before the handlers are there, Python ends itself.
    sweep.require(code in (130, 0), f"exit code {code} after Ctrl-C")
    return True


def interrupt_twice(sweep: Sweep, launch: Launch) -> bool:
    os.killpg(launch.process.pid, signal.SIGINT)
    time.sleep(sweep.draw.uniform(0.2, 1.0))
    started = time.monotonic()
    if launch.is_running():
        os.killpg(launch.process.pid, signal.SIGINT)
    code = launch.wait()
    sweep.require(code in (130, 0), f"exit code {code} after Ctrl-C twice")
    sweep.require(time.monotonic() - started < 20, "the second Ctrl-C did not end it at once")
    return True


def kill_raylet(sweep: Sweep, launch: Launch) -> bool:
    """The node that the launch runs on dies: it must end by itself, and say so without a traceback."""
    for pid in marked(launch.mark):
        try:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            continue
        if name == "raylet" and kill(pid):
            code = launch.wait()
            sweep.require(code is not None, "the launch hangs after Ray was killed")
            sweep.require(not launch.left_over(), "processes are left after Ray was killed")
            launch.end_hard()
            return True
    return False


IN_FLIGHT: dict[str, Callable[[Sweep, Launch], bool]] = {
    "kill -9 of a trial": kill_trial,
    "disk full": fill_disk,
    "damage while running": damage,
}
ENDING: dict[str, Callable[[Sweep, Launch], bool]] = {
    "kill -9 of the driver": kill_driver,
    "Ctrl-C": interrupt,
    "Ctrl-C twice": interrupt_twice,
    "kill -9 of Ray's node": kill_raylet,
}


def disturb(sweep: Sweep, num_faults: int, deadline: float) -> None:
    """Runs a sweep to its end, with so many faults on the way."""
    ends = iter(sweep.draw.sample([*ENDING, *ENDING], 2 * len(ENDING)))
    while True:
        launch = sweep.start()
        may_break = len(sweep.hit) < num_faults and time.monotonic() < deadline
        if may_break:
            break_running(sweep, launch, num_faults, next(ends, "kill -9 of the driver"))
        code = launch.wait() if launch.is_running() else launch.process.poll()
        while code is None:  # longer than the limit, and still at it: a slow machine
            code = launch.wait()
        sweep.note_finished()
        sweep.require(not launch.left_over(), "processes are left after the launch ended")
        text = launch.log.read_text(errors="replace")
        sweep.require("Traceback" not in text, f"a traceback in {launch.log.name}: {text[-400:]}")
        if code == 0 and all(folder.status().status == FINISHED for folder in sweep.trials()):
            if len(sweep.hit) < num_faults and time.monotonic() < deadline and damage(sweep, None):
                sweep.add("damage of a finished sweep")  # one more launch has to make it whole
                continue
            return
        if sweep.launches > 60:
            sweep.require(False, f"exit code {code} again and again")
            return
        if may_break and damage(sweep, None):
            sweep.add("damage between launches")


def break_running(sweep: Sweep, launch: Launch, num_faults: int, ending: str) -> None:
    """Lets faults happen to a launch while it runs; the last of them ends it."""
    if sweep.draw.random() < 0.2:  # while it starts
        time.sleep(sweep.draw.uniform(0.5, 8.0))
    else:
        while launch.is_running() and running_writer(sweep) is None:
            time.sleep(0.05)
            sweep.note_finished()
        for _ in range(sweep.draw.randint(1, 3)):
            time.sleep(sweep.draw.uniform(0.0, 2.5))
            sweep.note_finished()
            kind = sweep.draw.choice(list(IN_FLIGHT))
            if launch.is_running() and len(sweep.hit) < num_faults and IN_FLIGHT[kind](sweep, launch):
                sweep.add(kind)
        time.sleep(sweep.draw.uniform(0.0, 2.5))
    if launch.is_running() and len(sweep.hit) < num_faults and ENDING[ending](sweep, launch):
        sweep.add(ending)


# ---- what came out ----


def evaluations(results: Path) -> dict[str, tuple[object, bytes]]:
    """Returns metrics and boxes of every evaluation, by trial and file name."""
    found = {}
    for path in sorted((results / "trials").glob("*-*")):
        folder = TrialFolder(path)
        for split in SPLITS:
            for record in folder.read_evaluations(split, check_boxes=True):
                content = folder.boxes_path(record).read_bytes()
                found[f"{path.name}/{record.stem}"] = (dict(record.metrics), content)
    return found


def judge(sweep: Sweep, expected: dict[str, tuple[object, bytes]], num_trials: int) -> None:
    """Compares the end of a disturbed sweep with the undisturbed one."""
    found, figures = evaluations(sweep.results), sweep.figures
    finished = sum(folder.status().status == FINISHED for folder in sweep.trials())
    lost, again = num_trials - finished, sweep.run_again()
    differing = sum(found[name] != expected.get(name) for name in found)
    missing = len(expected.keys() - found.keys())
    figures.trials_lost += lost
    figures.finished_run_again += again
    figures.metrics_differing += differing
    figures.evaluations_missing += missing
    figures.sweeps += 1
    print(f"  lost {lost}, run again {again}, differing {differing}, missing {missing}", flush=True)


def write_sweep(folder: Path, num_trials: int) -> Path:
    """Draws the data and writes the sweep file."""
    draw_demo_dataset(folder / "data", seed=3, train=8, valid=4, test=3, image_size_px=64)
    text = SWEEP.format(base=ROOT / "configs" / "demo.yaml", data=folder / "data", max_iter=MAX_ITER)
    text += "".join(f"  v{i}: {{SOLVER.BASE_LR: {0.01 + i * 0.001:.3f}}}\n" for i in range(num_trials))
    path = folder / "faults.yaml"
    path.write_text(text)
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=66)
    parser.add_argument("--minutes", type=float, default=13.0, help="after that nothing breaks any more")
    parser.add_argument("--trials", type=int, default=6, help="of each sweep")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--nodes", type=int, default=6, help="faults of a simulated cluster, of those; 0: no cluster")
    parser.add_argument("--keep", type=Path, help="folder for results and logs, which then stay")
    arguments = parser.parse_args()
    started = time.monotonic()
    folder = arguments.keep or Path(tempfile.mkdtemp(prefix="agropest-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    figures = Figures()
    draw = random.Random(arguments.seed)
    try:
        file = write_sweep(folder, arguments.trials)
        whole = Sweep(file, folder / "undisturbed", draw, figures)
        code = whole.start().process.wait()
        expected = evaluations(whole.results)
        if code != 0 or len(expected) != arguments.trials * 4:
            print((whole.folder / "launch-1.txt").read_text())
            print(f"the undisturbed sweep ended with {code} and {len(expected)} evaluations")
            return 1
        print(f"undisturbed: {len(expected)} evaluations after {time.monotonic() - started:.0f} s", flush=True)
        deadline = started + arguments.minutes * 60
        if arguments.nodes:
            from benchmarks.lost_nodes import lose_nodes

            lose_nodes(file, folder, draw, figures, arguments.nodes, expected, arguments.trials)
        while (injected := sum(figures.injected.values())) < arguments.faults and time.monotonic() < deadline:
            sweep = Sweep(file, folder / f"sweep-{figures.sweeps + 1}", draw, figures)
            print(f"sweep {figures.sweeps + 1} ({time.monotonic() - started:.0f} s)", flush=True)
            disturb(sweep, min(FAULTS_PER_SWEEP, arguments.faults - injected), deadline)
            judge(sweep, expected, arguments.trials)
    finally:
        figures.seconds = time.monotonic() - started
        if arguments.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    content = figures.content()
    for name, value in content.items():
        print(f"{name:27} {json.dumps(value)}")
    return 0 if figures.all_well else 1


if __name__ == "__main__":
    sys.exit(main())
