from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agropest.errors import SweepFileError
from agropest.sweep.sections.stop_rule import StopRule
from agropest.sweep.spec import load_sweep


def test_seed_noise_is_read_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    text = "variants: {baseline: {}, other: {SOLVER.BASE_LR: 0.01}}\n"
    path.write_text(text + "stop: {method: race, seed_noise: 2.5}\n")
    assert load_sweep(path).stop.seed_noise == 2.5
    path.write_text(text)
    assert load_sweep(path).stop.seed_noise == 0.9
    path.write_text(text + "stop: {method: race, seed_noise: -1}\n")
    with pytest.raises(SweepFileError, match=r"stop.*seed_noise: expected a number from 0 to 100, got -1"):
        load_sweep(path)


def test_a_rule_that_does_not_name_seed_noise_is_the_one_that_stored_stops_name() -> None:
    old = "method race, grace_period_iters 0, reduction_factor 2.0, level 0.05, allowance 0.3, equal_allowance 0.02, "
    assert StopRule("race").identity == old + "indifference 0.0, keep_baseline True"
    other = replace(StopRule("race"), seed_noise=2.5)
    assert other.identity == old + "indifference 0.0, seed_noise 2.5, keep_baseline True"
