"""Names of others: nothing in them steers a terminal, and nothing of them is lost."""

from __future__ import annotations

import json

import pytest

from agropest import files
from agropest.readable import escaped_json, one_line, readable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Ants", "Ants"),
        ("Käfer 甲虫 \U0001f41c", "Käfer 甲虫 \U0001f41c"),
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("bell\x07", "bell\\x07"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("c1\x9b31m", "c1\\x9b31m"),
        ("two\nlines", "two\\nlines"),
    ],
)
def test_a_name_is_one_line_that_steers_nothing(name: str, shown: str) -> None:
    assert one_line(name) == shown


def test_a_text_keeps_its_lines() -> None:
    assert readable("one\ntwo\tthree\x1b]0;title\x07") == "one\ntwo\tthree\\x1b]0;title\\x07"


def test_json_holds_the_same_value_and_no_raw_control(tmp_path: object) -> None:
    value = {"file\u202e": ["\x9b31m", "\x1b[2J", "ä\n", "\u2066x"]}
    text = escaped_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value
    assert "ä" in text and not set(text) & set("\u202e\u2066\x9b\x1b")
    path = files.Path(str(tmp_path)) / "a.json"
    files.write_json(path, value)
    assert files.read_json(path) == value
