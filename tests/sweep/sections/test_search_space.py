"""Choices of several keys, and conditions: what a point comes to, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from agropest.errors import SweepFileError
from agropest.sweep.spec import SweepSpec, load_sweep

SPACE = """
  space:
    optimizer:
      choice:
        sgd: {SOLVER.OPTIMIZER: SGD}
        adamw: {SOLVER: {OPTIMIZER: AdamW, BASE_LR: 1e-4}}
    SOLVER.NESTEROV: {choice: [true, false], when: {optimizer: sgd}}
    SOLVER.MOMENTUM: {choice: [0.8, 0.9], when: {optimizer: sgd, SOLVER.NESTEROV: true}}
"""


def load(tmp_path: Path, text: str) -> SweepSpec:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    return load_sweep(path)


def test_a_grid_has_each_point_once_without_the_keys_whose_condition_does_not_hold(tmp_path: Path) -> None:
    variants = load(tmp_path, "search:\n  method: grid" + SPACE).variants
    assert [variant.overrides for variant in variants[1:]] == [
        {"SOLVER.OPTIMIZER": "SGD", "SOLVER.NESTEROV": True, "SOLVER.MOMENTUM": 0.8},
        {"SOLVER.OPTIMIZER": "SGD", "SOLVER.NESTEROV": True, "SOLVER.MOMENTUM": 0.9},
        {"SOLVER.OPTIMIZER": "SGD", "SOLVER.NESTEROV": False},
        {"SOLVER.OPTIMIZER": "AdamW", "SOLVER.BASE_LR": 0.0001},
    ]


def test_a_condition_on_what_does_not_count_itself_does_not_hold(tmp_path: Path) -> None:
    space = load(tmp_path, "search:\n  method: grid" + SPACE).search.names
    point = {"optimizer": "adamw", "SOLVER.NESTEROV": True, "SOLVER.MOMENTUM": 0.8}
    assert space.overrides(point) == {"SOLVER.OPTIMIZER": "AdamW", "SOLVER.BASE_LR": 0.0001}
    assert space.keys == {"SOLVER.OPTIMIZER", "SOLVER.BASE_LR", "SOLVER.NESTEROV", "SOLVER.MOMENTUM"}


def test_drawn_points_obey_the_conditions(tmp_path: Path) -> None:
    space = SPACE.replace("choice: [0.8, 0.9]", "uniform: [0.8, 0.9]")
    variants = load(tmp_path, "search:\n  num_variants: 40" + space).variants[1:]
    assert {variant.overrides["SOLVER.OPTIMIZER"] for variant in variants} == {"SGD", "AdamW"}
    for variant in variants:
        its = variant.overrides
        assert ("SOLVER.NESTEROV" in its) == (its["SOLVER.OPTIMIZER"] == "SGD")
        assert ("SOLVER.MOMENTUM" in its) == its.get("SOLVER.NESTEROV", False)
    assert len(variants) < 40  # AdamW has one point, and SGD without Nesterov another


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ("a: {choice: {x: {SOLVER.BASE_LP: 1}}}", "space.a.choice.x.SOLVER.BASE_LP: expected a Detectron2 config key"),
        ("a: {choice: {x: {SOLVER.BASE_LR: [1]}}}", "space.a.choice.x.SOLVER.BASE_LR: expected a number"),
        ("a: {choice: {}}", "space.a.choice: expected at least one choice"),
        ("a: {choice: [1, 2]}", "space.a: expected a Detectron2 config key"),
        (
            "SOLVER.NESTEROV: {choice: [true], when: {b: x}}",
            "SOLVER.NESTEROV.when.b: expected another name of the space",
        ),
        (
            "SOLVER.GAMMA: {uniform: [0, 1]}, SOLVER.NESTEROV: {choice: [true], when: {SOLVER.GAMMA: 0.5}}",
            "SOLVER.NESTEROV.when.SOLVER.GAMMA: expected another name of the space",
        ),
        (
            "a: {choice: {x: {}}}, SOLVER.NESTEROV: {choice: [true], when: {a: y}}",
            "SOLVER.NESTEROV.when.a: expected values that it may come to, got 'y'; it has ['x']",
        ),
        (
            "a: {choice: {x: {}}, when: {b: y}}, b: {choice: {y: {}}, when: {a: x}}",
            "space.a.when: expected conditions that go in no circle, got ['b']",
        ),
        (
            "a: {choice: {x: {SOLVER.GAMMA: 0.5}}}, SOLVER.GAMMA: {choice: [0.1]}",
            "space.SOLVER.GAMMA: expected one place of the space that sets it",
        ),
    ],
)
def test_what_a_space_cannot_mean_is_refused_with_its_place(space: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(SweepFileError) as caught:
        load(tmp_path, f"search: {{method: random, space: {{{space}}}}}\n")
    assert any(told in text for text in caught.value.faults), caught.value.faults


def test_a_population_has_no_conditions(tmp_path: Path) -> None:
    space = "SOLVER.NESTEROV: {choice: [true]}, SOLVER.MOMENTUM: {uniform: [0, 1], when: {SOLVER.NESTEROV: true}}"
    with pytest.raises(SweepFileError, match="expected no condition with pbt"):
        load(tmp_path, f"search: {{method: pbt, interval_iters: 5, space: {{{space}}}}}\n")
