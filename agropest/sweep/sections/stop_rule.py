"""``stop:``: how trials that cannot win are ended early.

stop: race                                    # or none, asha, hyperband, median
stop: {method: race, level: 0.05, allowance: 0.3, seed_noise: 0.9, keep_baseline: true}
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from agropest.sweep.sections.section import Section

NONE, ASHA, HYPERBAND, MEDIAN, RACE = "none", "asha", "hyperband", "median", "race"
STOP_METHODS = (NONE, ASHA, HYPERBAND, MEDIAN, RACE)
# Fine-tuning the same configuration with other seeds gives AP that spread by 0.3 to 0.6 points, some by twice as much.
SEED_NOISE = 0.9


@dataclass(frozen=True)
class StopRule:
    """How hopeless trials are stopped early.

    Attributes:
        method: one of ``STOP_METHODS``; ``none`` runs every trial to its end.
        grace_period_iters: no trial is stopped before this iteration; 0: ``race`` waits for the end of the warm-up and
            a tenth of the schedule, ``asha`` and ``median`` for a quarter of the longest; ``hyperband`` has its rungs.
        reduction_factor: of ``asha`` and ``hyperband``: 1/this of the trials continues at a rung.
        level: of ``race``: the highest chance that a trial is ever stopped although none is better.
        allowance: of ``race``: how much more, as a share of the leader's metric, a trial may still gain on it from
            learning-rate decay that is to come; see ``agropest.statistics.race.racing``.
        equal_allowance: the same between trials whose schedule, augmentation and backbone are equal.
        indifference: of ``race``: a difference of the metric, in percent points, that does not matter. Above 0, a trial
            that is behind is also stopped once it cannot be ahead by more than this.
        seed_noise: of ``race``: by how much, in percent points (standard deviation), another seed is taken to move a
            training's metric where no seeds say it.
        keep_baseline: the baseline is never stopped: every verdict compares with it, at the end of its schedule. For
            the others it counts as any variant does.
        is_stated: whether the file names the method; False: it is the default.
    """

    method: str = NONE
    grace_period_iters: int = 0
    reduction_factor: float = 2.0
    level: float = 0.05
    allowance: float = 0.3
    equal_allowance: float = 0.02
    indifference: float = 0.0
    seed_noise: float = SEED_NOISE
    keep_baseline: bool = True
    is_stated: bool = True

    @property
    def identity(self) -> str:
        """Everything that decides what is stopped, in words; stored with every stop: old ones must still fit."""
        options = {name: value for name, value in asdict(self).items() if name != "is_stated"}
        if self.seed_noise == SEED_NOISE:  # was not there from the beginning
            del options["seed_noise"]
        return ", ".join(f"{name} {value}" for name, value in options.items())


def read_stop(top: Section, default: str) -> StopRule:
    """Returns the rule of a sweep file's ``stop:``, a method's name or keys.

    Args:
        top: the sweep file.
        default: the method where the file names none.
    """
    value = top.raw("stop")
    section = Section({"method": value} if isinstance(value, str) else value, top.where + " stop", top.faults)
    rule = StopRule(
        method=section.choice("method", STOP_METHODS, default),
        grace_period_iters=section.integer("grace_period_iters", 0),
        reduction_factor=section.number("reduction_factor", 2.0, low=1.01, high=100.0),
        level=section.number("level", 0.05, low=1e-6, high=0.5),
        allowance=section.number("allowance", 0.3, high=1.0),
        equal_allowance=section.number("equal_allowance", 0.02, high=1.0),
        indifference=section.number("indifference", 0.0, high=100.0),
        seed_noise=section.number("seed_noise", SEED_NOISE, high=100.0),
        keep_baseline=section.flag("keep_baseline", True),
        is_stated=section.raw("method") is not None,
    )
    section.refuse_unknown()
    return rule


def most_rungs(num_evaluations: int, reduction_factor: float) -> int:
    """Returns the rungs before the end that HyperBand's most aggressive bracket has.

    Args:
        num_evaluations: of the trial that has most.
    """
    return int(math.log(num_evaluations) / math.log(reduction_factor) + 1e-9)


def rung_iteration(evaluation_iters: Sequence[int], share: float, grace_period_iters: int) -> int:
    """Returns the first evaluation at or past a share of the schedule, and not within the grace period.

    Args:
        evaluation_iters: ascending; the last is the end.
    """
    least = max(share * evaluation_iters[-1] - 1e-6, grace_period_iters)
    return next((t for t in evaluation_iters if t >= least), evaluation_iters[-1])
