"""Sentences are broken between words on a terminal, and nowhere in a file."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from agropest.report.console import print_sentence

TEXT = ("a sentence of words that is longer than eighty columns [bold] :bug: " * 3).strip()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_terminal_breaks_between_words(is_terminal: bool) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=is_terminal, color_system=None)
    print_sentence(console, TEXT)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert " ".join(line.rstrip() for line in lines) == TEXT
    assert len(lines) == (3 if is_terminal else 1)
    assert not is_terminal or max(map(len, lines)) <= 80
