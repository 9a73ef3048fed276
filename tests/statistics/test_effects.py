"""Which weighted sums of variants answer which question, by hand."""

from __future__ import annotations

from agropest.statistics.effects import ALONE, INTERACTION, LEFT_OUT, MAIN, contrasts
from agropest.sweep.factors import APPLIED, combine


def levels(design: str, *names: str) -> dict[str, dict[str, str]]:
    return {label: one for label, _, one in combine({name: {} for name in names}, design)}


def test_a_full_design_of_two_factors() -> None:
    """Main effect: mean of two differences. Interaction: the difference of these two differences."""
    found = {(one.kind, one.factors): one.weights for one in contrasts(levels("full", "a", "b"), APPLIED)}
    assert found == {
        (MAIN, ("a",)): {"baseline": -0.5, "a": 0.5, "b": -0.5, "a+b": 0.5},
        (MAIN, ("b",)): {"baseline": -0.5, "a": -0.5, "b": 0.5, "a+b": 0.5},
        (INTERACTION, ("a", "b")): {"baseline": 1.0, "a": -1.0, "b": -1.0, "a+b": 1.0},
    }


def test_a_full_design_of_three_factors_sees_what_was_put_in() -> None:
    value = {"a": 3.0, "b": -1.0, "c": 0.0}
    cells = levels("full", "a", "b", "c")
    made = {
        label: sum(value[name] for name, level in one.items() if level == APPLIED)
        + 2.0 * (one["a"] == one["b"] == APPLIED)
        for label, one in cells.items()
    }
    found = {
        "x".join(one.factors): sum(w * made[label] for label, w in one.weights.items())
        for one in contrasts(cells, APPLIED)
    }
    # a gains 3, and 2 more in the half of the settings where b is applied
    assert found == {"a": 4.0, "b": 0.0, "c": 0.0, "axb": 2.0, "axc": 0.0, "bxc": 0.0}


def test_an_ablation_gives_each_factor_alone_and_left_out() -> None:
    cells = levels("ablation", "a", "b", "c")
    found = [(one.kind, one.factors[0], one.weights) for one in contrasts(cells, APPLIED, "ablation")]
    assert len(found) == 6
    assert (ALONE, "b", {"b": 1.0, "baseline": -1.0}) in found
    assert (LEFT_OUT, "b", {"a+b+c": 1.0, "a+c": -1.0}) in found


def test_what_has_not_finished_is_not_asked() -> None:
    cells = levels("ablation", "a", "b", "c")
    del cells["a+b+c"]
    assert {one.kind for one in contrasts(cells, APPLIED, "ablation")} == {ALONE}
    assert contrasts({"baseline": {}, "other": {}}, APPLIED) == []
