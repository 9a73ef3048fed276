from __future__ import annotations

import itertools

import numpy as np

from agropest.statistics.race.entrant import Entrant, Sample
from agropest.statistics.race.halving import halving

LOOKS = (100, 200, 300, 400)
VALUES = {"a": 10.0, "b": 30.0, "c": 20.0, "d": 40.0}


def flat(name: str, value: float, until: int = 400, stays: bool = False) -> Entrant:
    """A variant that has the same metric at every evaluation."""
    samples = {t: Sample(value, np.full(1, value)) for t in LOOKS if t <= until}
    return Entrant(name, LOOKS, samples, stays=stays)


def test_hyperband_halves_a_bracket_once_all_of_it_has_arrived() -> None:
    assert halving([flat(n, v, until=100 if n != "d" else 0) for n, v in VALUES.items()], 2.0) == {}
    out = halving([flat(n, v, until=100) for n, v in VALUES.items()], 2.0)
    assert {n: s.iteration for n, s in out.items()} == {"a": 100, "c": 100}
    for order in itertools.permutations(VALUES):
        out = halving([flat(n, VALUES[n]) for n in order], 2.0)
        assert {n: s.iteration for n, s in out.items()} == {"a": 100, "c": 100, "b": 200}


def test_one_that_stays_takes_its_place_and_is_never_out() -> None:
    out = halving([flat(n, v, stays=n == "a") for n, v in VALUES.items()], 2.0)
    assert {n: s.iteration for n, s in out.items()} == {"c": 100, "b": 200}
