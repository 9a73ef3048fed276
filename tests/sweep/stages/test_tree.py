"""Which iterations of a sweep are trained once: the trees of the files in sweeps/, and cases worked by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agropest.sweep.detectron2_keys import default_config
from agropest.sweep.history import Segment
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.sweep.stages.training import EVALUATION_KEYS, is_evaluation_key, training_key, training_signature
from agropest.sweep.stages.tree import Stage, StageTree, stage_tree
from agropest.sweep.trial import TrialSpec

SWEEPS = Path(__file__).resolve().parents[3] / "sweeps"


def trial(label: str, **changes: Any) -> TrialSpec:
    """Returns a trial of 100 iterations, evaluated every 20, with steps at 60 and 80; keys with _ for dots."""
    schedule = {"SOLVER.MAX_ITER": 100, "SOLVER.STEPS": [60, 80], "SOLVER.WARMUP_ITERS": 10, "TEST.EVAL_PERIOD": 20}
    config = {**default_config(), **schedule, "SEED": 1, **{f"SOLVER.{key}": value for key, value in changes.items()}}
    return TrialSpec(label, 1, config, "data")


def parts(tree: StageTree, trials: list[TrialSpec]) -> list[tuple[int, int, str]]:
    labels = {one.signature: one.label for one in trials}
    return [(stage.start, stage.end, " ".join(labels[s] for s in stage.trials)) for stage in tree.stages]


def sweep(name: str) -> list[TrialSpec]:
    def fit(config: Mapping[str, Any], per_level: int, where: str) -> dict[str, Any]:
        return {"MODEL.ANCHOR_GENERATOR.SIZES": [[8 * n for n in range(1, per_level + 1)]]}

    return expand_trials(load_sweep(SWEEPS / name), "data", [f"class{i}" for i in range(12)], fit)


def test_a_training_is_told_from_its_evaluations() -> None:
    base = trial("base")
    changed = [replace(base, config={**base.config, key: "other"}) for key in EVALUATION_KEYS | {"TEST.AUG.ENABLED"}]
    assert len({one.signature for one in changed}) == len(EVALUATION_KEYS) + 1
    changed = [one for one in changed if "EMA" not in str(one.overrides)]
    assert {training_signature(one) for one in changed} == {training_signature(base)}
    others = [
        replace(base, data="other"),
        replace(base, weights="sha256:1"),
        replace(base, training_version=99),
        *(
            replace(base, config={**base.config, key: 7})
            for key in ("SEED", "SOLVER.IMS_PER_BATCH", "SOLVER.BASE_LR", "DATALOADER.REPEAT_THRESHOLD", "A.NEW.KEY")
        ),
    ]
    assert len({training_key(one) for one in [base, *others]}) == len(others) + 1
    assert not any(is_evaluation_key(key) for key in ("SOLVER.BASE_LR", "INPUT.MIN_SIZE_TRAIN", "SEED"))


def test_equal_trainings_are_one_stage_and_longer_ones_go_on_from_where_they_part() -> None:
    base, averaged = trial("base"), trial("averaged", **{"EMA.ENABLED": True})
    long, low = trial("long", MAX_ITER=200, STEPS=[120, 160]), trial("low", BASE_LR=0.5)
    trials = [base, low, averaged, long]
    tree = stage_tree(trials)
    assert parts(tree, trials) == [
        (0, 60, "base averaged long"),
        (60, 100, "base averaged"),
        (60, 200, "long"),
        (0, 100, "low"),
    ]
    assert (tree.num_iters, tree.num_iters_unshared) == (60 + 40 + 140 + 100, 500)
    assert [tree.saved_iters(one) for one in trials] == [0, 0, 100, 60]
    assert [tree.saved_iters(one, done=30) for one in trials] == [0, 0, 70, 30]
    assert [tree.shared_until(base, one) for one in trials] == [100, 0, 100, 60]
    assert [one.label for one in tree.in_order(trials)] == ["base", "low", "long", "averaged"]
    assert len({stage.name for stage in tree.stages}) == 4


def test_an_earlier_version_shares_where_its_rates_are_the_same_and_else_only_with_its_like() -> None:
    exact = {"MAX_ITER": 128, "WARMUP_ITERS": 16}  # powers of two: nothing is rounded either way
    new = trial("new", **exact)
    old = [replace(trial(str(steps), **exact, STEPS=[steps]), training_version=2) for steps in (60, 90)]
    assert [stage_tree([new, one]).shared_until(new, one) for one in old] == [80, 60]
    rounded = {"MAX_ITER": 99, "WARMUP_ITERS": 7}
    new, old = trial("new", **rounded), [replace(trial("old", **rounded), training_version=2)]
    old += [replace(old[0], config={**old[0].config, "SOLVER.EMA.ENABLED": True})]
    old += [replace(old[0], config={**old[0].config, "SOLVER.STEPS": [60, 90]})]
    tree = stage_tree([new, *old])
    assert [tree.shared_until(old[0], one) for one in (new, *old)] == [0, 99, 99, 0]


def test_a_longer_training_with_the_same_steps_holds_the_whole_of_the_shorter_one() -> None:
    short, long = trial("short"), trial("long", MAX_ITER=160)
    assert parts(stage_tree([short, long]), [short, long]) == [(0, 100, "short long"), (100, 160, "long")]


def test_what_parts_within_the_first_evaluations_shares_nothing() -> None:
    # Warm-ups of another length begin with the same rate: one iteration of 100 is not worth a checkpoint.
    one, two = trial("one"), trial("two", WARMUP_ITERS=5)
    assert parts(stage_tree([one, two]), [one, two]) == [(0, 100, "one"), (0, 100, "two")]


def test_the_same_trial_under_two_names_is_one_and_a_population_shares_by_its_legs_alone() -> None:
    one, two = trial("one"), trial("two")
    assert [len(stage.trials) for stage in stage_tree([one, two]).stages] == [1]
    member = replace(one, history=(Segment(40, {"SOLVER.BASE_LR": 0.1}),), segment_end=80)
    assert parts(stage_tree([one, member]), [one, member]) == [(0, 100, "one"), (40, 80, "one")]


def test_a_stage_has_one_name_whoever_is_first() -> None:
    one, two = trial("one"), trial("two", **{"EMA.ENABLED": True})

    def names(*trials: TrialSpec) -> set[str]:
        return {stage.name for stage in stage_tree(trials).stages}

    assert names(one, two) == names(two, one)
    assert Stage("a", 10, 30, ("x",)).num_iters == 20


@pytest.mark.parametrize(
    ("name", "iterations", "unshared"),
    [
        ("anchors.yaml", 300_000, 600_000),  # twelve variants, six trainings, with two seeds each
        ("schedule.yaml", 270_000, 350_000),  # 2 seeds x (25,000 of the averaged one + 15,000 of the longer one)
        ("baseline.yaml", 25_000, 25_000),
    ],
)
def test_iterations_of_the_sweeps(name: str, iterations: int, unshared: int) -> None:
    tree = stage_tree(sweep(name))
    assert (tree.num_iters, tree.num_iters_unshared) == (iterations, unshared)
