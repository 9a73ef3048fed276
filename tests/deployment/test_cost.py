"""What a model costs: operations by hand, a measured model, and the command over a sweep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from agropest.__main__ import main
from agropest.analysis.models.model_choice import some_pictures
from agropest.deployment.cost import NUM_WARM, count_operations, measured_here, run_times
from agropest.modeling.build import count_parameters
from tests.deployment.conftest import Trained


class Known(torch.nn.Module):
    """A convolution and a matrix product of known size, which counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.linear, self.calls = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Linear(8, 5), 0

    def forward(self, batch: list[dict[str, Any]]) -> torch.Tensor:
        self.calls += 1
        features = self.convolution(batch[0]["image"][None])
        return self.linear(features.mean(dim=(2, 3)))


class Stand:
    """A detector as far as it is asked."""

    device = "cpu"

    def __init__(self) -> None:
        self.model = Known()


def test_operations_are_two_for_a_multiplication_and_its_addition() -> None:
    told = count_operations(Stand(), {"image": torch.zeros(3, 10, 20)})  # type: ignore[arg-type]
    assert told == 2 * (10 * 20 * 8 * 3 * 9) + 2 * (8 * 5)


def test_the_runs_that_warm_are_not_counted() -> None:
    stand = Stand()
    seconds = run_times(stand, [{"image": torch.zeros(3, 4, 4)}], 5)  # type: ignore[arg-type]
    assert len(seconds) == 5
    assert stand.model.calls == NUM_WARM + 5


def test_a_model_is_measured(trained: Trained) -> None:
    chosen = trained.choose("stock")
    pictures = [path for _, path in some_pictures(trained.record.splits["valid"])]
    cost, input_px = measured_here(chosen, pictures, "cpu", 1, 4)
    assert input_px == (64, 64)
    assert (cost.label, cost.seed, cost.signature) == ("stock", 1, chosen.trial.signature)
    assert 0 < cost.fast_ms <= cost.latency_ms <= cost.slow_ms
    assert cost.gflops > 0.1
    from agropest.deployment.config import deployed_config, merged
    from agropest.modeling.build import build

    assert cost.parameters == count_parameters(build(merged(deployed_config(chosen.trial))))[0]


def test_the_command_measures_every_variant(
    trained: Trained, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # In this process: four more would load torch four times.
    monkeypatch.setattr("agropest.deployment.cost.measure", measured_here)
    folder: Path = trained.folder
    assert main(["cost", str(folder), "--runs", "4", "--device", "cpu"]) == 0
    told = capsys.readouterr().out
    content = json.loads((folder / "inference_cost.json").read_text())
    assert sorted(one["label"] for one in content["costs"]) == ["averaged", "narrow", "sigmoid", "stock"]
    assert "warmed runs" in told and "GFLOPs" in told
    narrow, stock = (next(c for c in content["costs"] if c["label"] == name) for name in ("narrow", "stock"))
    assert stock["parameters"] > narrow["parameters"]
    assert stock["gflops"] > narrow["gflops"]
    assert "At inference" in (folder / "index.html").read_text()
    assert main(["cost", str(folder), "--runs", "1"]) == 2


@pytest.mark.slow
def test_a_process_of_its_own_measures_the_same(trained: Trained) -> None:
    from agropest.deployment.cost import measure

    chosen = trained.choose("narrow")
    pictures = [path for _, path in some_pictures(trained.record.splits["valid"])]
    one, _ = measure(chosen, pictures, "cpu", 1, 4)
    other, _ = measured_here(chosen, pictures, "cpu", 1, 4)
    assert (one.parameters, one.gflops) == (other.parameters, other.gflops)
    assert one.memory_mib > 10
