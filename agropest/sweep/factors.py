"""Factors and the variants they combine to.

A factor is a named set of overrides that is either applied or not. A ``full`` design has every combination (2^k
variants); an ``ablation`` has the baseline, each factor alone, all together, and all but each one (2k + 2 variants).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

DESIGNS = ("full", "ablation")
BASE_LEVEL, APPLIED = "base", "on"


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
        yield "+".join(chosen) or "baseline", overrides, levels


def _choices(names: Sequence[str], design: str) -> list[tuple[str, ...]]:
    if design == "full":
        sizes = range(len(names) + 1)
        return [chosen for size in sizes for chosen in itertools.combinations(names, size)]
    if design == "ablation":
        alone = [(name,) for name in names]
        but_one = [tuple(n for n in names if n != name) for name in names]
        return list(dict.fromkeys([(), *alone, *but_one, tuple(names)]))
    return []
