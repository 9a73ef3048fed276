"""Which variants get another seed: those of which a question is open that more seeds may settle.

Seeds are added in rounds (of 2, 3, 4 ... 8 seeds, say), to both sides of every open question at once, so that the
variants that are compared have the same seeds. A question is open while it is not decided, and while the rounds up to
the most seeds may still decide it: given what is seen now, the difference at the end is normal around it, with the
variance of the trainings still to come (the predictive power of Spiegelhalter, Freedman and Blackburn 1986, Controlled
Clinical Trials 7). Ending without a decision is never an error, so this needs no correction; deciding early does, and
so every look has a level of its own (:mod:`agropest.statistics.alpha_spending`).

Which variant is first is to be right, too, even where nothing will be called: the first and another one get seeds as
long as these may still exchange them, and that would raise the metric by more than nothing. So the variants at the top
are trained most (optimal computing budget allocation: Chen, Lin, Yucesan and Chick 2000, Discrete Event Dynamic Systems
10). By how much the first is ahead of another is a verdict only where one of the two is the baseline, and asked of no
others.

Everything is a function of what has been trained: neither the order in which trainings end nor a launch that was killed
in between changes what is decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, pi, sqrt

from scipy.special import ndtr

from agropest.sweep.sections.seed_rule import levels

# A question that the remaining seeds would settle with less than this probability is not asked further.
LEAST_CHANCE = 0.1
# Nor is who is first, where the remaining seeds exchange the two with less than this probability.
LEAST_EXCHANGE = 0.15
# Nor where that is expected to raise the metric of the first by less than this, points: nobody would mind.
LEAST_GAIN = 0.05


@dataclass(frozen=True)
class Question:
    """Two variants of which it is to be known which is better.

    Attributes:
        one, other: their names.
        value: the difference.
        error: its standard error.
        seeds_share: of the squared error, the seeds'; the rest are the images'.
        critical: how many standard errors a difference must be away from 0 to be called.
        critical_at_end: the same once every variant has the most seeds.
        averaged_share: of the squared error, what averages out over seeds; the rest stays, whatever is trained.
        is_decided: whether it has been.
        is_of_first: whether one of the two is the first of the ranking: which of them is first is to be right, even
            where the difference will not be called.
        has_verdict: whether one of the two is the baseline: the difference is to be called if it can be.
    """

    one: str
    other: str
    value: float
    error: float
    seeds_share: float
    critical: float
    critical_at_end: float
    averaged_share: float
    is_decided: bool = False
    is_of_first: bool = False
    has_verdict: bool = True

    def to_come(self, seeds: int, most: int) -> float:
        """Returns the variance by which the difference will have moved when both sides have the most seeds.

        Args:
            seeds: that they have now.
        """
        return self.error**2 * self.averaged_share * (1 - seeds / most)


def chance_of_call(question: Question, seeds: int, most: int) -> float:
    """Returns the probability that the difference will be called when both sides have the most seeds.

    Args:
        seeds: that they have now.
    """
    variance = question.to_come(seeds, most)
    to_come, distance = sqrt(variance), question.critical_at_end * sqrt(question.error**2 - variance)
    if to_come == 0:
        return float(abs(question.value) > distance)
    size = abs(question.value)
    return float(ndtr((size - distance) / to_come) + ndtr((-size - distance) / to_come))


def chance_of_exchange(question: Question, seeds: int, most: int) -> float:
    """Returns the probability that the other of the two is ahead when both sides have the most seeds."""
    to_come = sqrt(question.to_come(seeds, most))
    return float(ndtr(-abs(question.value) / to_come)) if to_come > 0 else 0.0


def gain_by_exchange(question: Question, seeds: int, most: int) -> float:
    """Returns by how much the higher of the two is expected to rise with the most seeds because they may be exchanged.

    The expected opportunity cost of stopping now (Chick and Inoue, Operations Research 49, 2001).
    """
    to_come = sqrt(question.to_come(seeds, most))
    if to_come == 0:
        return 0.0
    distance = abs(question.value) / to_come
    return float(to_come * (exp(-(distance**2) / 2) / sqrt(2 * pi) - distance * ndtr(-distance)))


def seeds_needed(question: Question, seeds: int) -> float:
    """Returns how many seeds each side would need for the difference seen to be called; infinite: images decide."""
    if question.value == 0 or seeds == 0:
        return inf
    # With more seeds their spread is known better, so that less is asked of a difference than now.
    wanted = (question.value / question.critical_at_end) ** 2
    averages_out = question.error**2 * question.averaged_share
    stays = question.error**2 - averages_out
    return inf if stays >= wanted else max(seeds * averages_out / (wanted - stays), 1.0)


def images_factor(question: Question) -> float:
    """Returns by how many times the images would have to grow for the difference seen to be called; infinite: never."""
    if question.value == 0:
        return inf
    wanted = (question.value / question.critical) ** 2
    of_seeds = question.error**2 * question.seeds_share
    return inf if of_seeds >= wanted else max((question.error**2 - of_seeds) / (wanted - of_seeds), 1.0)


def next_seeds(
    questions: Sequence[Question],
    seeds: Mapping[str, int],
    start: int,
    most: int,
    costs: Mapping[str, float],
    least_chance: float = LEAST_CHANCE,
) -> dict[str, int]:
    """Returns how many seeds each variant is to have next, those first that tell most per cost; empty: all is settled.

    Args:
        seeds: that each variant has, all of them ended.
        start, most: of every variant.
        costs: of one training of each variant, in any one unit.
        least_chance: with which a question must be settled by the remaining seeds to be asked.
    """
    # One level for all: there are as many looks as levels, whichever variants are trained further.
    goal = next((level for level in levels(start, most) if level > max(seeds.values(), default=most)), 0)
    gains: dict[str, float] = {}
    for question in questions if goal else ():
        if not _is_open(question, min(seeds[question.one], seeds[question.other]), most, least_chance):
            continue
        for name in (question.one, question.other):
            # Of the squared error, what the new seeds of this side take away, for each training.
            gain = question.averaged_share / 2 * (1 - seeds[name] / goal) / (goal - seeds[name])
            gains[name] = gains.get(name, 0.0) + gain / costs.get(name, 1.0)
    return dict.fromkeys(sorted(gains, key=lambda name: (-gains[name], name)), goal)


def _is_open(question: Question, seeds: int, most: int, least_chance: float) -> bool:
    if question.is_decided:
        return False
    if question.has_verdict and chance_of_call(question, seeds, most) >= least_chance:
        return True
    may_exchange = question.is_of_first and chance_of_exchange(question, seeds, most) >= LEAST_EXCHANGE
    return may_exchange and gain_by_exchange(question, seeds, most) >= LEAST_GAIN
