"""Notes are said once, with the trials they are of."""

from __future__ import annotations

from agropest.analysis.ranking import RankedTrial
from agropest.report.notes import notes_by_text


def row(label: str, *notes: str) -> RankedTrial:
    return RankedTrial(1, label, 1, "finished", 4, 4, 4, {}, {}, 1.0, "0" * 16, "", notes)


def test_each_note_once() -> None:
    rows = [row("a", "all layers loaded"), row("b", "all layers loaded", "retried"), row("c", "rpn afresh", "retried")]
    assert notes_by_text(rows) == [
        ("all layers loaded", "a/s1, b/s1"),
        ("retried", "b/s1, c/s1"),
        ("rpn afresh", "c/s1"),
    ]
    assert notes_by_text([row("a", "x"), row("b", "x", "x")]) == [("x", "all 2 trials")]
    assert notes_by_text([row(str(n), "x") for n in range(8)] + [row("z")])[0][1].endswith("5/s1 and 2 more")
