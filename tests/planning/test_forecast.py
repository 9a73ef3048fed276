"""The arithmetic of the forecast, worked by hand."""

from __future__ import annotations

from typing import Any

import pytest

from agropest.planning.forecast import Capacity, Speed, assumption, ends, expected_share, makespan, trial_seconds
from agropest.sweep.sections.stop_rule import StopRule
from agropest.sweep.trial import TrialSpec

SPEED = Speed(step_s=0.5, evaluation_image_s=0.1, start_s=2.0, source="probe")
IMAGES = {"train": 600, "valid": 10, "test": 20}


def trial(**overrides: Any) -> TrialSpec:
    config = {
        "SOLVER.MAX_ITER": 100,
        "TEST.EVAL_PERIOD": 40,
        "TEST.AUG.ENABLED": False,
        "TEST.AUG.MIN_SIZES": [400, 500],
        "TEST.AUG.FLIP": True,
    }
    return TrialSpec("a", 1, config | {key.replace("__", "."): value for key, value in overrides.items()}, "data")


@pytest.mark.parametrize(
    ("done", "share", "expected"),
    [
        (0, 1.0, 2 + 50 + 0.1 * (3 * 10 + 20)),  # evaluated at 40, 80 and 100, tested once
        (40, 1.0, 2 + 30 + 0.1 * (2 * 10 + 20)),
        (99, 1.0, 2 + 0.5 + 0.1 * (10 + 20)),
        (0, 0.4, 2 + 20 + 0.1 * 10),  # stopped at 40: one evaluation, no test
        (80, 0.4, 2),
    ],
)
def test_a_trial(done: int, share: float, expected: float) -> None:
    assert trial_seconds(trial(), SPEED, IMAGES, done, share) == pytest.approx(expected)


def test_an_evaluation_at_the_end_is_not_counted_twice() -> None:
    assert trial_seconds(trial(SOLVER__MAX_ITER=80), SPEED, IMAGES) == pytest.approx(2 + 40 + 0.1 * (20 + 20))
    assert trial_seconds(trial(TEST__EVAL_PERIOD=0), SPEED, IMAGES) == pytest.approx(2 + 50 + 0.1 * (10 + 20))
    assert trial_seconds(trial(), SPEED, {"valid": 10}) == pytest.approx(2 + 50 + 0.1 * 30)


def test_augmented_images_count_as_often_as_they_are_evaluated() -> None:
    # Two sizes, flipped and not: four times the test and the validation images, beside three plain validations.
    seconds = trial_seconds(trial(TEST__AUG__ENABLED=True), SPEED, IMAGES)
    assert seconds == pytest.approx(2 + 50 + 0.1 * (30 + 4 * 30))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (StopRule(), 1.0),
        (StopRule("asha", 25, 2.0), 0.25 + 0.5 * 0.25 + 0.25 * 0.5),  # rungs at 25 and 50
        (StopRule("asha", 50, 4.0), 0.5 + 0.25 * 0.5),
        (StopRule("median", 40), 0.5 * 0.4 + 0.5),
        (StopRule("median", 400), 1.0),
        (StopRule("race"), (0.87 * 8 - 1) / 7),
        (StopRule("hyperband"), (0.42 * 8 - 1) / 7),
    ],
)
def test_the_share_that_early_stopping_leaves(rule: StopRule, expected: float) -> None:
    assert expected_share(rule, trial()) == pytest.approx(expected)
    assert expected_share(rule, trial(), baseline=trial().label) == 1.0  # it is never stopped
    assert bool(assumption(rule)) == (rule.method != "none")


@pytest.mark.parametrize(
    ("work", "capacity", "expected"),
    [
        ([], (2, 0), 0.0),
        ([(10, 1, 0)] * 4, (2, 0), 20.0),
        ([(10, 1, 0), (4, 1, 0), (4, 1, 0), (4, 1, 0)], (2, 0), 12.0),
        ([(10, 2, 0), (5, 1, 0)], (2, 0), 15.0),
        ([(10, 1, 0.5)] * 4, (16, 1), 20.0),
        ([(10, 1, 2.0), (3, 1, 1.0)], (16, 2), 13.0),
        ([(10, 1, 0), (4, 1, 0), (4, 1, 0)], (16, 0, 2), 10.0),  # two at a time, though sixteen fit
        ([(10, 1, 0)] * 3, (16, 0, 1), 30.0),
        ([(10, 8, 0)] * 2, (2, 0), 20.0),  # more than there is: one after another
    ],
)
def test_the_sweep(work: list[tuple[float, float, float]], capacity: Any, expected: float) -> None:
    assert makespan(work, Capacity(*capacity)) == pytest.approx(expected)


def test_when_each_is_done() -> None:
    assert ends([(10, 1, 0), (4, 1, 0), (3, 1, 0)], Capacity(2, 0)) == [10, 4, 7]
