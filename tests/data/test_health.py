from __future__ import annotations

import re
from pathlib import Path

import pytest

from agropest.data.health import RULES, Finding, count_rules, read_findings, write_findings

ROOT = Path(__file__).parents[2]


def test_every_rule_is_documented_and_used() -> None:
    page = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([a-z0-9-]+)` \|", page, re.MULTILINE))
    assert documented == set(RULES)
    folder = ROOT / "agropest/data"
    code = "".join(path.read_text() for path in folder.rglob("*.py") if path.name != "health.py")
    assert [rule for rule in RULES if f'"{rule}"' not in code] == []


def test_findings_are_written_sorted_and_read_back(tmp_path: Path) -> None:
    one = Finding("train", "b.txt", 2, "columns", "dropped", "é \udcff".encode("utf-8", "replace").decode())
    two = Finding("train", "a.txt", 10, "outside", "dropped", "")
    three = Finding("train", "a.txt", 9, "outside", "dropped", "")
    write_findings(tmp_path / "health.json", [one, two, three])
    assert read_findings(tmp_path / "health.json") == [three, two, one]
    assert count_rules([one, two, three]) == [("train", "outside", "dropped", 2), ("train", "columns", "dropped", 1)]


def test_no_other_rule_and_no_other_action() -> None:
    with pytest.raises(AssertionError):
        Finding("", "", 0, "no-such-rule", "dropped", "")
    with pytest.raises(AssertionError):
        Finding("", "", 0, "columns", "ignored", "")
