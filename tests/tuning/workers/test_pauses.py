"""The pauses before a machine's fault is tried again: capped, and for a time, not for a count alone."""

from __future__ import annotations

import itertools

from agropest.tuning.workers.trainable import MACHINE_WAIT_S, PAUSE_LIMIT_S, _Pauses


def pauses(retries: int, first_s: float) -> list[float]:
    one = _Pauses(retries)
    return list(itertools.takewhile(lambda pause: pause is not None, (one.next_s(first_s) for _ in range(1000))))


def test_a_full_disk_is_waited_for_although_there_are_few_retries() -> None:
    assert pauses(2, 1.0) == [1, 2, 4, 8, 16]  # 31 s; another 30 would be more than the minute


def test_a_pause_has_a_limit() -> None:
    assert pauses(10, 1.0) == [1, 2, 4, 8, 16, 30, 30, 30, 30, 30]
    assert max(pauses(50, 1.0)) == PAUSE_LIMIT_S
    assert sum(pauses(2, 1.0)) <= MACHINE_WAIT_S


def test_a_killed_process_is_started_again_at_once_and_as_often_as_asked() -> None:
    assert pauses(3, 0.0) == [0, 0, 0]


def test_without_retries_nothing_is_tried_again() -> None:
    assert pauses(0, 1.0) == pauses(0, 0.0) == []
