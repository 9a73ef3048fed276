from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agropest.tuning.ray import rays_processes
from agropest.tuning.ray.rays_processes import KEPT_OUT, kept_from_signals, let_signals_in

SLEEPS = [sys.executable, "-c", "print('up', flush=True); import time; time.sleep(600)"]


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that a test starts; none is left."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def sleeper(started: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
    process = subprocess.Popen(SLEEPS, stdout=subprocess.PIPE, text=True)
    started.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def pending(pid: int) -> set[signal.Signals]:
    """Returns which signals a process was sent and has not been handed."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    bits = int(next(line for line in lines if line.startswith("ShdPnd")).split()[1], 16)
    return {number for number in KEPT_OUT if bits & 1 << (number - 1)}


def test_signals_that_end_a_launch_do_not_reach_what_is_started(started: list[subprocess.Popen[str]]) -> None:
    with kept_from_signals():
        kept = sleeper(started)
    usual = sleeper(started)
    for number in KEPT_OUT:
        os.kill(kept.pid, number)
    assert pending(kept.pid) == KEPT_OUT
    assert kept.poll() is None
    os.kill(usual.pid, signal.SIGTERM)
    assert usual.wait(60) == -signal.SIGTERM


def test_a_signal_that_comes_meanwhile_is_not_lost() -> None:
    handled: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: handled.append(number))
    try:
        with kept_from_signals():
            os.kill(os.getpid(), signal.SIGUSR1)  # another thread may take it
        assert handled == [signal.SIGUSR1]
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) & KEPT_OUT == set()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_trial_may_have_them_again() -> None:
    with kept_from_signals():
        let_signals_in()
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) & KEPT_OUT == set()


def test_what_does_not_end_by_itself_is_killed(
    started: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rays_processes, "ENDED_WITHIN_S", 0.1)
    stays, ends = sleeper(started), sleeper(started)
    children = rays_processes._children_of({os.getpid()})
    assert {stays.pid, ends.pid} <= children.keys()
    ends.kill()
    ends.wait(60)
    rays_processes._end({pid: children[pid] for pid in (stays.pid, ends.pid)})
    assert stays.wait(60) == -signal.SIGKILL


def test_another_process_with_the_same_number_is_left_alone(
    started: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rays_processes, "ENDED_WITHIN_S", 0.1)
    process = sleeper(started)
    start = rays_processes._children_of({os.getpid()})[process.pid]
    rays_processes._end({process.pid: start - 1})
    time.sleep(0.1)
    assert process.poll() is None
