"""Learning rates as a function of the iteration, held against Detectron2's own code bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from detectron2.config import get_cfg
from detectron2.solver import build_lr_scheduler

from agropest.sweep.detectron2_keys import default_config
from agropest.sweep.stages.rates import RateSchedule, is_as_detectron2, num_equal, rate_schedule
from agropest.sweep.stages.training import training_version

STUDY = {"SOLVER.MAX_ITER": 25000, "SOLVER.STEPS": [15000, 20000], "SOLVER.BASE_LR": 0.001}
TWICE = {**STUDY, "SOLVER.MAX_ITER": 50000, "SOLVER.STEPS": [30000, 40000]}


def schedule(**changes: Any) -> RateSchedule:
    config = {**default_config(), **STUDY, **{f"SOLVER.{key}": value for key, value in changes.items()}}
    found = rate_schedule(config)
    assert found is not None
    return found


def of_detectron2(changes: Mapping[str, Any], iterations: range) -> list[float]:
    """Returns the multipliers that Detectron2's scheduler gives."""
    cfg = get_cfg()
    for key, value in {**STUDY, **changes}.items():
        cfg.merge_from_list([key, value])
    cfg.SOLVER.BASE_LR = 1.0
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = build_lr_scheduler(cfg, optimizer)
    found = []
    for iteration in iterations:
        scheduler.last_epoch = iteration
        found.append(float(scheduler.get_lr()[0]))
    return found


def test_a_warm_up_is_a_line_and_steps_multiply() -> None:
    # Worked by hand: 0.001 at the start, half-way 0.5 x 1 + 0.5 x 0.001, then 1, 0.1, 0.01.
    its = schedule()
    assert [its.multiplier(i) for i in (0, 500, 1000, 14999)] == [0.001, 0.5005, 1.0, 1.0]
    assert [its.multiplier(i) for i in (15000, 19999, 20000, 25000)] == [0.1, 0.1, 0.1**2, 0.1**2]
    assert schedule(WARMUP_METHOD="constant").multiplier(999) == 0.001
    cosine = schedule(LR_SCHEDULER_NAME="WarmupCosineLR", WARMUP_ITERS=0)
    assert [cosine.multiplier(i) for i in (0, 12500, 25000)] == pytest.approx([1.0, 0.5, 0.0])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"SOLVER.WARMUP_ITERS": 1024, "SOLVER.MAX_ITER": 32768},
        {"SOLVER.WARMUP_METHOD": "constant", "SOLVER.MAX_ITER": 23457},
        {"SOLVER.WARMUP_ITERS": 0},
        {"SOLVER.LR_SCHEDULER_NAME": "WarmupCosineLR", "SOLVER.WARMUP_ITERS": 77},
        {"SOLVER.MAX_ITER": 400, "SOLVER.WARMUP_ITERS": 50, "SOLVER.STEPS": []},
        {"SOLVER.MAX_ITER": 600, "SOLVER.WARMUP_ITERS": 60, "SOLVER.STEPS": [300, 450]},
        {"SOLVER.MAX_ITER": 600, "SOLVER.WARMUP_ITERS": 900, "SOLVER.STEPS": [300]},
        {"SOLVER.MAX_ITER": 440, "SOLVER.WARMUP_ITERS": 30, "SOLVER.STEPS": [300, 400]},
    ],
)
def test_the_rates_are_detectron2s_and_where_a_bit_differs_the_version_does(changes: dict[str, Any]) -> None:
    config = {**default_config(), **STUDY, **changes}
    its = rate_schedule(config)
    assert its is not None
    ours = its.multipliers(0, its.max_iter).tolist()
    theirs = of_detectron2(changes, range(its.max_iter))
    assert ours == pytest.approx(theirs, rel=1e-12)
    assert ours == [its.multiplier(i) for i in range(its.max_iter)]
    assert is_as_detectron2(its) is (ours == theirs)
    assert training_version(config) == (2 if ours == theirs else 3)


def test_whether_the_studys_warm_up_changes_is_counted() -> None:
    # 288 of its first 1,000 rates: a division of 25,000ths rounds otherwise than one of 1,000ths.
    ours = schedule().multipliers(0, 1000).tolist()
    theirs = of_detectron2({}, range(1000))
    assert sum(a != b for a, b in zip(ours, theirs, strict=True)) == 288
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) < 1e-15
    assert training_version({**default_config(), **STUDY}) == 3


def test_schedules_of_other_lengths_are_equal_up_to_the_first_step_that_differs() -> None:
    forty = schedule(MAX_ITER=40000)
    assert num_equal(schedule(), schedule()) == 25000
    assert num_equal(schedule(), forty) == 25000  # the same steps: the whole of the shorter one
    assert num_equal(schedule(), schedule(MAX_ITER=50000, STEPS=[30000, 40000])) == 15000
    assert of_detectron2({"SOLVER.MAX_ITER": 40000}, range(1000)) != of_detectron2({}, range(1000))
    assert num_equal(schedule(), schedule(WARMUP_ITERS=500)) == 1  # both begin with the factor
    assert num_equal(schedule(), schedule(WARMUP_FACTOR=0.01)) == 0
    assert num_equal(schedule(), schedule(GAMMA=0.5)) == 15000
    cosine = schedule(LR_SCHEDULER_NAME="WarmupCosineLR")
    assert num_equal(cosine, replace(cosine, max_iter=50000)) < 1000


def test_a_schedule_that_is_not_known_here_is_nobodys() -> None:
    assert rate_schedule({**default_config(), "SOLVER.LR_SCHEDULER_NAME": "WarmupStepWithFixedGammaLR"}) is None
    assert rate_schedule({**default_config(), "SOLVER.RESCALE_INTERVAL": True}) is None


def test_a_schedule_without_end_is_compared_in_blocks() -> None:
    huge = schedule(MAX_ITER=2**31 - 1, WARMUP_ITERS=10)
    assert num_equal(huge, replace(huge, gamma=0.5)) == 15000
    assert not is_as_detectron2(huge)  # Detectron2 takes its steps early from a million iterations on
