"""A training that did not work is named; one that did is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agropest.analysis.ranking import RankedTrial
from agropest.report.untrained import untrained_remarks
from agropest.store.losses import LossLine
from agropest.store.records import TrialState

GOOD = RankedTrial(1, "good", 1, TrialState.FINISHED, 30, 30, 30, {"AP": 20.0, "AP50": 44.0}, {}, 1.0, "g", "", ())
BLIND = replace(GOOD, label="blind", valid={"AP": 0.0, "AP50": 0.4}, signature="b")


def losses(*totals: float) -> list[LossLine]:
    return [LossLine(20 * number, total) for number, total in enumerate(totals, start=1)]


def test_what_finds_nothing_is_named() -> None:
    assert untrained_remarks([GOOD], {}) == []
    [line] = untrained_remarks([GOOD, BLIND], {})
    assert line.startswith("Finds nothing: blind/s1 (AP50 below 1 on validation).")
    assert "every training" in untrained_remarks([BLIND, replace(BLIND, seed=2)], {})[0]
    assert untrained_remarks([replace(BLIND, status=TrialState.RUNNING)], {}) == []  # it may yet


@pytest.mark.parametrize(
    ("totals", "rises"),
    [
        ((2, 1.8, 1.5, 1.2, 1, 0.9, 0.8, 0.7), False),
        ((1, 1, 1, 1, 1, 1, 1, 1.1), False),
        ((1, 1, 1.5, 2, 3, 3, 4, 4), True),
        ((1, 4), False),  # too few to say
    ],
)
def test_a_loss_that_rises_is_named(totals: tuple[float, ...], rises: bool) -> None:
    lines = untrained_remarks([GOOD], {"g": losses(*totals)})
    assert bool(lines) == rises
    if rises:
        assert lines[0].startswith("Loss rises: good/s1 (from 1.00 to 4.00).")
