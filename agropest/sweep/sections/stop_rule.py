"""``stop:``: how trials that cannot win are ended early.

stop: race                                    # or none, asha, hyperband, median
stop: {method: race, level: 0.05, allowance: 0.3, seed_noise: 0.9, keep_baseline: true}

What belongs to one method alone is declared in its file in ``agropest.sweep.stopping``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from agropest.sweep.sections.section import Section
from agropest.sweep.stopping import rule_names
from agropest.sweep.stopping.halving_options import HalvingOptions
from agropest.sweep.stopping.race import SEED_NOISE, RaceOptions

NONE, ASHA, HYPERBAND, MEDIAN, RACE = "none", "asha", "hyperband", "median", "race"


@dataclass(frozen=True)
class CommonOptions:
    """What every method has.

    Attributes:
        method: a name of ``agropest.sweep.stopping``; ``none`` runs every trial to its end.
        grace_period_iters: no trial is stopped before this iteration; 0: ``race`` waits for the end of the warm-up and
            a tenth of the schedule, ``asha`` and ``median`` for a quarter of the longest; ``hyperband`` has its rungs.
    """

    method: str = NONE
    grace_period_iters: int = 0

    def grace_iters(self, eval_period_iters: int, max_iter: int) -> int:
        """Returns the first iteration at which a method stops that asks one trial after another."""
        return min(self.grace_period_iters or max(eval_period_iters, max_iter // 4), max_iter)


@dataclass(frozen=True)
class StopRule(RaceOptions, HalvingOptions, CommonOptions):
    """How hopeless trials are stopped early: the options of all methods, of which the chosen one uses its own.

    Attributes:
        keep_baseline: the baseline is never stopped: every verdict compares with it, at the end of its schedule. For
            the others it counts as any variant does.
        is_stated: whether the file names the method; False: it is the default.
    """

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
        method=section.choice("method", rule_names(), default),
        grace_period_iters=section.integer("grace_period_iters", 0),
        **HalvingOptions.read_halving(section),
        **RaceOptions.read_race(section),
        keep_baseline=section.flag("keep_baseline", True),
        is_stated=section.raw("method") is not None,
    )
    section.refuse_unknown()
    return rule
