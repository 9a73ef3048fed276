"""Which training pictures a variant trains on: a version of the data set, and a share of that version's train split.

A share is nested (a smaller one with the same seed is part of a larger one), keeps the pictures of one source together,
and is stratified: the sources are dealt out by the rarest class that they hold, so that every beginning of the order
has about the same mixture of classes.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agropest.data.source_groups import SourceGroup, part_of, source_groups


@dataclass(frozen=True)
class TrainingSelection:
    """Which training pictures a variant trains on.

    Attributes:
        version: of the data set, by its name in the sweep file; empty: the first, or the only one.
        share: of the pictures in its training split, above 0 and at most 1.
        seed: of the choice.
    """

    version: str = ""
    share: float = 1.0
    seed: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether every picture of the version is trained on."""
        return self.share == 1.0

    def in_words(self) -> str:
        """Returns e.g. ``train``, ``train (25 %)`` or ``train (25 % of v2, seed 1)``: the name as a data set."""
        share = "" if self.is_whole else f"{100 * self.share:.6g} %"
        parts = [" of ".join(part for part in (share, self.version) if part)]
        parts += [f"seed {self.seed}"] if self.seed and not self.is_whole else []
        detail = ", ".join(part for part in parts if part)
        return f"train ({detail})" if detail else "train"


WHOLE = TrainingSelection()


def chosen_part(content: dict[str, Any], share: float, seed: int) -> dict[str, Any]:
    """Returns a share of a split's COCO content; at least one source.

    The number of pictures is as near to the share as whole sources allow.
    """
    order = nested_order(source_groups(content), seed)
    wanted = share * len(content["images"])
    chosen: set[int] = set()
    for group in order:
        if chosen and abs(len(chosen) + len(group.images) - wanted) >= abs(len(chosen) - wanted):
            break
        chosen.update(group.images)
    return part_of(content, lambda image: image in chosen)


def nested_order(groups: Sequence[SourceGroup], seed: int) -> list[SourceGroup]:
    """Returns the groups in the order in which larger and larger shares take them.

    Each group belongs to the stratum of the rarest class in it; the k-th of n in a stratum stands at (k + 1/2) / n.
    """
    shuffled = list(groups)
    random.Random(seed).shuffle(shuffled)
    total: Counter[int] = Counter()
    for group in shuffled:
        total.update(group.classes)
    strata: dict[int, list[SourceGroup]] = defaultdict(list)
    for group in shuffled:
        rarest = min(group.classes, key=lambda index: (total[index], index), default=-1)  # -1: without a box
        strata[rarest].append(group)
    placed = [
        ((number + 0.5) / len(members), stratum, number, group)
        for stratum, members in strata.items()
        for number, group in enumerate(members)
    ]
    return [group for *_, group in sorted(placed, key=lambda one: one[:3])]
