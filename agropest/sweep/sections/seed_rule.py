"""``seeds:``: with which seeds every variant is trained, or how many until its verdict is known.

seeds: [42, 43, 44]                             # every variant with these
seeds: {start: 2, most: 8, until: decided}      # 42 and 43, then 44, 45, ... where a question is open

Without the key, variants that the file enumerates have the second rule, because one seed cannot tell them apart; a
search, and a file of one variant, have one seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agropest.sweep.sections.section import Section

FIRST = 42
DECIDED = "decided"
MOST_SEEDS = 30
GROWTH = 1.2  # of the number of seeds from round to round: up to eight, one more each


def levels(start: int, most: int) -> list[int]:
    """Returns how many seeds each round ends with."""
    found = [start]
    while found[-1] < most:
        found.append(min(max(found[-1] + 1, round(GROWTH * found[-1])), most))
    return found


@dataclass(frozen=True)
class SeedRule:
    """Seeds until decided.

    Attributes:
        start: that every variant has.
        most: that any variant gets; 0: the seeds are those of the list.
    """

    start: int = 1
    most: int = 0

    @property
    def is_adaptive(self) -> bool:
        """Whether seeds are added while the sweep runs."""
        return self.most > 0

    @property
    def looks(self) -> tuple[int, ...]:
        """With how many seeds the results are looked at to decide; empty: once, with all there are."""
        return tuple(levels(self.start, self.most)) if self.is_adaptive else ()

    def seeds(self, number: int) -> tuple[int, ...]:
        """Returns the first so many seeds, which are the same for every variant."""
        return tuple(range(FIRST, FIRST + number))


DEFAULT = SeedRule(start=2, most=8)


def read_seeds(top: Section, has_rounds: bool, is_enumerated: bool) -> tuple[tuple[int, ...], SeedRule]:
    """Returns the seeds that every variant begins with, and the rule of the others.

    Args:
        has_rounds: whether a search adds variants in rounds, which leaves no room for rounds of seeds.
        is_enumerated: whether the file names several variants to compare and searches for none.
    """
    if top.raw("seeds") is None and is_enumerated:
        return DEFAULT.seeds(DEFAULT.start), DEFAULT
    if isinstance(top.raw("seeds", [FIRST]), Mapping):
        rule = _rule(top.section("seeds"))
        if has_rounds:
            top.fault("seeds", "expected a list with this search", "seeds until decided", "write e.g. [42, 43]")
        return rule.seeds(rule.start), rule
    value = top.raw("seeds", [FIRST])
    numbers = value if isinstance(value, list) else [value]
    good = all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**31 for n in numbers)
    if not numbers or not good or len(set(numbers)) != len(numbers):
        fix = "write e.g. [42, 43, 44], or {start: 2, most: 8, until: decided}"
        top.fault("seeds", "expected different whole numbers from 0 to 2147483647", value, fix)
        return (FIRST,), SeedRule()
    return tuple(numbers), SeedRule()


def _rule(section: Section) -> SeedRule:
    start, most = (
        section.integer("start", DEFAULT.start, high=MOST_SEEDS),
        section.integer("most", DEFAULT.most, high=MOST_SEEDS),
    )
    section.choice("until", (DECIDED,), DECIDED)
    section.refuse_unknown()
    if start < 2:
        rule, fix = "expected 2 or more: one seed says nothing about the next", "write start: 2"
        section.fault("start", rule, start, fix)
    if most < start:
        section.fault("most", f"expected at least start, {start}", most, f"write most: {max(2 * start, 8)}")
    return SeedRule(max(start, 2), max(most, start, 2))
