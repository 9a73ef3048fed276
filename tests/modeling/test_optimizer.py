"""AdamW over Detectron2's groups of parameters, one step worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from detectron2 import solver

from agropest.modeling.build import build
from agropest.modeling.config import ADAMW
from agropest.modeling.optimizer import build_optimizer


def test_sgd_is_detectron2s_own(make_cfg: Callable[..., Any]) -> None:
    cfg = make_cfg()
    model = build(cfg)
    ours, theirs = build_optimizer(cfg, model), solver.build_optimizer(cfg, model)
    assert type(ours) is type(theirs) is torch.optim.SGD
    assert str(ours) == str(theirs)


def test_adamw_has_detectron2s_rates_and_decays(make_cfg: Callable[..., Any]) -> None:
    names = ("BASE_LR", 0.01, "WEIGHT_DECAY", 0.05, "WEIGHT_DECAY_NORM", 0.0, "BIAS_LR_FACTOR", 2.0)
    settings = [f"SOLVER.{name}" if isinstance(name, str) else name for name in names]
    cfg = make_cfg("SOLVER.OPTIMIZER", ADAMW, "SOLVER.ADAMW_BETAS", [0.8, 0.99], *settings)
    model = build(cfg)
    optimizer = build_optimizer(cfg, model)
    assert isinstance(optimizer, torch.optim.AdamW)
    told = {
        id(p): (group["lr"], group["weight_decay"], group["betas"])
        for group in optimizer.param_groups
        for p in group["params"]
    }
    head = model.roi_heads.box_predictor.cls_score
    norm = model.backbone.fpn_lateral2.norm
    assert told[id(head.weight)] == (0.01, 0.05, (0.8, 0.99))
    assert told[id(norm.weight)] == (0.01, 0.0, (0.8, 0.99))
    assert told[id(head.bias)][0] == pytest.approx(0.02)
    before = head.weight.detach().clone()
    for p in model.parameters():
        p.grad = torch.full_like(p, 3.0)
    optimizer.step()
    # The first step of Adam is the rate times the gradient's sign; the decay is a share of the weight itself.
    assert torch.allclose(head.weight, before * (1 - 0.01 * 0.05) - 0.01, atol=1e-6)


def test_adamw_clips_as_detectron2_does(make_cfg: Callable[..., Any]) -> None:
    clip = ("ENABLED", True, "CLIP_TYPE", "value", "CLIP_VALUE", 0.5)
    settings = [f"SOLVER.CLIP_GRADIENTS.{word}" if place % 2 == 0 else word for place, word in enumerate(clip)]
    cfg = make_cfg("SOLVER.OPTIMIZER", ADAMW, *settings)
    model = build(cfg)
    optimizer = build_optimizer(cfg, model)
    for other in model.parameters():
        other.grad = torch.zeros_like(other)
    p = model.roi_heads.box_predictor.cls_score.bias
    p.grad = torch.tensor([2.0, -3.0, 0.25, 0.0])
    optimizer.step()
    assert p.grad.tolist() == [0.5, -0.5, 0.25, 0.0]
