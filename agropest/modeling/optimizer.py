"""The optimizer that a config means: Detectron2's SGD, or AdamW over the same groups of parameters."""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
import torch
from detectron2 import solver
from detectron2.config import CfgNode
from detectron2.solver.build import get_default_optimizer_params, maybe_add_gradient_clipping

from agropest.modeling.config import SGD


def build_optimizer(cfg: CfgNode, model: torch.nn.Module) -> torch.optim.Optimizer:
    """Returns the optimizer that ``SOLVER.OPTIMIZER`` names.

    AdamW (Loshchilov and Hutter 2019) has the rates and decays that Detectron2 gives each parameter, and its gradient
    clipping; ``SOLVER.MOMENTUM`` and ``SOLVER.NESTEROV`` are SGD's, ``SOLVER.ADAMW_BETAS`` is AdamW's.
    """
    if cfg.SOLVER.OPTIMIZER == SGD:
        return solver.build_optimizer(cfg, model)
    groups = get_default_optimizer_params(
        model,
        base_lr=cfg.SOLVER.BASE_LR,
        weight_decay_norm=cfg.SOLVER.WEIGHT_DECAY_NORM,
        bias_lr_factor=cfg.SOLVER.BIAS_LR_FACTOR,
        weight_decay_bias=cfg.SOLVER.WEIGHT_DECAY_BIAS,
    )
    kind = maybe_add_gradient_clipping(cfg, torch.optim.AdamW)
    return kind(
        groups, lr=cfg.SOLVER.BASE_LR, betas=tuple(cfg.SOLVER.ADAMW_BETAS), weight_decay=cfg.SOLVER.WEIGHT_DECAY
    )
