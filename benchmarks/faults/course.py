"""The course of a disturbed sweep: what breaks when, until everything is done."""

from __future__ import annotations

import time

from benchmarks.faults.disturbed_sweep import DisturbedSweep
from benchmarks.faults.inputs import BETWEEN
from benchmarks.faults.kinds import ENDING, IN_FLIGHT, damage
from benchmarks.faults.launched import Launch
from benchmarks.faults.writers import running_writer

DAMAGE_AFTERWARDS = "damage of a finished sweep"
DAMAGE_BETWEEN = "damage between launches"


def disturb(sweep: DisturbedSweep, num_faults: int, deadline: float, end: float) -> None:
    """Runs a sweep to its end, with so many faults on the way.

    Args:
        deadline: after that nothing breaks any more.
        end: what runs then is ended, and was not survived.
    """
    ends = iter(sweep.draw.sample([*ENDING, *ENDING], 2 * len(ENDING)))
    while True:
        launch = sweep.start()
        may_break, before = len(sweep.hit) < num_faults and time.monotonic() < deadline, len(sweep.hit)
        if may_break:
            break_running(sweep, launch, num_faults, next(ends, "kill -9 of the driver"))
        code = launch.wait(end) if launch.is_running() else launch.process.poll()
        while code is None and time.monotonic() < end:  # longer than the limit, and still at it: a slow machine
            code = launch.wait(end)
        if code is None:
            launch.end_hard()
            sweep.require(False, "the time was over before the sweep had come to its end")
            return
        sweep.note_finished()
        sweep.require(not launch.left_over(), "processes are left after the launch ended")
        text = launch.log.read_text(errors="replace")
        sweep.require("Traceback" not in text, f"a traceback in {launch.log.name}: {text[-400:]}")
        if code == 0 and all(folder.status().status.ended_well for folder in sweep.trials()):
            wanted = len(sweep.hit) < num_faults and time.monotonic() < deadline
            if wanted and sweep.hit.count(DAMAGE_AFTERWARDS) < 2 and damage(sweep, None):
                sweep.add(DAMAGE_AFTERWARDS)  # one more launch has to make it whole
                continue
            if any(kind.startswith("damage") for kind in sweep.hit[before:]):
                continue  # perhaps of a trial that this launch was through with
            return
        if sweep.launches > 60 or time.monotonic() > end:
            sweep.require(False, f"exit code {code} again and again")
            return
        if may_break and len(sweep.hit) < num_faults:
            break_between(sweep)


def break_between(sweep: DisturbedSweep) -> None:
    """Damages something that is stored while no launch runs: of a trial, or what all trials are made from."""
    kind = sweep.draw.choice([DAMAGE_BETWEEN, *BETWEEN])
    if BETWEEN[kind](sweep) if kind in BETWEEN else damage(sweep, None):
        sweep.add(kind)


def break_running(sweep: DisturbedSweep, launch: Launch, num_faults: int, ending: str) -> None:
    """Lets faults happen to a launch while it runs; the last of them ends it."""
    if sweep.draw.random() < 0.2:  # while it starts
        time.sleep(sweep.draw.uniform(0.5, 8.0))
    else:
        while launch.is_running() and running_writer(sweep) is None:
            time.sleep(0.05)
            sweep.note_finished()
        for _ in range(sweep.draw.randint(3, 5)):
            time.sleep(sweep.draw.uniform(0.0, 2.5))
            sweep.note_finished()
            kind = sweep.draw.choice(list(IN_FLIGHT))
            if launch.is_running() and len(sweep.hit) < num_faults and IN_FLIGHT[kind](sweep, launch):
                sweep.add(kind)
        time.sleep(sweep.draw.uniform(0.0, 2.5))
    if launch.is_running() and len(sweep.hit) < num_faults and ENDING[ending](sweep, launch):
        sweep.add(ending)
