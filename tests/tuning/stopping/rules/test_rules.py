"""Every rule of early stopping is two files: what it is, and what it decides."""

from __future__ import annotations

import pytest

from agropest.sweep.sections.stop_rule import StopRule
from agropest.sweep.stopping import rule_named, rule_names
from agropest.tuning.stopping.rules import decision_of, looks_at_all

RULES = ("none", "asha", "hyperband", "median", "race")


def test_the_rules_are_found_by_their_files() -> None:
    assert rule_names() == RULES
    with pytest.raises(ModuleNotFoundError):
        rule_named("halving")


@pytest.mark.parametrize("name", RULES)
def test_each_rule_has_one_decision(name: str) -> None:
    decision = decision_of(name)
    if name == "none":
        assert decision is None
        assert rule_named(name).assumption(StopRule(name)) == ""
        return
    assert hasattr(decision, "decide") != hasattr(decision, "tune_scheduler")
    assert looks_at_all(name) == (name in ("race", "hyperband"))
    assert name in rule_named(name).assumption(StopRule(name))


def test_what_is_stored_with_a_stop_keeps_its_words() -> None:
    # Stops of earlier versions are recognised by exactly this text.
    expected = (
        "method race, grace_period_iters 0, reduction_factor 2.0, level 0.05, allowance 0.3, equal_allowance 0.02, "
        "indifference 0.0, keep_baseline True"
    )
    assert StopRule("race").identity == expected
    assert StopRule("race", seed_noise=0.5).identity == expected.replace("keep", "seed_noise 0.5, keep")
    assert StopRule("asha", 25, 4.0).reduction_factor == 4.0
