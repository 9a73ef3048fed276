from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import pytest

from agropest.errors import SweepFileError
from agropest.sweep.plan import expand_trials
from agropest.sweep.sections import search
from agropest.sweep.sections.budget import Budget
from agropest.sweep.sections.distributions import Distribution, draw_point
from agropest.sweep.spec import SweepSpec, load_sweep


def load(tmp_path: Path, text: str, *settings: str) -> SweepSpec:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    return load_sweep(path, settings)


SPACE = """
  space:
    SOLVER.BASE_LR: {loguniform: [1e-4, 1e-2]}
    SOLVER.WARMUP_ITERS: {randint: [10, 13]}
    MODEL.ROI_BOX_HEAD.CLS_LOSS: {choice: [cross_entropy, softmax_focal]}
"""


def test_a_grid_has_every_combination_beside_the_baseline(tmp_path: Path) -> None:
    text = "search: {method: grid, space: {SOLVER.BASE_LR: {choice: [0.1, 0.2]}, SEED: {grid_search: [1, 2, 3]}}}\n"
    variants = load(tmp_path, text).variants
    assert [v.name for v in variants] == ["baseline", *(f"grid-{n:03d}" for n in range(6))]
    assert variants[1].overrides == {"SOLVER.BASE_LR": 0.1, "SEED": 1}
    assert variants[6].overrides == {"SOLVER.BASE_LR": 0.2, "SEED": 3}


def test_random_variants_are_the_same_again_and_a_longer_search_begins_with_the_shorter(tmp_path: Path) -> None:
    five = load(tmp_path, "search:\n  method: random\n  num_variants: 5" + SPACE).variants
    nine = load(tmp_path, "search:\n  method: random\n  num_variants: 9" + SPACE).variants
    other = load(tmp_path, "search:\n  method: random\n  num_variants: 5\n  seed: 1" + SPACE).variants
    assert five == nine[:6]
    assert len({str(v.overrides) for v in nine}) == 10
    assert [v.overrides for v in five[1:]] != [v.overrides for v in other[1:]]
    for variant in nine[1:]:
        assert 1e-4 <= variant.overrides["SOLVER.BASE_LR"] <= 1e-2
        assert variant.overrides["SOLVER.WARMUP_ITERS"] in (10, 11, 12)


def test_drawn_variants_are_ordinary_trials(tmp_path: Path) -> None:
    spec = load(tmp_path, "seeds: [1, 2]\nsearch:\n  num_variants: 2" + SPACE)
    trials = expand_trials(spec, "data-1", ["Ants", "Bees"])
    assert [t.name for t in trials][:4] == ["baseline/s1", "baseline/s2", "random-000/s1", "random-000/s2"]
    again = expand_trials(
        load(tmp_path, "seeds: [1, 2]\nsearch:\n  num_variants: 2" + SPACE), "data-1", ["Ants", "Bees"]
    )
    assert [t.signature for t in trials] == [t.signature for t in again]
    assert len({t.signature for t in trials}) == 6


def test_a_point_that_was_drawn_twice_is_one_variant(tmp_path: Path) -> None:
    text = "search: {num_variants: 50, space: {SOLVER.BASE_LR: {choice: [0.1, 0.2, 0.3]}}}\n"
    variants = load(tmp_path, text).variants
    assert sorted(v.overrides["SOLVER.BASE_LR"] for v in variants[1:]) == [0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    ("kind", "arguments", "values"),
    [
        ("uniform", (1.0, 3.0), None),
        ("loguniform", (0.001, 1.0), None),
        ("quniform", (0.0, 1.0, 0.25), {0.0, 0.25, 0.5, 0.75, 1.0}),
        ("qloguniform", (1.0, 8.0, 1.0), {float(n) for n in range(1, 9)}),
        ("randint", (1, 4), {1, 2, 3}),
        ("qrandint", (2, 8, 2), {2, 4, 6, 8}),
        ("lograndint", (1, 5), {1, 2, 3, 4}),
        ("qlograndint", (2, 10, 2), {2, 4, 6, 8, 10}),
    ],
)
def test_every_distribution_stays_within_its_ends_and_reaches_them(
    kind: str, arguments: tuple[float, ...], values: set[float] | None
) -> None:
    law = Distribution(kind, arguments)
    drawn = [draw_point({"SEED": law}, 0, number)["SEED"] for number in range(400)]
    assert all(law.holds(value) for value in drawn)
    if values is not None:
        assert set(drawn) == values
    else:
        low, high = np.quantile(drawn, [0.02, 0.98])
        share = np.log(high / low) / np.log(arguments[1] / arguments[0]) if law.is_log else (high - low) / 2
        assert share > 0.9


def test_normal_distributions_have_their_mean_and_deviation_and_no_ends(tmp_path: Path) -> None:
    text = "search: {num_variants: 2000, space: {SOLVER.MOMENTUM: {normal: [0.5, 0.1]}}}\n"
    drawn = [v.overrides["SOLVER.MOMENTUM"] for v in load(tmp_path, text).variants[1:]]
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.01)
    assert np.std(drawn) == pytest.approx(0.1, abs=0.01)
    assert max(drawn) > 0.75  # clipped to nothing
    assert all(value == float(f"{value:.4g}") for value in drawn)
    assert load(tmp_path, text.replace("normal", "randn")).variants[1:] == load(tmp_path, text).variants[1:]
    steps = text.replace("normal: [0.5, 0.1]", "qrandn: [0.5, 0.1, 0.25]")
    assert {v.overrides["SOLVER.MOMENTUM"] for v in load(tmp_path, steps).variants[1:]} == {0.25, 0.5, 0.75}


