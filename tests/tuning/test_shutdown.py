"""Ctrl-C: asks once, ends at once the second time, breaks off what has nothing to save."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from agropest import exit_codes
from agropest.tuning.shutdown import ShutdownRequest, leave_lost_terminal


class Console:
    """Takes what a progress display takes."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.is_closed = False

    def say(self, text: str) -> None:
        self.said.append(text)

    def close(self) -> None:
        self.is_closed = True
        raise OSError("a terminal that has gone")


@pytest.fixture
def console() -> Any:
    return Console()


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)  # to this thread, so that the handler has run when it returns


def test_the_first_asks_and_the_second_ends_at_once(console: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr("os._exit", codes.append)
    before = signal.getsignal(signal.SIGINT)
    end = ShutdownRequest(console)
    with end.on_signals():
        end.say()
        assert not end
        press_ctrl_c()
        assert end
        assert end.interrupted
        assert console.said == []  # not in the handler
        end.say()
        end.say()
        assert console.said == ["stopping: running trials save a checkpoint (again to stop at once)"]
        with pytest.raises(OSError, match="terminal"):  # os._exit does not return, but here it does
            press_ctrl_c()
        assert codes == [130]
    assert console.is_closed
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGUSR1, 143), (signal.SIGHUP, 130), (signal.SIGINT, 130)]
)
def test_every_signal_that_ends_a_launch_asks_for_the_end(
    console: Any, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    monkeypatch.setattr("os._exit", lambda code: None)
    before, end = signal.getsignal(number), ShutdownRequest(console)
    with end.on_signals():
        signal.signal(number, lambda *_: pytest.fail("ray.init's own handler"))
        end.listen()
        signal.raise_signal(number)
        end.say()
    assert end.interrupted and exit_codes.of_signal(end.signal_number) == code
    assert (number.name in console.said[0]) is (number != signal.SIGINT)
    assert signal.getsignal(number) is before


def test_a_hang_up_that_nohup_ignores_stays_ignored(console: Any) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        end = ShutdownRequest(console)
        with end.on_signals():
            signal.raise_signal(signal.SIGHUP)
        assert not end
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_was_printed_on_a_terminal_that_is_closed_goes_nowhere(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    with open(tmp_path / "file", "wb") as file:
        try:
            leave_lost_terminal()
            os.write(theirs, b"it is there")
            assert os.read(ours, 100) == b"it is there"
            os.close(ours)
            leave_lost_terminal()
            os.write(theirs, b"it has gone")  # an OSError, were it still the terminal
            os.write(file.fileno(), b"a file stays")
        finally:
            os.close(theirs)
    assert (tmp_path / "file").read_bytes() == b"a file stays"


def test_what_has_nothing_to_save_is_broken_off(console: Any) -> None:
    end = ShutdownRequest(console)
    with end.on_signals():
        with end.breaking_off():
            press_ctrl_c()
            raise AssertionError("it continued")
        assert end.interrupted


def test_a_fault_of_the_machine_leaves_the_first_ctrl_c_a_first_one(console: Any) -> None:
    end = ShutdownRequest(console)
    end.cannot_continue("r: no room")
    end.cannot_continue("r: no room for another one either")
    assert end.problem == "r: no room"
    end.say()
    assert console.said == ["stopping: running trials save a checkpoint"]
    with end.on_signals():
        press_ctrl_c()
    assert end.interrupted


def test_tune_takes_no_signal_over(console: Any) -> None:
    end = ShutdownRequest(console)
    put = signal.signal
    with end.on_signals():
        with end.kept_from_tune():
            signal.signal(signal.SIGUSR1, lambda number, frame: pytest.fail("Tune's handler was called"))
            signal.signal(signal.SIGUSR2, signal.SIG_IGN)
            signal.raise_signal(signal.SIGUSR1)
            assert end.signal_number == signal.SIGUSR1
            assert signal.getsignal(signal.SIGUSR2) == signal.SIG_IGN
        assert signal.signal is put
        signal.signal(signal.SIGUSR2, signal.SIG_DFL)
