"""Early stopping replayed on simulated sweeps of 8 variants: iterations spent, and whether the best was kept.

    python -m benchmarks.bench_stopping [--sweeps 216] [--images 1095] [--resamples 100] [--seeds 1] [--seed 0]
                                        [--seed-sd 0.6] [--checkpoint-sd 0.3]

The decisions are the real ones: ``agropest.statistics.race.racing`` for race, ``halving`` for hyperband, Ray Tune's own
schedulers, as a launch builds them, for asha and median. What they decide on is simulated down to the boxes
(``benchmarks.simulated_sweeps``), with noise of training: a seed of its own for every training, and checkpoints.

The first variant is the sweep's baseline, which puts others out and is never out itself, unless a row says so.

Kept: the variant with the highest true final AP has finished, or one has whose paired 95 % interval at the end, on the
same validation images and with the noise of training, does not tell it from that one. "the very best" counts only the
former. An eighth more sweeps has 8 equal variants, for the error that race makes, and a ninth more has a winner that
race does not expect.

``benchmarks.bench_stopping_noise`` varies the noise.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from agropest.statistics.race.entrant import Entrant, Sample
from agropest.statistics.race.halving import halving
from agropest.statistics.race.racing import Known, RaceRule, race
from agropest.statistics.race.training_noise import assumed_seed_noise
from agropest.sweep.learning_rate import decay_to_come
from agropest.sweep.sections.stop_rule import StopRule
from benchmarks.simulated_sweeps import (
    END,
    EQUAL,
    KINDS,
    LOOKS,
    PERIOD,
    SPREADS,
    UNEXPECTED,
    VARIANTS,
    Evaluations,
    Noise,
    Recorded,
    calibrate,
    draw_curves,
)

BASELINE = 0

Reached = dict[int, int]  # variant to the number of its evaluations
Decide = Callable[[Reached, int], set[int]]


def replay(decide: Decide, rng: np.random.Generator, slots: int, lockstep: bool) -> tuple[int, set[int]]:
    """Returns iterations spent and the variants that finished, for trials that run at slightly different speeds.

    Args:
        decide: who is out, given how far everyone is and who has just arrived.
        lockstep: a trial makes way for one that waits and is behind, as under race and hyperband.
    """
    speed = rng.uniform(0.85, 1.15, VARIANTS)
    reached: Reached = dict.fromkeys(range(VARIANTS), 0)
    waiting, out, running = list(range(VARIANTS)), set[int](), list[tuple[float, int]]()
    now = 0.0
    while waiting or running:
        while waiting and len(running) < slots:
            chosen = min(waiting, key=lambda v: reached[v]) if lockstep else waiting[0]
            waiting.remove(chosen)
            heapq.heappush(running, (now + 1 / speed[chosen], chosen))
        now, arrived = heapq.heappop(running)
        reached[arrived] += 1
        out |= decide(reached, arrived)
        waiting = [v for v in waiting if v not in out]
        if arrived in out or reached[arrived] == len(LOOKS):
            continue
        if lockstep and any(reached[v] < reached[arrived] for v in waiting):
            waiting.append(arrived)
        else:
            heapq.heappush(running, (now + 1 / speed[arrived], arrived))
    finished = {v for v in range(VARIANTS) if reached[v] == len(LOOKS) and v not in out}
    return sum(reached.values()) * PERIOD, finished


def by_race(sweep: Recorded, rule: StopRule, images: int) -> Decide:
    """Decides as a launch with ``stop: race`` does."""
    to_come = {t: decay_to_come(sweep.curves.config, t) for t in LOOKS}
    curve = [f"{v}" if sweep.curves.kind in KINDS[1:] else "" for v in range(VARIANTS)]
    seed_noise = assumed_seed_noise(rule.seed_noise)
    racing = RaceRule(rule.level, VARIANTS, images, rule.allowance, rule.equal_allowance, rule.indifference, seed_noise)
    stays = BASELINE if rule.keep_baseline else None
    known: dict[int, dict[int, Sample]] = {v: {} for v in range(VARIANTS)}
    compared: Known = {}

    def decide(reached: Reached, arrived: int) -> set[int]:
        look = reached[arrived] - 1
        known[arrived][LOOKS[look]] = sweep.sample(arrived, look)
        entrants = [
            Entrant(str(v), LOOKS, known[v], PERIOD, to_come, curve[v], stays=v == stays) for v in range(VARIANTS)
        ]
        out = race(entrants, racing, compared) if rule.method == "race" else halving(entrants, rule.reduction_factor)
        return {int(name) for name in out}

    return decide


@dataclass(frozen=True)
class SimulatedTrial:
    """As much of a Tune trial as its schedulers look at."""

    trial_id: str
    status: str = "RUNNING"


def by_tune(sweep: Recorded, rule: StopRule) -> Decide:
    """Decides as a launch with ``stop: asha`` or ``stop: median`` does: with Ray Tune's scheduler."""
    from agropest.tuning.stopping.schedulers import ask, tune_scheduler

    scheduler: Any = tune_scheduler(rule, "AP", END, PERIOD)
    trials = [SimulatedTrial(str(v)) for v in range(VARIANTS)]
    controller = SimpleNamespace(get_live_trials=lambda: ())
    added: set[int] = set()

    def decide(reached: Reached, arrived: int) -> set[int]:
        if arrived not in added:
            scheduler.on_trial_add(controller, trials[arrived])
            added.add(arrived)
        look = reached[arrived] - 1
        if look == len(LOOKS) - 1:
            return set()  # a launch reports the last evaluation when the trial has ended
        result = {"iteration": LOOKS[look], "AP": sweep.sample(arrived, look).value, "training_iteration": look + 1}
        stays = rule.keep_baseline and arrived == BASELINE
        decision = ask(scheduler, controller, trials[arrived], result)
        return {arrived} if decision == "STOP" and not stays else set()

    return decide


