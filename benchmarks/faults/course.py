"""The course of a disturbed sweep: what breaks when, until everything is done."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.faults.deck import Deck
from benchmarks.faults.disturbed_sweep import DisturbedSweep
from benchmarks.faults.inputs import BETWEEN
from benchmarks.faults.kinds import ENDING, IN_FLIGHT, damage
from benchmarks.faults.launched import Launch
from benchmarks.faults.writers import running_writer

DAMAGE_AFTERWARDS = "damage of a finished sweep"
DAMAGE_BETWEEN = "damage between launches"
WHILE_IT_STARTS = 0.2  # share of the launches that are ended before a trial trains
Fault = Callable[[DisturbedSweep, Launch], bool]


@dataclass
class Decks:
    """What breaks next.

    Attributes:
        in_flight: while a launch runs, and continues.
        ending: what ends a launch.
        between: what is stored, while no launch runs.
    """

    in_flight: Deck
    ending: Deck
    between: Deck

    @classmethod
    def shuffled(cls, draw: random.Random) -> Decks:
        """Returns the decks of all kinds."""
        return cls(Deck(IN_FLIGHT, draw), Deck(ENDING, draw), Deck([DAMAGE_BETWEEN, *BETWEEN], draw))


def disturb(sweep: DisturbedSweep, decks: Decks, num_faults: int, deadline: float, end: float) -> None:
    """Runs a sweep to its end, with so many faults on the way.

    Args:
        deadline: after that nothing breaks any more.
        end: what runs then is ended, and was not survived.
    """
    while True:
        launch = sweep.start()
        may_break, before = len(sweep.hit) < num_faults and time.monotonic() < deadline, len(sweep.hit)
        if may_break:
            break_running(sweep, launch, decks, num_faults)
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
            break_between(sweep, decks.between)


def break_between(sweep: DisturbedSweep, deck: Deck) -> None:
    """Damages something that is stored while no launch runs: of a trial, or what all trials are made from."""
    kind = deck.next()
    if BETWEEN[kind](sweep) if kind in BETWEEN else damage(sweep, None):
        sweep.add(kind)
    else:
        deck.put_back(kind)


def break_running(sweep: DisturbedSweep, launch: Launch, decks: Decks, num_faults: int) -> None:
    """Lets faults happen to a launch while it runs; the last of them ends it."""
    if sweep.draw.random() < WHILE_IT_STARTS:
        time.sleep(sweep.draw.uniform(0.5, 8.0))
    else:
        while launch.is_running() and running_writer(sweep) is None:
            time.sleep(0.05)
            sweep.note_finished()
        for _ in range(sweep.draw.randint(1, 3)):
            time.sleep(sweep.draw.uniform(0.0, 2.5))
            sweep.note_finished()
            break_by(decks.in_flight, IN_FLIGHT, sweep, launch, num_faults)
        time.sleep(sweep.draw.uniform(0.0, 2.5))
    break_by(decks.ending, ENDING, sweep, launch, num_faults)


def break_by(deck: Deck, kinds: Mapping[str, Fault], sweep: DisturbedSweep, launch: Launch, num_faults: int) -> None:
    """Lets the next fault of a deck happen, where there is still something to break."""
    if not launch.is_running() or len(sweep.hit) >= num_faults:
        return
    kind = deck.next()
    if kinds[kind](sweep, launch):
        sweep.add(kind)
    else:
        deck.put_back(kind)
