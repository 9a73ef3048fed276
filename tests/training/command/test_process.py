"""The process of a command ends when it is told to, when we end, and before it is started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agropest import files
from agropest.training.command import process
from agropest.training.command.process import RUNNING, CommandProcess

WAITS = "import pathlib, time; pathlib.Path('begun').write_text(''); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WAITS
PARENT = """
import pathlib, sys, time
from agropest.training.command.process import CommandProcess
folder = pathlib.Path(sys.argv[1])
one = CommandProcess([sys.executable, "-c", sys.argv[2]], {}, folder, folder, folder / "log.txt")
time.sleep(600)
"""


def until(holds: Callable[[], object]) -> None:
    limit = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.02)


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def begin(folder: Path, code: str) -> CommandProcess:
    return CommandProcess([sys.executable, "-c", code], {}, folder, folder, folder / "log.txt")


def test_it_starts_in_its_folder_with_its_environment_alone(tmp_path: Path) -> None:
    code = "import os; print(os.getcwd(), os.environ.get('ONE'), os.environ.get('HOME'))"
    words = [sys.executable, "-c", code]
    one = CommandProcess(words, {"ONE": "1"}, tmp_path, tmp_path, tmp_path / "log.txt")
    until(lambda: one.exit_code() is not None)
    one.end()
    assert one.exit_code() == 0
    assert (tmp_path / "log.txt").read_text() == f"{tmp_path.resolve()} 1 None\n"
    assert not (tmp_path / RUNNING).exists()


@pytest.mark.parametrize("code", [WAITS, STUBBORN])
def test_it_ends_when_asked_to(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE_S", 0.5)
    one = begin(tmp_path, code)
    until((tmp_path / "begun").exists)
    one.end()
    assert one.exit_code() == (-signal.SIGTERM if code == WAITS else -signal.SIGKILL)


def test_it_ends_when_we_are_killed(tmp_path: Path) -> None:
    ours = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), WAITS])
    until((tmp_path / "begun").exists)
    pid = files.read_json(tmp_path / RUNNING)["pid"]
    assert is_there(pid)
    os.kill(ours.pid, signal.SIGKILL)
    ours.wait()
    until(lambda: not is_there(pid))


def test_one_that_stays_all_the_same_ends_before_the_next_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "LEFTOVER_GRACE_S", 0.2)
    ours = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), STUBBORN])
    until((tmp_path / "begun").exists)
    pid = files.read_json(tmp_path / RUNNING)["pid"]
    os.kill(ours.pid, signal.SIGKILL)
    ours.wait()
    assert is_there(pid)
    one = begin(tmp_path, "pass")
    assert not is_there(pid)
    until(lambda: one.exit_code() is not None)
    one.end()


def test_a_note_of_another_process_harms_nobody(tmp_path: Path) -> None:
    for note in ({"pid": os.getpid(), "started": "1", "host": "elsewhere"}, {"pid": os.getpid()}, "damage"):
        files.write_json(tmp_path / RUNNING, note)
        process.end_leftover(tmp_path / RUNNING)
    files.write_json(tmp_path / RUNNING, {"pid": os.getpid(), "started": "1", "host": socket.gethostname()})
    process.end_leftover(tmp_path / RUNNING)  # the number is ours, the process is not the one of the note
    assert not (tmp_path / RUNNING).exists()