@dataclass
class Tally:
    """What one method did on a number of sweeps."""

    spent: list[float]
    kept: list[bool]
    best: list[bool]

    def row(self) -> str:
        if not self.spent:
            return ""
        spent, kept, best = (100 * float(np.mean(values)) for values in (self.spent, self.kept, self.best))
        return f"{spent:6.1f} % {kept:6.1f} % {best:6.1f} %  ({len(self.spent)} sweeps)"


def sweeps(arguments: argparse.Namespace) -> Iterator[Recorded]:
    """Yields the simulated sweeps, an eighth more of equal variants, and a ninth more of unexpected winners."""
    quality = calibrate()
    cells = list(itertools.product(KINDS, (False, True), SPREADS))
    kinds = [cells[number % len(cells)] for number in range(arguments.sweeps)]
    kinds += [(EQUAL, False, 0.0)] * (arguments.sweeps // 8)
    kinds += [(UNEXPECTED, *cells[number % 8][1:]) for number in range(arguments.sweeps // 9)]
    for number, (kind, cosine, spread) in enumerate(kinds):
        seed = 10_000 * arguments.seed + number
        curves = draw_curves(np.random.default_rng([seed, 0]), kind, cosine, spread)
        evaluations = Evaluations(curves, quality, seed, arguments.images, arguments.resamples)
        yield Recorded(evaluations, Noise(arguments.seed_sd, arguments.checkpoint_sd), arguments.seeds)


def methods() -> dict[str, StopRule]:
    """Returns what is replayed; race with no allowance shows what the allowance is for."""
    return {
        "race": StopRule("race"),
        "race, keep_baseline false": StopRule("race", keep_baseline=False),
        "race, both allowances 0": StopRule("race", allowance=0.0, equal_allowance=0.0),
        "race, half of both allowances": StopRule("race", allowance=0.15, equal_allowance=0.01),
        "race, equal_allowance 0.3": StopRule("race", equal_allowance=0.3),
        "race, indifference 1": StopRule("race", indifference=1.0),
        "race, seed_noise 0.3": StopRule("race", seed_noise=0.3),
        "asha, factor 2": StopRule("asha"),
        "asha, factor 4": StopRule("asha", reduction_factor=4.0),
        "median": StopRule("median"),
        "hyperband, factor 3": StopRule("hyperband", reduction_factor=3.0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=216, metavar="N")
    parser.add_argument("--images", type=int, default=1095, metavar="N")
    parser.add_argument("--resamples", type=int, default=100, metavar="N")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="trainings of each variant")
    parser.add_argument("--seed-sd", type=float, default=0.6, metavar="AP", help="what another seed does")
    parser.add_argument("--checkpoint-sd", type=float, default=0.3, metavar="AP", help="what another checkpoint does")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    arguments = parser.parse_args()
    tallies: dict[tuple[str, str], Tally] = {}
    changed, orders, stopped_equal, num_equal = 0, 0, 0, 0
    for number, sweep in enumerate(sweeps(arguments)):
        if sweep.curves.kind == EQUAL:
            finished = replay_of(sweep, StopRule("race"), arguments.images, 4, 2)[1]
            stopped_equal, num_equal = stopped_equal + VARIANTS - len(finished), num_equal + VARIANTS - 1
            continue
        tally_sweep(sweep, arguments.images, tallies)
        first = replay_of(sweep, StopRule("race"), arguments.images, 4, 2)[1]
        for order, slots in ((5, 2), (6, 4), (7, 8)):
            orders += 1
            changed += replay_of(sweep, StopRule("race"), arguments.images, order, slots)[1] != first
        if number % 24 == 23:
            print(f"{number + 1} sweeps: race {tallies['all', 'race'].row()}", file=sys.stderr, flush=True)
    print(
        f"{arguments.sweeps} sweeps, {arguments.images} images, {arguments.resamples} resamples, "
        f"seeds of each variant: {arguments.seeds}; 2 slots; another seed {arguments.seed_sd:g} AP, "
        f"another checkpoint {arguments.checkpoint_sd:g} AP"
    )
    print("                                            iterations   kept   the very best")
    for group in dict.fromkeys(group for group, _ in tallies):
        print(group)
        for name in methods():
            print(f"    {name:38s}  {tallies[group, name].row()}")
    print(f"race: other speeds and 2, 4 or 8 slots changed who finished in {changed} of {orders} replays")
    print(
        f"race: of {num_equal} trials, no baselines, that none was better than, {stopped_equal} were stopped; "
        "the level is 5 %"
    )


def replay_of(sweep: Recorded, rule: StopRule, images: int, order: int, slots: int) -> tuple[int, set[int]]:
    """Returns iterations spent and who finished under one rule."""
    in_step = rule.method in ("race", "hyperband")
    decide = by_race(sweep, rule, images) if in_step else by_tune(sweep, rule)
    return replay(decide, np.random.default_rng([sweep.seed, order]), slots, in_step)


def tally_sweep(sweep: Recorded, images: int, tallies: dict[tuple[str, str], Tally]) -> None:
    """Adds one sweep under every method."""
    best = int(np.argmax(sweep.curves.ap[:, -1]))
    schedule = "cosine" if sweep.curves.config["SOLVER.LR_SCHEDULER_NAME"] == "WarmupCosineLR" else "steps"
    kind = sweep.curves.kind
    for name, rule in methods().items():
        spent, finished = replay_of(sweep, rule, images, 4, 2)
        groups = (kind, f"{kind}, {schedule}", f"{kind}, spread {sweep.curves.spread:g}")
        for group in groups if kind == UNEXPECTED else ("all", *groups):
            tally = tallies.setdefault((group, name), Tally([], [], []))
            tally.spent.append(spent / (VARIANTS * END))
            tally.kept.append(sweep.keeps_best(finished))
            tally.best.append(best in finished)


if __name__ == "__main__":
    main()
