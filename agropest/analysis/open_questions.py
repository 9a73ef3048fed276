"""Which questions of a comparison are open, and what it would take to settle them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from agropest.analysis.compared import ComparedVariant, Comparison
from agropest.statistics.inference import ALIKE, BETTER, UNFINISHED, WORSE, Difference
from agropest.statistics.seed_policy import Question


def questions(comparison: Comparison) -> list[Question]:
    """Returns of every ranked variant whether it is better than the baseline, and whether it is behind the first."""
    ranked = [one for one in comparison.variants if one.rank is not None]
    base = next((one for one in ranked if one.label == comparison.baseline), None)
    first = ranked[0] if ranked else None
    found = [*_against(ranked, base), *_behind(ranked, first)]
    unique: dict[frozenset[str], Question] = {}
    for one in found:
        # A pair that is asked about twice is judged against the baseline, and still decides who is first.
        pair = frozenset((one.one, one.other))
        unique[pair] = replace(unique[pair], is_of_first=True) if pair in unique else one
    return list(unique.values())


def seed_counts(comparison: Comparison) -> dict[str, int]:
    """Returns how many seeds each ranked variant has."""
    return {one.label: len(one.seeds) for one in comparison.variants if one.rank is not None}


def _against(ranked: list[ComparedVariant], base: ComparedVariant | None) -> Iterator[Question]:
    for one in ranked:
        difference = one.difference
        if base is not None and difference is not None and _is_of_variants(difference):
            yield _question(one, base, difference, difference.verdict in (BETTER, WORSE, ALIKE), False)


def _behind(ranked: list[ComparedVariant], first: ComparedVariant | None) -> Iterator[Question]:
    for one in ranked:
        if first is not None and one.behind is not None and _is_of_variants(one.behind):
            is_decided = not one.ties_with_best or one.behind.verdict == ALIKE
            of_first = _question(first, one, one.behind, is_decided, True)
            yield replace(of_first, has_verdict=False)


def _is_of_variants(difference: Difference) -> bool:
    """Returns whether more seeds or images would answer it; not of what was measured on one training alone."""
    return difference.verdict != UNFINISHED and (difference.knows_seeds or not difference.is_within)


def _question(
    one: ComparedVariant, other: ComparedVariant, difference: Difference, is_decided: bool, is_of_first: bool
) -> Question:
    return Question(
        one.label,
        other.label,
        difference.value,
        difference.error,
        difference.seeds_share,
        difference.critical,
        difference.critical_at_end,
        difference.averaged_share,
        is_decided,
        is_of_first,
    )
