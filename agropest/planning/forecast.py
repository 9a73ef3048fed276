"""How long a sweep takes: arithmetic on measured speeds. No measurement is made here.

trial    = start + iterations x step + evaluations x images x seconds per image
sweep    = the trials in order, each as soon as its cores and its share of a card are free
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agropest.sweep.sections.stop_rule import StopRule
from agropest.sweep.stopping import rule_named
from agropest.sweep.trial import TrialSpec


@dataclass(frozen=True)
class Speed:
    """How fast a trial is expected to be.

    Attributes:
        step_s: seconds of an iteration.
        evaluation_image_s: seconds for one evaluated image.
        start_s: until the first iteration.
        source: where these are from, in words.
    """

    step_s: float
    evaluation_image_s: float
    start_s: float
    source: str


@dataclass(frozen=True)
class TrialForecast:
    """What is expected of one trial that waits to be run.

    Attributes:
        seconds: to its end, from where it stands; None: nothing is known of its speed.
        stopped_early_s: the same with early stopping as assumed.
        source: of the speed, in words.
        end_s: when it is done, from the start of the launch, with early stopping as assumed; None: not known.
        whole_s: of the same work from its beginning, wherever the trial stands; None: not known.
    """

    name: str
    seconds: float | None
    stopped_early_s: float | None
    source: str
    end_s: float | None = None
    whole_s: float | None = None


@dataclass(frozen=True)
class Capacity:
    """What there is to run on; ``most_trials`` at a time, 0: as many as fit."""

    num_cores: float
    num_cards: float
    most_trials: int = 0


def trial_seconds(
    trial: TrialSpec,
    speed: Speed,
    num_images: Mapping[str, int],
    done: int = 0,
    share: float = 1.0,
    taken_over: int = 0,
) -> float:
    """Returns how long a trial takes from where it stands.

    Args:
        trial: the trial.
        speed: how fast it is.
        num_images: split name to its number of images; ``test`` may be missing.
        done: iterations trained already.
        share: of its iterations that it gets to train, (0, 1]; below 1 it is not tested.
        taken_over: iterations after ``done`` that another trial trains for it.
    """
    if not trial.trains:
        images = num_images.get("valid", 0) + _final_images(trial, num_images)
        return speed.start_s + images * speed.evaluation_image_s
    last, done = round(trial.max_iter * share), max(done, trial.start_iter)
    iterations = max(0, last - done - taken_over)
    period = trial.eval_period_iters
    evaluations = max(0, last // period - done // period) + (last == trial.max_iter and last % period != 0)
    images = evaluations * num_images.get("valid", 0)
    if share >= 1.0 and trial.ends_schedule:
        images += _final_images(trial, num_images)
    return speed.start_s + iterations * speed.step_s + images * speed.evaluation_image_s


def repair_seconds(speed: Speed, num_images: Mapping[str, int]) -> float:
    """Returns how long it takes at least to repair a trial that was stopped early: one validation, no training."""
    return speed.start_s + num_images.get("valid", 0) * speed.evaluation_image_s


def _final_images(trial: TrialSpec, num_images: Mapping[str, int]) -> int:
    """Returns how many images are evaluated once a trial is trained: the test split; augmented ones count as often."""
    if not trial.config["TEST.AUG.ENABLED"]:
        return num_images.get("test", 0)
    times = len(trial.config["TEST.AUG.MIN_SIZES"]) * (2 if trial.config["TEST.AUG.FLIP"] else 1)
    return times * (num_images.get("test", 0) + num_images.get("valid", 0))


def expected_share(rule: StopRule, trial: TrialSpec, baseline: str = "") -> float:
    """Returns the share of its iterations that an average trial trains under a rule; 1 where nothing is assumed.

    Args:
        rule: of early stopping.
        trial: one of the sweep's.
        baseline: label of the sweep's, which goes to its end unless the rule lets it go.
    """
    if not trial.trains or (rule.keep_baseline and trial.label == baseline):
        return 1.0
    return rule_named(rule.method).expected_share(rule, trial)


def assumption(rule: StopRule) -> str:
    """Returns what the forecast takes early stopping to do, in words; empty without early stopping."""
    return rule_named(rule.method).assumption(rule)


def makespan(work: Sequence[tuple[float, float, float]], capacity: Capacity) -> float:
    """Returns the seconds until all are done; see :func:`ends`."""
    return max(ends(work, capacity), default=0.0)


def ends(work: Sequence[tuple[float, float, float]], capacity: Capacity) -> list[float]:
    """Returns when each is done, in seconds, each started in order as soon as there is room.

    Args:
        work: of each trial seconds, cores, and share of a card or number of cards.
        capacity: what they share; a trial that does not fit runs alone.
    """
    now, found = 0.0, []
    cores, cards = capacity.num_cores, capacity.num_cards
    running: list[tuple[float, float, float]] = []
    most = capacity.most_trials or len(work)
    for seconds, its_cores, its_cards in work:
        while running and (its_cores > cores + 1e-9 or its_cards > cards + 1e-9 or len(running) >= most):
            now, freed_cores, freed_cards = heapq.heappop(running)
            cores, cards = cores + freed_cores, cards + freed_cards
        heapq.heappush(running, (now + seconds, its_cores, its_cards))
        cores, cards = cores - its_cores, cards - its_cards
        found.append(now + seconds)
    return found
