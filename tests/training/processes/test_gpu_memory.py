"""A trial's part of a card, with a card that is made up."""

from __future__ import annotations

import pytest
import torch

from agropest.training.processes import gpu_memory
from agropest.training.processes.gpu_memory import CONTEXT_BYTES, take_share

GIB = 1 << 30


class MadeUpCard:
    """A card of 24 GiB, of which more is free every time that somebody asks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *free_gib: float) -> None:
        self.free, self.asked, self.fractions = list(free_gib), 0, list[float]()
        monkeypatch.setattr(torch.cuda, "mem_get_info", self.mem_get_info)
        monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", self.fractions.append)
        monkeypatch.setattr(gpu_memory, "POLL_S", 0.0)

    def mem_get_info(self) -> tuple[int, int]:
        self.asked += 1
        return int((self.free.pop(0) if len(self.free) > 1 else self.free[0]) * GIB), 24 * GIB


def test_the_context_comes_out_of_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    card = MadeUpCard(monkeypatch, 24)
    take_share(0.25)
    assert card.fractions == [pytest.approx(0.25 - CONTEXT_BYTES / (24 * GIB))]
    assert 4 * (card.fractions[0] * 24 * GIB + CONTEXT_BYTES) <= 24 * GIB + 1  # four of them fit


def test_a_tiny_share_is_not_eaten_up_by_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    card = MadeUpCard(monkeypatch, 24)
    take_share(0.02)
    assert card.fractions == [0.01]


def test_a_whole_card_has_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    card = MadeUpCard(monkeypatch, 24)
    take_share(1.0)
    assert card.fractions == []


def test_the_trial_before_is_given_time_to_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    card = MadeUpCard(monkeypatch, 1, 2, 4.7, 4.9)  # four fifths of a quarter of 24 GiB are 4.8
    take_share(0.25)
    assert card.asked == 4


def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    card = MadeUpCard(monkeypatch, 1)
    take_share(0.25, wait_s=0.0)
    assert "1.0 of 24.0 GiB" in caplog.text
    assert card.fractions
