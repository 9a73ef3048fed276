from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from agropest.data.health import Finding, write_findings
from agropest.report.page.data_notes import data_notes
from agropest.store.sweep_record import SplitRecord


def record(folder: Path, *findings: Finding) -> Any:
    write_findings(folder / "health.json", findings)
    splits = {name: SplitRecord(folder / f"annotations/{name}.json", folder, 8, 9) for name in ("valid", "test")}
    return cast(Any, SimpleNamespace(splits=splits))


def test_the_page_says_which_pictures_were_trained_on(tmp_path: Path) -> None:
    shared = [Finding(s, f"{i}.jpg", 0, "picture-in-two-splits", "kept", "x") for s in ("valid", "test") for i in "ab"]
    by_test, by_valid = data_notes(record(tmp_path, *shared[:3]))  # in the order of the findings: test, valid
    assert by_valid.startswith("2 of 8 pictures of valid are in an earlier split, too, byte for byte: the ranking is")
    assert by_test.startswith(
        "1 of 8 pictures of test are in an earlier split, too, byte for byte: the test is in part"
    )


def test_it_says_what_was_set_apart(tmp_path: Path) -> None:
    told = Finding("valid", ".", 0, "set-apart", "kept", "5 of 20 pictures of train (valid: 0.25, seed: 0)")
    assert data_notes(record(tmp_path, told)) == [
        "Validation is 5 of 20 pictures of train (valid: 0.25, seed: 0); nothing was moved."
    ]


def test_it_says_nothing_where_there_is_nothing(tmp_path: Path) -> None:
    assert data_notes(record(tmp_path)) == []
    (tmp_path / "health.json").unlink()
    assert data_notes(cast(Any, SimpleNamespace(splits={}))) == []
