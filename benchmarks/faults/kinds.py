"""The faults: each takes the sweep and its launch, and returns whether it hit something."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.faults.disturbed_sweep import DisturbedSweep
from benchmarks.faults.inputs import replace_pictures, replace_weights
from benchmarks.faults.launched import Launch, kill, marked
from benchmarks.faults.writers import running_writer


def kill_trial(sweep: DisturbedSweep, launch: Launch) -> bool:
    pid = running_writer(sweep)
    return pid is not None and kill(pid)


def fill_disk(sweep: DisturbedSweep, launch: Launch) -> bool:
    """No file of one trial's process may grow beyond 4 KiB: what a full disk does to whoever writes next."""
    pid = running_writer(sweep)
    if pid is None:
        return False
    try:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, 4096))
    except OSError:
        return False
    return True


def damage(sweep: DisturbedSweep, launch: Launch | None) -> bool:
    """Cuts off or flips bytes of a stored file."""
    patterns = (
        *("checkpoints/*.pth", "checkpoints/*.json", "evaluations/*.json", "evaluations/*.npz", "status.json"),
        *("replicates/*.npz", "trial.json", "weights.json"),
    )
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
    sweep.note_damage(path)
    return True


def kill_driver(sweep: DisturbedSweep, launch: Launch) -> bool:
    launch.process.kill()
    launch.process.wait()
    if sweep.address is None:
        sweep.require(not launch.left_over(), "processes are left after the driver was killed")
        launch.end_hard()
    return True


def interrupt(sweep: DisturbedSweep, launch: Launch) -> bool:
    """Ctrl-C in a terminal reaches the whole group."""
    os.killpg(launch.process.pid, signal.SIGINT)
    code = launch.wait()
    # Within the last moments everything may have been done already; before the handlers are there, Python ends itself.
    sweep.require(code in (130, 0), f"exit code {code} after Ctrl-C")
    return True


def interrupt_twice(sweep: DisturbedSweep, launch: Launch) -> bool:
    os.killpg(launch.process.pid, signal.SIGINT)
    time.sleep(sweep.draw.uniform(0.2, 1.0))
    started = time.monotonic()
    if launch.is_running():
        os.killpg(launch.process.pid, signal.SIGINT)
    code = launch.wait()
    sweep.require(code in (130, 0), f"exit code {code} after Ctrl-C twice")
    sweep.require(time.monotonic() - started < 20, "the second Ctrl-C did not end it at once")
    return True


def end_by(number: signal.Signals, code: int, send: Callable[[int, int], None]) -> Callable[..., bool]:
    """Returns the fault of a signal that ends a launch as Ctrl-C does.

    Args:
        number: the signal.
        code: the launch's exit code.
        send: ``os.kill``, or ``os.killpg`` for every process of the launch.
    """

    def end(sweep: DisturbedSweep, launch: Launch) -> bool:
        send(launch.process.pid, number)
        found = launch.wait()
        # As after Ctrl-C; before the handlers are there the signal ends Python.
        sweep.require(found in (code, 0, -number), f"exit code {found} after {number.name}")
        return True

    return end


def kill_raylet(sweep: DisturbedSweep, launch: Launch) -> bool:
    """The node that the launch runs on dies: it must end by itself, and say so without a traceback."""
    return _kill_ray("raylet", sweep, launch)


def kill_gcs(sweep: DisturbedSweep, launch: Launch) -> bool:
    """The process that knows Ray's cluster dies: Ray itself would say nothing for a minute."""
    return _kill_ray("gcs_server", sweep, launch)


def _kill_ray(what: str, sweep: DisturbedSweep, launch: Launch) -> bool:
    for pid in marked(launch.mark):
        try:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            continue
        if name == what and kill(pid):
            code = launch.wait()
            sweep.require(code is not None, "the launch hangs after Ray was killed")
            sweep.require(not launch.left_over(), "processes are left after Ray was killed")
            launch.end_hard()
            return True
    return False


IN_FLIGHT: dict[str, Callable[[DisturbedSweep, Launch], bool]] = {
    "kill -9 of a trial": kill_trial,
    "disk full": fill_disk,
    "damage while running": damage,
}
ENDING: dict[str, Callable[[DisturbedSweep, Launch], bool]] = {
    "kill -9 of the driver": kill_driver,
    "Ctrl-C": interrupt,
    "Ctrl-C twice": interrupt_twice,
    "kill -9 of Ray's node": kill_raylet,
    "kill -9 of Ray's GCS": kill_gcs,
    "SIGTERM": end_by(signal.SIGTERM, 143, os.kill),
    "SIGTERM to every process": end_by(signal.SIGTERM, 143, os.killpg),
    "SIGUSR1": end_by(signal.SIGUSR1, 143, os.kill),
    "SIGHUP": end_by(signal.SIGHUP, 130, os.kill),
    "pictures replaced": replace_pictures,
    "weights replaced": replace_weights,
}
