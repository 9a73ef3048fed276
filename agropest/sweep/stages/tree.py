"""The stages of a sweep: a tree of training prefixes, each of which needs to be trained once.

    baseline    0 --------- 15,000 ----- 25,000
    averaged    0 ========= 15,000 ===== 25,000
    twice_long  0 ========= 15,000 ---------------- 50,000

Three stages: up to iteration 15,000, which all need, from there to 25,000, which two need, and to 50,000. What is drawn
double is trained by another.

Two trials share the iterations up to which everything that training reads is equal and their learning rates are equal
bit for bit (stage trees: Shin et al. 2020, "Hippo", section 4).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from agropest.sweep.stages.rates import num_equal
from agropest.sweep.stages.training import compared_schedule, digest, training_key
from agropest.sweep.trial import TrialSpec


@dataclass(frozen=True)
class Stage:
    """A part of a training that is trained once.

    Attributes:
        name: 16 hex digits of what is trained; it is the same for whoever trains it.
        start: the iteration it continues from.
        end: the iteration it ends at.
        trials: signatures of the trials whose training it is a part of, the first one's first.
    """

    name: str
    start: int
    end: int
    trials: tuple[str, ...]

    @property
    def num_iters(self) -> int:
        """Iterations that it takes."""
        return self.end - self.start

    @property
    def is_shared(self) -> bool:
        """Whether more than one trial needs it."""
        return len(self.trials) > 1


@dataclass(frozen=True)
class StageTree:
    """The stages of some trials, each after the one that it continues from."""

    stages: tuple[Stage, ...]

    @cached_property
    def _paths(self) -> dict[str, tuple[Stage, ...]]:
        paths: defaultdict[str, list[Stage]] = defaultdict(list)
        for stage in self.stages:
            for signature in stage.trials:
                paths[signature].append(stage)
        return {signature: tuple(stages) for signature, stages in paths.items()}

    def path(self, trial: TrialSpec) -> tuple[Stage, ...]:
        """Returns the stages of one trial, in order; none of one that trains nothing."""
        return self._paths.get(trial.signature, ())

    @property
    def num_iters(self) -> int:
        """Iterations that all of the trials take, each stage trained once."""
        return sum(stage.num_iters for stage in self.stages)

    @property
    def num_iters_unshared(self) -> int:
        """Iterations that the trials take where each trains for itself."""
        return sum(stage.num_iters * len(stage.trials) for stage in self.stages)

    def shared_until(self, one: TrialSpec, two: TrialSpec) -> int:
        """Returns the iteration up to which two trials are one training; 0 where they never are."""
        return max((stage.end for stage in self.path(one) if two.signature in stage.trials), default=0)

    def saved_iters(self, trial: TrialSpec, done: int = 0) -> int:
        """Returns how many of a trial's iterations after ``done`` an earlier trial of the tree trains as well."""
        others = [stage for stage in self.path(trial) if stage.trials[0] != trial.signature]
        return sum(max(0, stage.end - max(stage.start, done)) for stage in others)

    def in_order(self, trials: Iterable[TrialSpec]) -> list[TrialSpec]:
        """Returns trials so that whoever trains a stage comes before those that wait for it, else as they were.

        Those that only evaluate weights come last.
        """

        def awaits(trial: TrialSpec) -> tuple[bool, float]:
            return not trial.trains, self.saved_iters(trial) / max(1, trial.max_iter)

        return sorted(trials, key=awaits)


def stage_tree(trials: Sequence[TrialSpec]) -> StageTree:
    """Returns the stages of a sweep's trials; trials that are alike are one, and those that train nothing have none."""
    different: dict[str, TrialSpec] = {}
    for trial in (trial for trial in trials if trial.trains):
        different.setdefault(trial.signature, trial)
    alike: defaultdict[str, list[TrialSpec]] = defaultdict(list)
    for trial in different.values():
        alike[training_key(trial)].append(trial)
    stages = [stage for key, its in alike.items() for stage in _stages(key, its, its[0].start_iter)]
    return StageTree(tuple(stages))


def _stages(key: str, trials: Sequence[TrialSpec], start: int) -> list[Stage]:
    """Returns the stages of trials with one training key that share the first ``start`` iterations.

    A part that is shorter than the time between two evaluations is not shared: it would take a checkpoint, and others
    that wait for it, to save next to nothing.
    """
    end = min(num_shared(trials[0], trial) for trial in trials)
    branches: defaultdict[float, list[TrialSpec]] = defaultdict(list)
    for trial in trials:
        if trial.max_iter > end:
            branches[_rate_at(trial, end)].append(trial)
    is_short = end - start < min(trial.eval_period_iters for trial in trials)
    found = []
    if is_short and len(branches) > 1 and all(trial.max_iter > end for trial in trials):
        end = start
    else:
        schedule = repr(compared_schedule(min(trials, key=lambda trial: trial.signature)))
        name = digest({"training": key, "schedule": schedule, "start": start, "end": end})
        found = [Stage(name, start, end, tuple(trial.signature for trial in trials))]
    return found + [stage for branch in branches.values() for stage in _stages(key, branch, end)]


def num_shared(one: TrialSpec, two: TrialSpec) -> int:
    """Returns how many iterations, from the first on, two trials with one training key have in common."""
    schedules = compared_schedule(one), compared_schedule(two)
    if schedules[0] is None or schedules[1] is None:  # then their key holds the whole schedule
        return min(one.max_iter, two.max_iter)
    return num_equal(schedules[0], schedules[1])


def _rate_at(trial: TrialSpec, iteration: int) -> float:
    schedule = compared_schedule(trial)
    return schedule.multiplier(iteration) if schedule is not None else 0.0
