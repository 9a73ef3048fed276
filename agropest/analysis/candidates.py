"""Variants before anything is compared: the replicates of each of their trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agropest.statistics.bootstrap import Replicates


@dataclass(frozen=True)
class Drawn:
    """Replicates of one variant, one for each seed.

    Attributes:
        metric: of the metric.
        by_class: of AP, for the classes and the guards.
        deployed: AP at the deployed score threshold.
        test: as ``metric``, of the same checkpoints on the test split; empty where not all of them were tested.
        test_deployed: AP there at the deployed score threshold.
    """

    seeds: tuple[int, ...] = ()
    iterations: tuple[int, ...] = ()
    metric: tuple[Replicates, ...] = ()
    by_class: tuple[Replicates, ...] = ()
    deployed: tuple[float | None, ...] = ()
    test: tuple[Replicates, ...] = ()
    test_deployed: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A variant before anything is compared.

    Attributes:
        shown: behind its own figures.
        against: the two sides of its difference to the baseline, where these are not both ``shown``: at equal
            iterations, because one of them has not finished.
        levels: of the factors, where the variant is one of a design.
        is_apart: it has not finished, and nothing was evaluated at the same seed and iteration as the baseline.
        has_ended: every training has finished, or was stopped on purpose.
        trained_as: label of the first variant that was trained alike, which it evaluates otherwise; empty: that is
            itself.
    """

    label: str
    status: str
    shown: Drawn
    against: tuple[Drawn, Drawn] | None = None
    notes: tuple[str, ...] = ()
    levels: Mapping[str, str] = field(default_factory=dict)
    is_apart: bool = False
    has_ended: bool = True
    trained_as: str = ""


def mean_known(values: Sequence[float | None]) -> float | None:
    """Returns the mean of values; None where one is not known, or there are none."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
