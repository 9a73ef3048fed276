"""Factors and the variants they combine to.

A factor is a named set of overrides that is either applied or not. A ``full`` design has every combination (2^k
variants); an ``ablation`` has the baseline, each factor alone, all together, and all but each one (2k + 2 variants).
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

DESIGNS = ("full", "ablation")
BASE_LEVEL, APPLIED = "base", "on"
LONGEST_LABEL = 80  # it names a folder
SHORTEST_PREFIX, DIGEST_LENGTH = 3, 8


def num_combinations(num_factors: int, design: str) -> int:
    """Returns how many variants a design has; of an ablation with one factor or two some are counted twice."""
    return 2**num_factors if design == "full" else 2 * num_factors + 2


def combine(
    factors: Mapping[str, Mapping[str, Any]], design: str
) -> Iterator[tuple[str, dict[str, Any], dict[str, str]]]:
    """Yields ``(variant name, overrides, levels)`` for every combination the design has, the baseline first.

    Args:
        factors: factor name to the overrides it applies; a later factor's override of the same key wins.
        design: one of ``DESIGNS``, or empty for no combination at all.
    """
    names = list(factors)
    for chosen in _choices(names, design):
        overrides: dict[str, Any] = {}
        for name in chosen:
            overrides.update(factors[name])
        levels = {name: APPLIED if name in chosen else BASE_LEVEL for name in names}
        yield label_of(chosen, names), overrides, levels


def label_of(chosen: Sequence[str], names: Sequence[str]) -> str:
    """Returns the name of a combination: its factors, shortened where they are too long for a folder's name.

    A shortened factor is the beginning of its name, three letters or more, that no other factor has; where that is
    still too long, the end of the label is a digest of the whole. So the label depends on the factors alone.
    """
    whole = "+".join(chosen) or "baseline"
    if len(whole) <= LONGEST_LABEL:
        return whole
    short = "+".join(_prefix(name, names) for name in chosen)
    if len(short) <= LONGEST_LABEL:
        return short
    digest = hashlib.sha256(whole.encode()).hexdigest()[:DIGEST_LENGTH]
    return f"{short[: LONGEST_LABEL - DIGEST_LENGTH - 1].rstrip('+')}-{digest}"


def _prefix(name: str, names: Sequence[str]) -> str:
    """Returns the shortest beginning of a factor's name that no other factor's begins with; else the whole name."""
    others = [other for other in names if other != name]
    lengths = range(min(SHORTEST_PREFIX, len(name)), len(name))
    return next((name[:n] for n in lengths if not any(other.startswith(name[:n]) for other in others)), name)


def _choices(names: Sequence[str], design: str) -> list[tuple[str, ...]]:
    if design == "full":
        sizes = range(len(names) + 1)
        return [chosen for size in sizes for chosen in itertools.combinations(names, size)]
    if design == "ablation":
        alone = [(name,) for name in names]
        but_one = [tuple(n for n in names if n != name) for name in names]
        return list(dict.fromkeys([(), *alone, *but_one, tuple(names)]))
    return []
