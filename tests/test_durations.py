"""Durations and clock times, written one way."""

from __future__ import annotations

from datetime import datetime

import pytest

from agropest.durations import clock, duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (89, "89 s"),
        (95, "2 min"),
        (5340, "89 min"),
        (7200, "2 h 00 min"),
        (7500, "2 h 05 min"),
        (172_800, "2 d 00 h"),
        (273_600, "3 d 04 h"),
    ],
)
def test_a_duration_is_written_as_people_say_it(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(("seconds", "words"), [(600, "23:10"), (7200, "2026-02-01 01:00")])
def test_a_clock_time_has_its_date_unless_that_is_today(seconds: float, words: str) -> None:
    assert clock(datetime(2026, 1, 31, 23, 0), seconds) == words
