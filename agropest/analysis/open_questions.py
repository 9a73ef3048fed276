"""Which questions of a comparison are open, and what it would take to settle them."""

from __future__ import annotations

from collections.abc import Iterator

from agropest.analysis.compared import ComparedVariant, Comparison
from agropest.statistics.inference import ALIKE, BETTER, UNFINISHED, WORSE, Difference
from agropest.statistics.seed_policy import Question


def questions(comparison: Comparison) -> list[Question]:
    """Returns of every ranked variant whether it is better than the baseline, and whether it is behind the first."""
    ranked = [one for one in comparison.variants if one.rank is not None]
    base = next((one for one in ranked if one.label == comparison.baseline), None)
    first = ranked[0] if ranked else None
    found = [*_against(ranked, base), *_behind(ranked, first)]
    unique = {frozenset((one.one, one.other)): one for one in reversed(found)}  # against the baseline before the first
    return [one for one in found if unique[frozenset((one.one, one.other))] is one]


def seed_counts(comparison: Comparison) -> dict[str, int]:
    """Returns how many seeds each ranked variant has."""
    return {one.label: len(one.seeds) for one in comparison.variants if one.rank is not None}


def _against(ranked: list[ComparedVariant], base: ComparedVariant | None) -> Iterator[Question]:
    for one in ranked:
        difference = one.difference
        if base is not None and difference is not None and difference.verdict != UNFINISHED:
            yield _question(one, base, difference, difference.verdict in (BETTER, WORSE, ALIKE))


def _behind(ranked: list[ComparedVariant], first: ComparedVariant | None) -> Iterator[Question]:
    for one in ranked:
        if first is not None and one.behind is not None:
            yield _question(first, one, one.behind, not one.ties_with_best)


def _question(one: ComparedVariant, other: ComparedVariant, difference: Difference, is_decided: bool) -> Question:
    return Question(
        one.label,
        other.label,
        difference.value,
        difference.error,
        difference.seeds_share,
        difference.critical,
        is_decided,
    )
