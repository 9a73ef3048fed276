"""What ``race`` decides: :mod:`agropest.statistics.race.racing` on the stored evaluations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from agropest.statistics.race.entrant import Entrant, Stop
from agropest.statistics.race.racing import Known, RaceRule, race
from agropest.statistics.race.training_noise import NoiseVariance
from agropest.sweep.sections.stop_rule import StopRule
from agropest.sweep.trial import TrialSpec

RESAMPLES = 1000


def first_look(rule: StopRule, trial: TrialSpec) -> int:
    """Returns the first iteration at which a trial may be stopped."""
    return rule.grace_period_iters or max(int(trial.config["SOLVER.WARMUP_ITERS"]), trial.max_iter // 10)


def decide(
    entrants: Sequence[Entrant],
    rule: StopRule,
    known: Known,
    num_sources: Callable[[], int],
    seed_noise: Callable[[], NoiseVariance],
) -> Mapping[str, Stop]:
    """Returns which variants are out, by label.

    Args:
        entrants: the variants with their stored evaluations.
        known: what was decided before.
        num_sources: returns the number of independent validation images.
        seed_noise: returns what another seed is taken to do.
    """
    race_rule = RaceRule(
        level=rule.level,
        num_entrants=len(entrants),
        num_sources=num_sources(),
        allowance=rule.allowance,
        equal_allowance=rule.equal_allowance,
        indifference=rule.indifference,
        seed_noise=seed_noise(),
    )
    return race(entrants, race_rule, known)
