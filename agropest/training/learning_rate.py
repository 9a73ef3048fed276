"""Detectron2's learning-rate scheduler, with rates computed from the iteration (:mod:`agropest.sweep.stages.rates`)."""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.solver import build_lr_scheduler
from fvcore.common.param_scheduler import ParamScheduler

from agropest.sweep.stages.rates import RateSchedule, rate_schedule
from agropest.sweep.stages.training import FRACTION_VERSION


def build_scheduler(cfg: CfgNode, optimizer: torch.optim.Optimizer, training_version: int) -> Any:
    """Returns the scheduler of a training.

    Args:
        cfg: effective Detectron2 config.
        training_version: of the trial; an earlier one continues with the rates that it began with.

    Raises:
        ValueError: Detectron2 has no such schedule.
    """
    scheduler = build_lr_scheduler(cfg, optimizer)
    schedule = rate_schedule({f"SOLVER.{key}": value for key, value in cfg.SOLVER.items()})
    if schedule is not None and training_version > FRACTION_VERSION:
        scheduler._multiplier = _FromIteration(schedule)
        set_rates(optimizer, scheduler)
    return scheduler


def set_rates(optimizer: torch.optim.Optimizer, scheduler: Any) -> None:
    """Sets every rate to what the schedule says at the iteration where it stands."""
    for group, rate in zip(optimizer.param_groups, scheduler.get_lr(), strict=True):
        group["lr"] = rate


class _FromIteration(ParamScheduler):
    """A schedule as Detectron2's ``LRMultiplier`` asks for it: by the fraction of ``MAX_ITER``."""

    def __init__(self, schedule: RateSchedule) -> None:
        self.schedule = schedule

    def __call__(self, where: float) -> float:
        """Returns the multiplier; i / MAX_ITER x MAX_ITER is less than a half from i for every i below 2^51."""
        return self.schedule.multiplier(round(where * self.schedule.max_iter))
