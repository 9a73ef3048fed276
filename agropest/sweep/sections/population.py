"""Population-based training (Jaderberg et al. 2017, section 3) as pure functions: who continues from whom, with what.

A generation trains ``interval_iters`` iterations of the schedule. After it the members of the worst quantile each
continue from a random one of the best quantile (exploit, by truncation selection) with settings drawn anew or perturbed
(explore); the others continue from themselves. What a trial has come from is in its value (``TrialSpec.history``).

The rules are those of Ray Tune's ``PopulationBasedTraining`` (``ray/tune/schedulers/pbt.py``, ``_quantiles`` and
``_explore``), with two differences: a perturbed number stays within its distribution's ends and has its step or digits,
and no two members of a generation are the same trial.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agropest.sweep.history import Segment
from agropest.sweep.sections.distributions import CHOICE, Distribution, draw_point, generator
from agropest.sweep.sections.search import SearchRule, variant_name

PERTURBATION_FACTORS = (0.8, 1.2)
# How often settings are drawn anew where another member has the same.
TRIES = 100

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Member:
    """One member of one generation.

    Attributes:
        label: the same in every generation.
        settings: Detectron2 keys with the values of this generation.
        history: what its weights were trained with before.
        parent: label of the member of the generation before that it continues from; empty in the first.
    """

    label: str
    settings: Settings
    history: tuple[Segment, ...] = ()
    parent: str = ""


def first_generation(rule: SearchRule) -> list[Member]:
    """Returns members with settings drawn at random, no two alike; fewer where the space has no more points."""
    members: list[Member] = []
    for number in range(rule.population):
        taken = [member.settings for member in members]
        numbers = (number + attempt * rule.population for attempt in range(TRIES))
        points = (draw_point(rule.space, rule.seed, number) for number in numbers)
        point = next((point for point in points if point not in taken), None)
        if point is not None:
            members.append(Member(variant_name(rule, number), point))
    return members


def next_generation(
    rule: SearchRule, number: int, members: Sequence[Member], values: Mapping[str, float | None], end: int
) -> list[Member]:
    """Returns the generation that follows one that has ended: a function of the arguments alone.

    Args:
        rule: its seed is what is drawn from.
        number: of the generation that is returned; the first is 0.
        members: of the generation that has ended.
        values: label to the metric at the generation's end, higher is better; None: the member failed. Of equals the
            earlier member counts as the better one.
        end: the iteration that generation ended at.

    Returns:
        As many members, in the same order; without those that failed where nothing new can be drawn for them. Empty
        where all have failed.
    """
    worst, best = quantiles(members, values, rule.quantile_fraction)
    taken = {member.label: [member.settings] for member in best}
    following = []
    for place, member in enumerate(members):
        parent, settings = member, member.settings
        if member in worst and best:
            words = (rule.seed, number, place)
            donor = best[int(generator(words, "").integers(len(best)))]
            new = _explored(rule, donor.settings, taken[donor.label], words)
            if new is not None:
                parent, settings = donor, new
                taken[donor.label].append(new)
        if values[parent.label] is not None:
            segments = (*parent.history, Segment(end, parent.settings))
            following.append(Member(member.label, settings, segments, parent.label))
    return following


def quantiles(
    members: Sequence[Member], values: Mapping[str, float | None], fraction: float
) -> tuple[list[Member], list[Member]]:
    """Returns who continues from another, and from whom: the worst and the best share of the members, rounded up.

    As in Tune at most half of them each. Members that failed are among the worst, however many they are.
    """
    size = min(math.ceil(len(members) * fraction), len(members) // 2)
    failed = [member for member in members if values[member.label] is None]
    alive = [member for member in reversed(members) if values[member.label] is not None]
    alive.sort(key=lambda member: values[member.label] or 0.0)  # stable: of equals the later one is first, the worse
    worst = failed + alive[: max(0, size - len(failed))]
    return worst, alive[-max(size, 1) :]


def perturbed(law: Distribution, value: Any, resample_probability: float, rng: np.random.Generator) -> Any:
    """Returns a value drawn anew with the given chance; else a choice's neighbour, or 0.8 or 1.2 times a number."""
    if rng.random() < resample_probability or not law.holds(value):
        return law.draw(rng)
    if law.kind == CHOICE:
        place = law.arguments.index(value) + (1 if rng.random() < 0.5 else -1)
        return law.arguments[min(max(place, 0), len(law.arguments) - 1)]
    return law.rounded(value * PERTURBATION_FACTORS[int(rng.integers(len(PERTURBATION_FACTORS)))])


def _explored(
    rule: SearchRule, settings: Settings, taken: Collection[Settings], words: Sequence[int]
) -> Settings | None:
    """Returns settings that no other member has that continues from the same one, or None where none are found."""
    for attempt in range(TRIES):
        new = {
            key: perturbed(law, settings[key], rule.resample_probability, generator((*words, attempt), key))
            for key, law in rule.space.items()
        }
        if new not in taken:
            return new
    return None
