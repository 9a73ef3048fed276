"""Early stopping replayed on simulated sweeps of 8 variants: iterations spent, and whether the best was kept.

    python -m benchmarks.bench_stopping [--sweeps 216] [--images 1095] [--resamples 100] [--seeds 1] [--seed 0]

The decisions are the real ones: ``agropest.statistics.racing`` for race and hyperband, Ray Tune's own schedulers, as a
launch builds them, for asha and median. What they decide on is simulated down to the boxes:

- One validation set for each sweep, of AgroPest-12's size: 1,095 images, 12 classes, 1 to 3 objects in each. Every
  object has a difficulty that all trials share; every trial adds a taste of its own, and every evaluation noise. What
  is left of a trial's quality after that is the overlap of its box with the object, and its score. Boxes that match
  nothing come with low scores. So AP, its bootstrap and the correlation between trials come out of matched boxes.
- A trial's AP on all images there are follows its curve exactly: (a rise) * (a loss that the learning rate's decay
  takes away) + checkpoint noise. Schedules are those of the study: 25,000 iterations, an evaluation every 2,500, steps
  at 15,000 and 20,000, or a cosine.
- Final AP of the variants: 42 + spread * a standard normal; the spread of a sweep is 1, 2, 4 or 8 AP.
- Three kinds of sweep. "same curve": variants as anchors, losses, samplers: the decay gains each 12 +- 1.5 % of its AP.
  "curves differ": schedule, augmentation, backbone: it gains 12 +- 5 %, and they rise at different speeds. "decay
  winner": as "curves differ", and one variant gains 25 %: it ends 2 AP ahead of all others and is about 4 AP behind
  before. A ninth more sweeps has such a winner although all variants share schedule, augmentation and backbone ("decay
  winner, one curve"): what race does not expect. They are told apart from the rest.
- With ``--seeds 2`` or more every variant is trained so often: each training has its own taste, and its AP is off the
  variant's by SEED_SD times a standard normal. The rule sees the mean, as a launch does.

The first variant is the sweep's baseline, which puts others out and is never out itself, unless a row says so.

Kept: the variant with the highest true final AP has finished, or one has whose paired 95 % interval at the end, on the
same validation images, does not tell it from that one. "the very best" counts only the former. An eighth more sweeps
has 8 equal variants, for the error that race makes.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from agropest.statistics.bootstrap import replicate
from agropest.statistics.boxes import Boxes, GroundTruth
from agropest.statistics.matching import Targets, match, read_targets
from agropest.statistics.metric import basis_of
from agropest.statistics.racing import Entrant, Known, RaceRule, Sample, halving, race
from agropest.sweep.learning_rate import decay_to_come
from agropest.sweep.sections.stop_rule import StopRule

FloatArray = npt.NDArray[np.float64]

BASELINE = 0
VARIANTS, END, PERIOD, STEPS = 8, 25_000, 2_500, [15_000, 20_000]
LOOKS = tuple(range(PERIOD, END + 1, PERIOD))
CLASSES = 12
SPREADS = (1.0, 2.0, 4.0, 8.0)
KINDS = ("same curve", "curves differ", "decay winner")
UNEXPECTED = "decay winner, one curve"
EQUAL = "all equal"
# Shares of the variance of a box's quality: the object's difficulty, the trial's taste, the evaluation's noise.
SHARED, TASTE, NOISE = 0.55, 0.30, 0.15
# Standard deviation of AP over the seeds of one variant.
SEED_SD = 0.5
GRID = np.linspace(-2.0, 3.0, 26)


@dataclass(frozen=True)
class Scene:
    """A validation set: ground truth as boxes and as arrays, and how difficult each object is, [M]."""

    truth: GroundTruth
    targets: Targets
    image: npt.NDArray[np.int64]
    category: npt.NDArray[np.int64]
    bbox: FloatArray
    difficulty: FloatArray

    @staticmethod
    def draw(rng: np.random.Generator, num_images: int) -> Scene:
        counts = rng.choice([1, 2, 3], size=num_images, p=[0.83, 0.12, 0.05])
        image = np.repeat(np.arange(1, num_images + 1), counts)
        number = len(image)
        category = rng.integers(1, CLASSES + 1, number)
        size = rng.uniform(80, 300, (number, 2))
        corner = rng.uniform(0, 640 - 300, (number, 2))
        bbox = np.concatenate([corner, size], axis=1)
        annotations = [
            {"id": i + 1, "image_id": int(image[i]), "category_id": int(category[i]), "bbox": bbox[i].tolist()}
            | {"area": float(size[i].prod()), "iscrowd": 0}
            for i in range(number)
        ]
        categories = [{"id": k, "name": f"c{k:02d}"} for k in range(1, CLASSES + 1)]
        truth = GroundTruth([{"id": i} for i in range(1, num_images + 1)], categories, annotations)
        return Scene(truth, read_targets(truth), image, category, bbox, rng.standard_normal(number))

    def detect(self, quality: float, taste: FloatArray, rng: np.random.Generator) -> Boxes:
        """Returns the boxes of a detector of some quality: 0 is mediocre, 3 finds nearly everything."""
        noise = rng.standard_normal(len(taste))
        latent = quality - np.sqrt(SHARED) * self.difficulty + np.sqrt(TASTE) * taste + np.sqrt(NOISE) * noise
        overlap = np.clip(0.55 + 0.15 * latent, 0.05, 0.98)
        shift = (1 - overlap) / (1 + overlap)  # moves a box sideways by this share of its width: IoU is the overlap
        found = self.bbox + np.stack([shift * self.bbox[:, 2], *[np.zeros(len(shift))] * 3], axis=1)
        score = 1 / (1 + np.exp(-(1.5 * latent + 0.7 * rng.standard_normal(len(latent)))))
        strays = rng.integers(0, len(taste), rng.poisson(0.5 * len(taste)))
        stray = self.bbox[strays] + np.array([0.0, 700.0, 0.0, 0.0])
        stray_score = 1 / (1 + np.exp(-(rng.standard_normal(len(strays)) - 1.5 - 0.3 * quality)))
        return Boxes(
            np.concatenate([self.image, self.image[strays]]),
            np.concatenate([self.category, rng.integers(1, CLASSES + 1, len(strays))]),
            np.concatenate([found, stray]).astype(np.float32),
            np.concatenate([score, stray_score]).astype(np.float32),
        )

    def sample(self, boxes: Boxes, resamples: int) -> Sample:
        """Returns AP and its replicates."""
        basis = basis_of("AP")
        drawn = replicate(match(self.targets, boxes, 100, [basis.area]), basis, resamples)
        value, replicates = drawn.of("AP")
        return Sample(float(value or 0.0), replicates)


def calibrate() -> Callable[[float], float]:
    """Returns the quality that has a given AP on very many images."""
    rng = np.random.default_rng(99)
    scene = Scene.draw(rng, 4000)
    ap = [scene.sample(scene.detect(q, rng.standard_normal(len(scene.bbox)), rng), 1).value for q in GRID]
    return lambda wanted: float(np.interp(wanted, ap, GRID))


@dataclass(frozen=True)
class Curves:
    """True AP of 8 variants at every look, [8, looks]; the kind of sweep, and the config that makes the schedule."""

    ap: FloatArray
    kind: str
    config: Mapping[str, Any]
    spread: float


def draw_curves(rng: np.random.Generator, kind: str, cosine: bool, spread: float) -> Curves:
    name = "WarmupCosineLR" if cosine else "WarmupMultiStepLR"
    config = {
        "SOLVER.MAX_ITER": END,
        "SOLVER.LR_SCHEDULER_NAME": name,
        "SOLVER.STEPS": STEPS,
        "SOLVER.GAMMA": 0.1,
    }
    to_come = np.array([decay_to_come(config, t) for t in LOOKS])
    if kind == EQUAL:
        return Curves(np.tile(42 * (1 - np.exp(-np.array(LOOKS) / END / 0.08)), (VARIANTS, 1)), kind, config, 0.0)
    same = kind == KINDS[0]
    final = 42 + spread * rng.standard_normal(VARIANTS)
    gain = 0.12 + (0.015 if same else 0.05) * rng.standard_normal(VARIANTS)
    if kind in (KINDS[2], UNEXPECTED):
        winner = int(rng.integers(VARIANTS))
        final[winner] = np.delete(final, winner).max() + 2
        gain[winner] = 0.25
    rate = 0.08 * np.exp((0.05 if same else 0.3) * rng.standard_normal(VARIANTS))
    rise = 1 - np.exp(-np.array(LOOKS) / END / rate[:, None])
    noise = (0.15 + 0.6 * to_come) * rng.standard_normal((VARIANTS, len(LOOKS)))
    ap = final[:, None] * rise / rise[:, -1:] * (1 - np.clip(gain, 0, 1)[:, None] * to_come) + noise
    return Curves(np.clip(ap, 0.5, 85), kind, config, spread)


class Recorded:
    """Evaluations of one simulated sweep, each computed when it is first asked for."""

    def __init__(
        self, curves: Curves, quality: Callable[[float], float], seed: int, images: int, resamples: int, seeds: int = 1
    ) -> None:
        self.curves, self.quality, self.seed, self.resamples, self.seeds = curves, quality, seed, resamples, seeds
        self.scene = Scene.draw(np.random.default_rng([seed, 1]), images)
        self._samples: dict[tuple[int, int], Sample] = {}

    def sample(self, variant: int, look: int) -> Sample:
        if (variant, look) not in self._samples:
            trained = [self._trained(variant, look, number) for number in range(self.seeds)]
            self._samples[variant, look] = Sample.mean(trained)
        return self._samples[variant, look]

    def _trained(self, variant: int, look: int, number: int) -> Sample:
        """Returns an evaluation of one of a variant's trainings."""
        own = [number] if number else []
        tastes = np.random.default_rng([self.seed, 2, variant, *own])
        taste = tastes.standard_normal(len(self.scene.bbox))
        off = SEED_SD * float(tastes.standard_normal()) if self.seeds > 1 else 0.0
        rng = np.random.default_rng([self.seed, 3, variant, look, *own])
        boxes = self.scene.detect(self.quality(self.curves.ap[variant, look] + off), taste, rng)
        return self.scene.sample(boxes, self.resamples)

    def told_apart(self, one: int, other: int) -> bool:
        """Returns whether the 95 % interval of the difference at the end leaves out 0."""
        a, b = (self.sample(v, len(LOOKS) - 1) for v in (one, other))
        of_seeds = max(a.of_seed / a.num_seeds + b.of_seed / b.num_seeds, 0.0)
        variance = float(np.var(a.replicates - b.replicates, ddof=1)) + of_seeds
        return abs(a.value - b.value) > 1.96 * math.sqrt(variance)


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
    racing = RaceRule(rule.level, VARIANTS, images, rule.allowance, rule.equal_allowance, rule.indifference)
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
        yield Recorded(curves, quality, seed, arguments.images, arguments.resamples, arguments.seeds)


def methods() -> dict[str, StopRule]:
    """Returns what is replayed; race with no allowance shows what the allowance is for."""
    return {
        "race": StopRule("race"),
        "race, keep_baseline false": StopRule("race", keep_baseline=False),
        "race, both allowances 0": StopRule("race", allowance=0.0, equal_allowance=0.0),
        "race, half of both allowances": StopRule("race", allowance=0.15, equal_allowance=0.01),
        "race, equal_allowance 0.3": StopRule("race", equal_allowance=0.3),
        "race, indifference 1": StopRule("race", indifference=1.0),
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
        f"seeds of each variant: {arguments.seeds}; 2 slots"
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
            tally.kept.append(best in finished or any(not sweep.told_apart(v, best) for v in finished))
            tally.best.append(best in finished)


if __name__ == "__main__":
    main()
