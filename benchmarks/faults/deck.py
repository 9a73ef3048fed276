"""Which kind of fault is next: every kind comes once before any comes again."""

from __future__ import annotations

import random
from collections.abc import Collection


class Deck:
    """Kinds in random order, again and again, over all sweeps.

    Args:
        kinds: names.
        draw: shuffles.
    """

    def __init__(self, kinds: Collection[str], draw: random.Random) -> None:
        self._kinds, self._draw = list(kinds), draw
        self._left: list[str] = []

    def next(self) -> str:
        """Returns the next kind."""
        if not self._left:
            self._left = self._draw.sample(self._kinds, len(self._kinds))
        return self._left.pop()

    def put_back(self, kind: str) -> None:
        """Keeps a kind for the next time: it has hit nothing."""
        self._left.append(kind)
