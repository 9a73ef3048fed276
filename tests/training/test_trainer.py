"""What a trainer takes from the config beside the model."""

from __future__ import annotations

import pytest
import torch

from agropest.training.trainer import TrialTrainer
from tests.modeling.lean.conftest import small_cfg


@pytest.mark.parametrize("wanted", [True, False])
def test_cudnn_benchmark_is_switched_as_the_config_says(wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", not wanted)
    TrialTrainer(small_cfg("CUDNN_BENCHMARK", wanted), "cpu")
    assert torch.backends.cudnn.benchmark is wanted
