"""A batch in parts is the batch, where nothing is drawn: then the step is equal up to rounding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from detectron2.utils.events import EventStorage

from agropest.training.accumulation import accumulate
from agropest.training.trainer import TrialTrainer
from tests.modeling.lean.conftest import draw_batch, small_cfg

# Every anchor and every proposal is taken, and every picture has as many: what is drawn is the order alone.
ALL = (
    *("MODEL.RPN.BATCH_SIZE_PER_IMAGE", 100000, "MODEL.RPN.POSITIVE_FRACTION", 1.0),
    *("MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", 1000, "MODEL.ROI_HEADS.POSITIVE_FRACTION", 1.0),
    *("MODEL.ROI_HEADS.PROPOSAL_APPEND_GT", False, "MODEL.RPN.NMS_THRESH", 1.0, "MODEL.RPN.POST_NMS_TOPK_TRAIN", 20),
    *("SOLVER.IMS_PER_BATCH", 4, "SOLVER.BASE_LR", 0.01, "SOLVER.WARMUP_ITERS", 0),
)


def after_a_step(parts: int, *settings: Any) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Returns losses and weights."""
    trainer = TrialTrainer(small_cfg(*ALL, "SOLVER.ACCUMULATION_STEPS", parts, *settings), "cpu")
    trainer.batches = iter([draw_batch(3, ((64, 64),) * 4)])
    with EventStorage(0):
        trainer.iter = 0
        trainer.run_step()
    return trainer._recent[0], trainer.model.state_dict()


@pytest.mark.parametrize("parts", [2, 4])
@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_a_step_in_parts_is_the_step_of_the_whole_batch(parts: int, optimizer: str) -> None:
    whole, its = after_a_step(1, "SOLVER.OPTIMIZER", optimizer)
    losses, weights = after_a_step(parts, "SOLVER.OPTIMIZER", optimizer)
    assert list(losses) == list(whole)
    for name, loss in whole.items():
        assert float(losses[name]) == pytest.approx(float(loss), rel=1e-4), name
    # Adam's first step is the rate times the gradient's sign, also of gradients that are 0 but for rounding.
    differing = [name for name, value in its.items() if not torch.allclose(value, weights[name], atol=2e-6)]
    assert optimizer == "AdamW" or differing == []


def test_gradients_are_the_mean_of_the_parts_and_losses_too() -> None:
    weight = torch.ones(1, requires_grad=True)
    scaler = torch.amp.GradScaler("cpu", enabled=False)

    def losses_of(part: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        mean = sum(item["x"] for item in part) / len(part)
        return {"a": weight.sum() * mean, "b": weight.sum() * 2.0}

    batch = [{"x": x} for x in (1.0, 2.0, 3.0, 6.0)]
    losses = accumulate(batch, 2, losses_of, scaler)
    assert {name: float(loss) for name, loss in losses.items()} == {"a": 3.0, "b": 2.0}
    assert weight.grad is not None
    assert weight.grad.tolist() == [5.0]  # the mean of 1, 2, 3 and 6, and 2
    assert not losses["a"].requires_grad
