"""What each factor does, from the variants that combine them.

A full design gives the main effect of each factor (applied minus not applied, mean over all settings of the others) and
each interaction of two (by how much more the one gains where the other is applied: a difference of differences). An
ablation gives each factor alone (against the baseline) and left out (all factors against all but this one).

Box, Hunter and Hunter, Statistics for Experimenters (2005), chapter 5; interactions there are half of these.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

MAIN, INTERACTION, ALONE, LEFT_OUT = "main effect", "interaction", "alone", "within all"
ABLATION = "ablation"
Setting = frozenset[str]  # the factors that are applied


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of variants that sums up one question.

    Attributes:
        kind: ``MAIN``, ``INTERACTION``, ``ALONE`` or ``LEFT_OUT``.
        factors: one, or two of an interaction.
        weights: label of the variant to its weight.
    """

    kind: str
    factors: tuple[str, ...]
    weights: Mapping[str, float]


def contrasts(levels: Mapping[str, Mapping[str, str]], applied: str, design: str = "") -> list[Contrast]:
    """Returns the questions that a set of variants can answer.

    Args:
        levels: label of each variant that is there to the level of each factor.
        applied: the level that means "applied".
        design: of the sweep; an ablation of up to three factors has every combination, and is still one.
    """
    settings = {
        frozenset(name for name, level in one.items() if level == applied): label
        for label, one in levels.items()
        if one
    }
    factors = list(dict.fromkeys(name for one in levels.values() for name in one))
    if not factors:
        return []
    if len(settings) == 2 ** len(factors) and design != ABLATION:
        return list(_full(factors, settings))
    return list(_ablation(factors, settings))


def _full(factors: Sequence[str], settings: Mapping[Setting, str]) -> Iterator[Contrast]:
    half = len(settings) / 2
    for name in factors:
        yield Contrast(MAIN, (name,), {label: _sign(name in on) / half for on, label in settings.items()})
    for one, two in itertools.combinations(factors, 2):
        weights = {label: _sign(one in on) * _sign(two in on) * 2 / half for on, label in settings.items()}
        yield Contrast(INTERACTION, (one, two), weights)


def _ablation(factors: Sequence[str], settings: Mapping[Setting, str]) -> Iterator[Contrast]:
    everything = frozenset(factors)
    for name in factors:
        for kind, on in ((ALONE, frozenset({name})), (LEFT_OUT, everything)):
            if on in settings and on - {name} in settings:
                yield Contrast(kind, (name,), {settings[on]: 1.0, settings[on - {name}]: -1.0})


def _sign(condition: bool) -> int:
    return 1 if condition else -1