def test_whole_numbers_are_equally_likely() -> None:
    law = Distribution("randint", (0, 4))
    drawn = [draw_point({"SEED": law}, 3, number)["SEED"] for number in range(2000)]
    assert np.bincount(drawn) == pytest.approx([500] * 4, abs=70)


def test_another_key_does_not_change_what_is_drawn() -> None:
    law = Distribution("uniform", (0.0, 1.0))
    assert draw_point({"A": law}, 5, 1)["A"] == draw_point({"A": law, "B": law}, 5, 1)["A"]
    assert draw_point({"A": law}, 5, 1)["A"] != draw_point({"A": law}, 5, 2)["A"]


@pytest.mark.parametrize(
    ("section", "piece"),
    [
        ("{method: rand, space: {SEED: {choice: [1]}}}", "did you mean 'random'?"),
        ("{method: random}", "search.space: expected at least one key"),
        ("{space: {SOLVER.BASE_LP: {choice: [1]}}}", "did you mean 'SOLVER.BASE_LR'?"),
        ("{space: {SOLVER.BASE_LR: 0.1}}", "expected one distribution, got 0.1"),
        ("{space: {SOLVER.BASE_LR: {logunifrom: [1, 2]}}}", "did you mean 'loguniform'?"),
        ("{space: {SOLVER.BASE_LR: {loguniform: [0, 2]}}}", "low > 0"),
        ("{space: {SOLVER.BASE_LR: {uniform: [2, 1]}}}", "expected low < high"),
        ("{space: {SOLVER.BASE_LR: {quniform: [1, 2]}}}", "expected [low, high, step]"),
        ("{space: {SOLVER.BASE_LR: {choice: []}}}", "expected at least one value"),
        ("{space: {SOLVER.BASE_LR: {choice: [fast]}}}", "expected a number, got 'fast'"),
        ("{space: {SOLVER.MAX_ITER: {uniform: [1, 9]}}}", "use randint"),
        ("{space: {SOLVER.MAX_ITER: {randint: [1.5, 9]}}}", "expected whole numbers"),
        ("{method: grid, space: {SOLVER.BASE_LR: {uniform: [1, 2]}}}", "expected {choice: [...]} in a grid"),
        ("{method: grid, num_variants: 3, space: {SEED: {choice: [1]}}}", "expected none with a grid"),
        ("{num_variants: 0, space: {SEED: {choice: [1]}}}", "expected at least 1"),
        ("{space: {SOLVER.MOMENTUM: {normal: [0.9]}}}", "expected [mean, standard deviation], got [0.9]"),
        ("{space: {SOLVER.MOMENTUM: {qrandn: [0.9, 0, 0.1]}}}", "expected a standard deviation and a step above 0"),
        ("{space: {SOLVER.MOMENTUM: {nromal: [0.9, 0.1]}}}", "did you mean 'normal'?"),
        ("{space: {SOLVER.MAX_ITER: {randn: [10, 1]}}}", "expected whole numbers, which randn does not give"),
        ("{num_variants: 50, space: {SOLVER.BASE_LR: {normal: [0.01, 0.01]}}}", "expected no number below 0"),
        ("{space: {MODEL.ROI_HEADS.SCORE_THRESH_TEST: {randn: [0.9, 0.2]}}}", "expected a number from 0.0 to 1.0"),
        ("{method: optuna, space: {SOLVER.MOMENTUM: {normal: [0.9, 0.01]}}}", "that optuna can suggest from"),
        ("{method: grid, space: {SOLVER.MOMENTUM: {normal: [0.9, 0.01]}}}", "expected {choice: [...]} in a grid"),
        ("{samples: 3, space: {SEED: {choice: [1]}}}", "search.samples: unknown key"),
    ],
)
def test_every_fault_of_a_search_names_its_key(tmp_path: Path, section: str, piece: str) -> None:
    with pytest.raises(SweepFileError) as caught:
        load(tmp_path, f"search: {section}\n")
    assert piece in str(caught.value)
    assert len(caught.value.faults) == 1


def test_a_budget_says_which_limit_is_reached(tmp_path: Path) -> None:
    budget = load(tmp_path, "variants: {a: {}}\nbudget: {max_hours: 0.5, max_iterations: 100}\n").budget
    assert budget == Budget(max_hours=0.5, max_iterations=100)
    assert budget.over(0.4, 99) == ""
    assert budget.over(0.5, 99) == "max_hours 0.5"
    assert budget.over(0.1, 100) == "max_iterations 100"
    assert Budget().over(1e6, 10**9) == ""
    with pytest.raises(SweepFileError, match=r"budget\.max_hour: unknown key.*did you mean 'max_hours'"):
        load(tmp_path, "variants: {a: {}}\nbudget: {max_hour: 1}\n")


def test_the_example_at_the_top_of_the_module_is_one(tmp_path: Path) -> None:
    assert search.__doc__ is not None
    text = textwrap.dedent(search.__doc__.split("\n\n")[1])
    (tmp_path / "a.yaml").write_text(text)
    assert len(load_sweep(tmp_path / "a.yaml").variants) == 21  # the baseline and 20 that are drawn
