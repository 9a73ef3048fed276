from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agropest.errors import StoreError
from agropest.store import lock
from agropest.store.lock import LOCK, STALE_S, held_alone, only_launch

HOLD = """
import sys
from pathlib import Path
from agropest.store.lock import only_launch
with only_launch(Path(sys.argv[1]), "sweeps/other.yaml"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_launch_is_refused_and_told_which_is_the_first(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with (
            pytest.raises(StoreError, match=rf"process {first.pid} on .*sweeps/other\.yaml"),
            only_launch(tmp_path, "mine"),
        ):
            pass
        first.kill()
        first.wait()
        with only_launch(tmp_path, "mine"):  # a killed process holds nothing
            assert "mine" in (tmp_path / ".launch.lock").read_text()


def test_the_folder_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), only_launch(tmp_path, "one"):
        raise RuntimeError
    with only_launch(tmp_path, "two"):
        assert "two" in (tmp_path / ".launch.lock").read_text()


def held_elsewhere(tmp_path: Path, seconds_ago: float) -> Path:
    """A lock file as a launch on another machine leaves it, where the kernel's lock does not reach that machine."""
    path = tmp_path / LOCK
    path.write_text("process 77 on another-machine: sweeps/other.yaml\n")
    then = time.time() - seconds_ago
    os.utime(path, (then, then))
    return path


def test_a_launch_that_was_alive_just_now_on_another_machine_is_waited_for(tmp_path: Path) -> None:
    path = held_elsewhere(tmp_path, seconds_ago=10)
    with (
        pytest.raises(StoreError, match=r"process 77 on another-machine.*wait until it has ended"),
        only_launch(tmp_path, "mine"),
    ):
        pass
    assert "another-machine" in path.read_text()


def test_a_stale_lock_of_another_machine_is_taken_over(tmp_path: Path) -> None:
    path = held_elsewhere(tmp_path, seconds_ago=STALE_S + 10)
    with only_launch(tmp_path, "mine"):
        assert "mine" in path.read_text()
    assert path.read_text() == ""  # ended well: nobody waits for it


def test_the_holder_keeps_its_lock_file_young(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "TOUCH_S", 0.02)
    with only_launch(tmp_path, "mine"):
        os.utime(tmp_path / LOCK, (1, 1))
        limit = time.monotonic() + 300
        while (tmp_path / LOCK).stat().st_mtime < 2 and time.monotonic() < limit:
            time.sleep(0.02)
        assert (tmp_path / LOCK).stat().st_mtime > 2


def no_locks(descriptor: int, operation: int) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


def test_a_file_system_without_locks_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock.fcntl, "flock", no_locks)
    with only_launch(tmp_path, "mine"):
        assert "mine" in (tmp_path / LOCK).read_text()
    with held_alone(tmp_path / "some.lock"):
        pass


def test_without_locks_a_living_launch_of_this_machine_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock.fcntl, "flock", no_locks)
    path = tmp_path / LOCK

    def holder(pid: int) -> None:
        path.write_text(f"process {pid} on {socket.gethostname()}: sweeps/other.yaml\n")

    holder(os.getppid())
    with (
        pytest.raises(StoreError, match=rf"no launch of this machine.*process {os.getppid()} on .*other\.yaml"),
        only_launch(tmp_path, "mine"),
    ):
        pass
    os.utime(path, (1, 1))  # another process has that number now: the holder would have touched it
    with only_launch(tmp_path, "mine"):
        assert "mine" in path.read_text()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    holder(ended.pid)
    with only_launch(tmp_path, "mine"):
        assert "mine" in path.read_text()


def test_who_wants_to_write_waits_for_who_does(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with held_alone(tmp_path / "some.lock"):
            order.append("second")

    waiting = threading.Thread(target=second)
    with held_alone(tmp_path / "some.lock"):
        waiting.start()
        waiting.join(0.2)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]
    with held_alone(tmp_path / "nowhere" / "some.lock"):  # who then writes there is told so
        pass
