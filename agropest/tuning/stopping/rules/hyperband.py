"""What ``hyperband`` decides: :mod:`agropest.statistics.race.halving` on the stored evaluations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from agropest.statistics.race.entrant import Entrant, Stop
from agropest.statistics.race.halving import halving
from agropest.statistics.race.racing import Known
from agropest.statistics.race.training_noise import NoiseVariance
from agropest.sweep.sections.stop_rule import StopRule
from agropest.sweep.trial import TrialSpec

RESAMPLES = 1  # the metric alone decides


def first_look(rule: StopRule, trial: TrialSpec) -> int:
    """Returns the first iteration at which a trial may be stopped."""
    return rule.grace_period_iters


def decide(
    entrants: Sequence[Entrant],
    rule: StopRule,
    known: Known,
    num_sources: Callable[[], int],
    seed_noise: Callable[[], NoiseVariance],
) -> Mapping[str, Stop]:
    """Returns which variants are out; see :func:`agropest.tuning.stopping.rules.race.decide`."""
    return halving(entrants, rule.reduction_factor)
