from __future__ import annotations

from pathlib import Path

from agropest.store.upkeep.launch_history import MOST, NAME, PastLaunch, note_end, note_launch, read_launches

FIRST, SECOND = PastLaunch("2026-01-01", "0.1", 4), PastLaunch("2026-01-02", "0.1", 5)


def test_launches_are_kept_in_order_with_how_they_ended(tmp_path: Path) -> None:
    note_end(tmp_path, "of nothing")
    assert read_launches(tmp_path) == []
    note_launch(tmp_path, FIRST)
    note_launch(tmp_path, SECOND)
    note_end(tmp_path, "4 finished, 1 failed")
    assert [(one.trials, one.ended) for one in read_launches(tmp_path)] == [(4, ""), (5, "4 finished, 1 failed")]


def test_a_damaged_history_is_none_and_a_long_one_is_cut(tmp_path: Path) -> None:
    for _ in range(MOST + 3):
        note_launch(tmp_path, FIRST)
    assert len(read_launches(tmp_path)) == MOST
    (tmp_path / NAME).write_text("[{")
    assert read_launches(tmp_path) == []
