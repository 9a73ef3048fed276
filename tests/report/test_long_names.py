from __future__ import annotations

from agropest.report.long_names import broken, pieces, shortened

NAME = "multi_scale_anchors+focal_loss=0.25"


def test_a_name_is_broken_between_its_words() -> None:
    assert broken(NAME, 20) == ["multi_scale_anchors+", "focal_loss=0.25"]
    assert broken(NAME, 12) == ["multi_scale_", "anchors+", "focal_loss=", "0.25"]
    assert broken("anchors × loss", 8) == ["anchors", "× loss"]
    assert broken("short", 20) == ["short"]
    assert broken("", 20) == [""]


def test_a_word_that_is_too_long_by_itself_is_cut() -> None:
    assert broken("a" * 25, 10) == ["a" * 10, "a" * 10, "a" * 5]


def test_nothing_is_lost() -> None:
    assert "".join(pieces(NAME)) == NAME
    assert "".join(broken(NAME, 7)) == NAME


def test_both_ends_of_a_shortened_name_are_kept() -> None:
    assert shortened("abcdefghij", 7) == "abc…hij"
    assert shortened("abcdefghij", 10) == "abcdefghij"
