"""``stop: race``: a variant is stopped once it is significantly behind another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agropest.sweep.sections.section import Section
from agropest.sweep.stopping.simulated import share_of_others, simulated_assumption

if TYPE_CHECKING:
    from agropest.sweep.sections.stop_rule import StopRule
    from agropest.sweep.trial import TrialSpec

# Fine-tuning the same configuration with other seeds gives AP that spread by 0.3 to 0.6 points, some by twice as much.
# What the race and the plan assume where no seeds say it: rather too much, so that the error holds.
SEED_NOISE = 0.9
SIMULATED = 0.87  # share of the iterations that it trains in the simulated sweeps


@dataclass(frozen=True)
class RaceOptions:
    """Options of ``race``.

    Attributes:
        level: the highest chance that a trial is ever stopped although none is better.
        allowance: how much more, as a share of the leader's metric, a trial may still gain on it from learning-rate
            decay that is to come; see ``agropest.statistics.race.racing``.
        equal_allowance: the same between trials whose schedule, augmentation and backbone are equal.
        indifference: a difference of the metric, in percent points, that does not matter. Above 0, a trial that is
            behind is also stopped once it cannot be ahead by more than this.
        seed_noise: by how much, in percent points (standard deviation), another seed is taken to move a training's
            metric where no seeds say it.
    """

    level: float = 0.05
    allowance: float = 0.3
    equal_allowance: float = 0.02
    indifference: float = 0.0
    seed_noise: float = SEED_NOISE

    @staticmethod
    def read_race(section: Section) -> dict[str, Any]:
        """Returns the options that a sweep file's ``stop:`` gives."""
        return {
            "level": section.number("level", 0.05, low=1e-6, high=0.5),
            "allowance": section.number("allowance", 0.3, high=1.0),
            "equal_allowance": section.number("equal_allowance", 0.02, high=1.0),
            "indifference": section.number("indifference", 0.0, high=100.0),
            "seed_noise": section.number("seed_noise", SEED_NOISE, high=100.0),
        }


def expected_share(rule: StopRule, trial: TrialSpec) -> float:
    """As simulated."""
    return share_of_others(SIMULATED)


def assumption(rule: StopRule) -> str:
    """See :class:`agropest.sweep.stopping.Rule`."""
    return simulated_assumption(rule, SIMULATED)
