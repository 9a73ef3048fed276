from __future__ import annotations

from pathlib import Path

from agropest.store.upkeep.printed_remarks import NAME, note_printed, read_printed


def test_the_last_launch_s_remarks_are_read_and_damage_is_none(tmp_path: Path) -> None:
    assert read_printed(tmp_path) == frozenset()
    note_printed(tmp_path, ["one seed", "the steps are late"])
    assert read_printed(tmp_path) == {"one seed", "the steps are late"}
    note_printed(tmp_path, ["one seed"])
    assert read_printed(tmp_path) == {"one seed"}
    (tmp_path / NAME).write_text("[")
    assert read_printed(tmp_path) == frozenset()
