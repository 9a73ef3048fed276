"""Refusals and what their advice leads to: the second command is the one that the first one's message asks for."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

import pytest

from agropest.command_line import main


@dataclass(frozen=True)
class Refusal:
    r"""A command that is refused, and the command that follows its advice.

    Attributes:
        words: of the refused command.
        advice: a pattern that the one error message holds.
        then: words of the next command; ``\1`` is what the pattern's group found in the message.
    """

    words: str
    advice: str
    then: str


def follow(refusal: Refusal, capsys: pytest.CaptureFixture[str]) -> str:
    """Gives both commands; the first must be refused in one line, the second must not; returns what that printed."""
    capsys.readouterr()
    assert main(shlex.split(refusal.words)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1, error
    found = re.search(refusal.advice, error)
    assert found, error
    assert main(shlex.split(found.expand(refusal.then))) == 0, capsys.readouterr().err
    return capsys.readouterr().out
