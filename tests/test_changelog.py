"""The changelog is merged line by line from many branches: no entry may be torn or stand in it twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

CHANGELOG = Path(__file__).resolve().parents[1] / "CHANGELOG.md"
WORDS = 6  # with which two entries do not begin alike


def entries(text: str) -> list[str]:
    """Returns the entries of a changelog, each in one line."""
    found: list[str] = []
    for line in text.splitlines():
        if line.startswith("- "):
            found.append(line[2:])
        elif line.startswith("  ") and found:
            found[-1] += " " + line.strip()
    return found


def faulty(found: list[str]) -> list[str]:
    """Returns those entries that end within a sentence, and the beginnings that several have."""
    begin = Counter(" ".join(entry.split()[:WORDS]) for entry in found)
    return [entry for entry in found if not entry.endswith(".")] + [words for words, n in begin.items() if n > 1]


def test_every_entry_is_complete_and_stands_once() -> None:
    found = entries(CHANGELOG.read_text())
    assert len(found) > 50
    assert faulty(found) == []


def test_a_torn_and_a_doubled_entry_are_found() -> None:
    torn = "- seeds are added where a verdict is\n  open; looking often keeps\n- Another.\n"
    assert faulty(entries(torn)) == ["seeds are added where a verdict is open; looking often keeps"]
    assert faulty(entries("- Another.\n- Another.\n")) == ["Another."]
