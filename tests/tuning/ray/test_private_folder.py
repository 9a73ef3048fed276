"""Ray's files and sockets: where only their owner gets at them, and where a socket's path still fits."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from agropest.tuning.ray import private_folder as private_folder_module
from agropest.tuning.ray.private_folder import private_folder, token_path


@pytest.fixture
def tmp(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files, for as long as the test."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", "/tmp")
    return Path("/tmp")


def test_nobody_else_can_enter_it_and_it_is_removed(tmp: Path) -> None:
    with private_folder(lambda text: pytest.fail(text)) as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert folder.parent == tmp
        assert os.environ["TMPDIR"] == str(tmp)
    assert not folder.exists()


def test_a_long_tmpdir_is_left_for_a_short_one_which_is_said(
    tmp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("scratch_of_a_job_" * 6)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    said: list[str] = []
    with private_folder(said.append) as folder:
        assert tempfile.gettempdir() == str(folder)
        name = folder / "ray" / "session_2026-11-29_08-20-11_123456_1234567" / "sockets" / "plasma_store"
        name.parent.mkdir(parents=True)
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(name))  # an OSError where the path is too long
    assert len(said) == 1 and str(long) in said[0] and "too long" in said[0]
    assert tempfile.gettempdir() == str(long)


def test_a_user_without_name_and_home_gets_what_ray_needs(tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    def unknown(*_: object) -> None:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    with pytest.raises(RuntimeError):
        Path.home()
    with private_folder(lambda text: pytest.fail(text)) as folder:
        assert Path.home() == folder
        assert os.environ["LOGNAME"].startswith("uid")
        assert token_path().is_relative_to(folder)
        assert stat.S_IMODE(token_path().stat().st_mode) == 0o600
        assert len(token_path().read_text()) == 64
    assert not {"HOME", "LOGNAME", "RAY_AUTH_TOKEN_PATH"} & set(os.environ)


def test_a_home_that_cannot_be_written_to_gets_a_token_elsewhere(tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/proc")
    for name in ("RAY_AUTH_TOKEN_PATH", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with private_folder(lambda text: pytest.fail(text)) as folder:
        assert token_path() == folder / "auth_token"
        assert os.environ["HOME"] == "/proc"


def test_it_is_removed_where_nothing_can_be_written_to_it(tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    def full(folder: Path) -> dict[str, str]:
        made.append(folder)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(private_folder_module, "_home_for", full)
    with pytest.raises(OSError, match="No space left"), private_folder(lambda text: pytest.fail(text)):
        pass
    assert [folder.exists() for folder in made] == [False]
