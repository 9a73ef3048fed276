"""Every kind of fault comes before any comes again."""

from __future__ import annotations

import random

from benchmarks.faults.deck import Deck

KINDS = ("a", "b", "c")


def test_every_kind_comes_once_before_any_comes_again() -> None:
    deck = Deck(KINDS, random.Random(0))
    rounds = [[deck.next() for _ in KINDS] for _ in range(20)]
    assert all(sorted(kinds) == sorted(KINDS) for kinds in rounds)
    assert len({tuple(kinds) for kinds in rounds}) > 1


def test_what_hit_nothing_is_next() -> None:
    deck = Deck(KINDS, random.Random(0))
    kind = deck.next()
    deck.put_back(kind)
    assert deck.next() == kind
    assert {deck.next(), deck.next()} == set(KINDS) - {kind}
