"""The moving average against numbers worked by hand."""

from __future__ import annotations

import io

import torch

from agropest.modeling.ema import Ema


class Counting(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([1.0]))
        self.register_buffer("mean", torch.tensor([2.0]))
        self.register_buffer("count", torch.tensor(0))


def test_average_by_hand() -> None:
    model = Counting()
    ema = Ema(model, 0.9)
    for value in (2.0, 3.0):
        model.weight.data.fill_(value)
        model.count += 1
        ema.update(model)
    # 0.9 * 1 + 0.1 * 2 = 1.1; 0.9 * 1.1 + 0.1 * 3 = 1.29
    torch.testing.assert_close(ema.module.weight.data, torch.tensor([1.29]))
    assert ema.module.count.item() == 2  # a counter is not averaged
    assert ema.module.mean.item() == 2.0
    assert model.weight.item() == 3.0
    assert not ema.module.weight.requires_grad and model.weight.requires_grad


def test_state_goes_through_a_file_and_reset_starts_over() -> None:
    model = Counting()
    ema = Ema(model, 0.5)
    model.weight.data.fill_(5.0)
    ema.update(model)
    buffer = io.BytesIO()
    torch.save(ema.state_dict(), buffer)
    buffer.seek(0)
    other = Ema(Counting(), 0.5)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    assert other.module.weight.item() == 3.0  # (1 + 5) / 2
    other.reset(model)
    assert other.module.weight.item() == 5.0
