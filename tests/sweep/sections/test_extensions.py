"""``extend:`` as values: longer variants that share everything up to the old end, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from agropest.errors import SweepFileError
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.sweep.stages.tree import stage_tree
from agropest.sweep.trial import TrialSpec

SCHEDULE = "SOLVER: {MAX_ITER: 100, STEPS: [60, 80], WARMUP_ITERS: 10}"


def write(tmp_path: Path, extend: str, schedule: str = SCHEDULE, more: str = "") -> Path:
    path = tmp_path / "a.yaml"
    variants = "{baseline: {}, slow: {SOLVER.BASE_LR: 0.01}}"
    path.write_text(f"config: {{{schedule}}}\nvariants: {variants}\nseeds: [1]\nextend: {extend}\n{more}")
    return path


def trials(path: Path) -> dict[str, TrialSpec]:
    return {trial.label: trial for trial in expand_trials(load_sweep(path), "data", ["one", "two"])}


def faults(path: Path) -> list[str]:
    with pytest.raises(SweepFileError) as caught:
        trials(path)
    return [text.removeprefix(f"{path}: ") for text in caught.value.faults]


def test_every_variant_or_one_goes_on_from_its_end(tmp_path: Path) -> None:
    found = trials(write(tmp_path, "150"))
    assert list(found) == ["baseline", "slow", "baseline-to-150", "slow-to-150"]
    tree = stage_tree(list(found.values()))
    assert (tree.num_iters, tree.num_iters_unshared) == (300, 500)
    assert tree.shared_until(found["slow"], found["slow-to-150"]) == 100
    assert found["slow-to-150"].overrides == {"SOLVER.BASE_LR": 0.01, "SOLVER.MAX_ITER": 150}
    one = trials(write(tmp_path, "{slow: {to: 150, SOLVER.STEPS: [60, 80, 120]}}"))
    assert list(one) == ["baseline", "slow", "slow-to-150"]
    assert stage_tree(list(one.values())).num_iters == 250
    assert one["slow-to-150"].config["SOLVER.STEPS"] == [60, 80, 120]


def test_a_longer_variant_is_evaluated_as_any_other(tmp_path: Path) -> None:
    found = trials(write(tmp_path, "{slow: 150}", more="evaluate: {last: {checkpoint: last, of: slow-to-150}}"))
    assert found["slow-to-150+last"].max_iter == 150


@pytest.mark.parametrize(
    ("extend", "schedule", "told"),
    [
        ("{slow: 100}", SCHEDULE, "extend.slow: expected more iterations than the 100 that are trained, got 100"),
        ("{slo: 150}", SCHEDULE, "extend.slo: expected the name of a variant, got 'slo'; did you mean 'slow'?"),
        ("{slow: {SOLVER.STEPS: [60]}}", SCHEDULE, "extend.slow.to: expected the iteration at which it ends"),
        (
            "{slow: {to: 150, SOLVER.BASE_LR: 1}}",
            SCHEDULE,
            "extend.slow.SOLVER.BASE_LR: expected a key",
        ),
        (
            "{slow: {to: 150, SOLVER.MAX_ITER: 9}}",
            SCHEDULE,
            "extend.slow.SOLVER.MAX_ITER: expected `to`",
        ),
        ("lots", SCHEDULE, "extend.baseline.to: expected a whole number from 0 to 1000000000, got 'lots'"),
        (
            "{slow: {to: 150, SOLVER.STEPS: [60, 120]}}",
            SCHEDULE,
            "extend.slow: expected the learning rates of all 100 iterations to stay, and iteration 81 has another, "
            "got [60, 120]; leave the steps before 100 as they are, or write it under `variants:`, where it is trained "
            "from the start",
        ),
        (
            "{slow: 150}",
            "SOLVER: {MAX_ITER: 100, LR_SCHEDULER_NAME: WarmupCosineLR}",
            "extend.slow: expected a schedule that can be prolonged: this one depends on its length, "
            "got 'WarmupCosineLR'; write it under `variants:`, where it is trained from the start",
        ),
        (
            "{slow: 150}",
            f"{SCHEDULE}, TEST.PATIENCE: 2",
            "extend.slow: expected a training that ends at its schedule's end, and TEST.PATIENCE may end it before",
        ),
    ],
)
def test_what_does_not_go_on_is_refused(tmp_path: Path, extend: str, schedule: str, told: str) -> None:
    assert any(one.startswith(told) for one in faults(write(tmp_path, extend, schedule))), told
