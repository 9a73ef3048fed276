"""HyperBand: brackets of successive halving, as a pure function of the stored evaluations."""

from __future__ import annotations

import math
from collections.abc import Sequence

from agropest.statistics.race.entrant import Entrant, Stop
from agropest.sweep.stopping.halving_options import most_rungs, rung_iteration


def halving(entrants: Sequence[Entrant], reduction_factor: float) -> dict[str, Stop]:
    """Returns who is out by HyperBand's rule: brackets of successive halving, each from another first rung.

    Li et al., Hyperband (JMLR 2018), section 3, with a rung at the first evaluation past each share eta^-k of the
    schedule. The brackets are filled in the order of the entrants, the most aggressive first. A rung is decided when
    everyone in the bracket who is still in has reached it, so that the order of arrival does not matter. An entrant
    that stays takes its place where it ranks, and continues beside those who are kept where it ranks below them.
    """
    out: dict[str, Stop] = {}
    for first_rung, members in _brackets(entrants, reduction_factor):
        out.update(_halve_bracket(members, first_rung, reduction_factor))
    return out


def _brackets(entrants: Sequence[Entrant], eta: float) -> list[tuple[int, list[Entrant]]]:
    """Returns (number of rungs before the end, members) of each bracket."""
    num_looks = max((len(entrant.evaluates_at) for entrant in entrants), default=1)
    most = most_rungs(num_looks, eta)
    brackets, rest, number = [], list(entrants), most
    while rest:
        size = math.ceil((most + 1) / (number + 1) * eta**number)
        brackets.append((number, rest[:size]))
        rest = rest[size:]
        number = number - 1 if number else most
    return brackets


def _halve_bracket(members: Sequence[Entrant], num_rungs: int, eta: float) -> dict[str, Stop]:
    out: dict[str, Stop] = {}
    for rung in range(num_rungs, 0, -1):
        racing = [entrant for entrant in members if entrant.name not in out]
        at = {one.name: rung_iteration(one.evaluates_at, eta**-rung, one.first_look) for one in racing}
        here = [entrant for entrant in racing if at[entrant.name] in entrant.samples]
        if any(entrant.will_come(at[entrant.name]) for entrant in racing if entrant not in here):
            break
        values = {entrant.name: entrant.samples[at[entrant.name]].value for entrant in here}
        ranked = sorted(here, key=lambda entrant: -values[entrant.name])  # stable: of equals the first in the plan
        keep = max(1, int(len(here) / eta))
        for entrant in (one for one in ranked[keep:] if not one.stays):
            last = ranked[keep - 1]
            behind = values[entrant.name] - values[last.name]
            out[entrant.name] = Stop(at[entrant.name], last.name, behind, math.nan, 0.0)
    return out
