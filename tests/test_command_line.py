"""Errors of the operating system become one sentence that says what to do about this one."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from agropest import exit_codes
from agropest.command_line import main
from agropest.commands.data import check


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "make room there"),
        (errno.EDQUOT, "make room there"),
        (errno.EACCES, f"give the user that runs this (number {os.getuid()}) the right to it"),
        (errno.EIO, "mend that"),
    ],
)
def test_what_the_operating_system_refuses_is_said_with_what_to_do(
    number: int, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(arguments: object) -> int:
        raise OSError(number, os.strerror(number), str(tmp_path / "x"))

    monkeypatch.setattr(check, "run", refused)
    assert main(["check", str(tmp_path)]) == exit_codes.FAULT
    (line,) = capsys.readouterr().err.splitlines()
    expected = (
        f"error: {tmp_path / 'x'}: expected to be able to use it, got '{os.strerror(number)}'; {advice}, and give "
    )
    assert line.startswith(expected)
