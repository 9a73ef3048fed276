"""When a training's patience has run out, by hand."""

from __future__ import annotations

import pytest

from agropest.statistics.race.patience import end_in_words, has_run_out


@pytest.mark.parametrize(
    ("values", "patience", "expected"),
    [
        ([], 1, False),
        ([5.0], 1, False),
        ([5.0, 5.0], 1, True),  # equal is not risen
        ([5.0, 4.0, 6.0], 2, False),
        ([5.0, 4.0, 4.9], 2, True),
        ([5.0, 4.0, 4.9], 3, False),
        ([0.0, 0.0, 0.0], 2, True),  # 0 is a value
        ([5.0, None, 4.0], 2, False),  # what was not measured did not fail to rise
        ([None, None, None], 1, False),
        ([5.0, 4.0, 3.0, 2.0], 0, False),
    ],
)
def test_patience_runs_out_by_hand(values: list[float | None], patience: int, expected: bool) -> None:
    assert has_run_out(values, patience) is expected


def test_the_note_says_when_and_why() -> None:
    said = end_in_words(300, 900, 1)
    assert said == "ended after iteration 300 of 900: validation AP had not risen for 1 evaluation (TEST.PATIENCE)"
