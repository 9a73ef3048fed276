"""Who continues from whom: the rules of population-based training, worked by hand where they can be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agropest.errors import SweepFileError
from agropest.sweep.detectron2_keys import default_config
from agropest.sweep.history import Segment
from agropest.sweep.plan import expand_trials
from agropest.sweep.sections.distributions import Distribution
from agropest.sweep.sections.population import Member, first_generation, next_generation, perturbed, quantiles
from agropest.sweep.sections.search import MUTABLE_KEYS, SearchRule
from agropest.sweep.spec import SweepSpec, Variant, load_sweep
from agropest.sweep.trial import TrialSpec

RATE = "SOLVER.BASE_LR"
SPACE = {RATE: Distribution("loguniform", (1e-4, 1.0)), "MODEL.RPN.LOSS_WEIGHT": Distribution("uniform", (0.0, 9.0))}
RULE = SearchRule("pbt", SPACE, population=8, interval_iters=100, quantile_fraction=0.25, resample_probability=0.0)
PBT = """
search:
  method: pbt
  population: 4
  interval_iters: 100
  space: {SOLVER.BASE_LR: {loguniform: [1e-4, 1.0]}}
config: {SOLVER.MAX_ITER: 300, SOLVER.WARMUP_ITERS: 10, SOLVER.STEPS: [200], TEST.EVAL_PERIOD: 50}
"""


def member(label: str, rate: float = 0.1) -> Member:
    return Member(label, {RATE: rate})


def load(tmp_path: Path, text: str = PBT, *settings: str) -> SweepSpec:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    return load_sweep(path, settings)


@pytest.mark.parametrize(
    ("number", "fraction", "size"), [(8, 0.25, 2), (8, 0.3, 3), (5, 0.25, 2), (3, 0.5, 1), (2, 0.25, 1), (8, 0.0, 0)]
)
def test_the_quantiles_are_as_large_as_tunes(number: int, fraction: float, size: int) -> None:
    members = [member(str(n)) for n in range(number)]
    worst, best = quantiles(members, {str(n): float(n) for n in range(number)}, fraction)
    assert [one.label for one in worst] == [str(n) for n in range(size)]
    assert [one.label for one in best] == [str(n) for n in range(number - max(1, size), number)]


def test_of_equals_the_earlier_is_better_and_who_failed_is_among_the_worst() -> None:
    members = [member(label) for label in "abcd"]
    worst, best = quantiles(members, dict.fromkeys("abcd", 5.0), 0.25)
    assert ([one.label for one in worst], [one.label for one in best]) == (["d"], ["a"])
    worst, best = quantiles(members, {"a": None, "b": 1.0, "c": None, "d": 2.0}, 0.25)
    assert ([one.label for one in worst], [one.label for one in best]) == (["a", "c"], ["d"])


def test_a_number_is_perturbed_by_a_fifth_and_stays_within_its_ends() -> None:
    rng = np.random.default_rng(0)
    law = Distribution("uniform", (0.0, 1.0))
    assert {perturbed(law, 0.5, 0.0, rng) for _ in range(30)} == {0.4, 0.6}
    assert {perturbed(law, 0.9, 0.0, rng) for _ in range(30)} == {0.72, 1.0}
    assert {perturbed(Distribution("qrandint", (2, 40, 2)), 20, 0.0, rng) for _ in range(30)} == {16, 24}
    assert len({perturbed(law, 0.5, 1.0, rng) for _ in range(30)}) > 20  # drawn anew
    share = np.mean([perturbed(law, 0.5, 0.25, rng) not in (0.4, 0.6) for _ in range(2000)])
    assert 0.22 < share < 0.28


def test_a_choice_moves_to_a_neighbour() -> None:
    rng, law = np.random.default_rng(0), Distribution("choice", ([1], [2], [3], [4]))
    assert sorted({str(perturbed(law, [2], 0.0, rng)) for _ in range(30)}) == ["[1]", "[3]"]
    assert sorted({str(perturbed(law, [4], 0.0, rng)) for _ in range(30)}) == ["[3]", "[4]"]


def test_the_worst_go_on_from_the_best_and_the_others_from_themselves() -> None:
    first = first_generation(RULE)
    assert [one.label for one in first] == [f"pbt-{n:03d}" for n in range(8)]
    assert len({str(one.settings) for one in first}) == 8
    values = {one.label: float(n) for n, one in enumerate(first)}
    second = next_generation(RULE, 1, first, values, 100)
    assert second == next_generation(RULE, 1, first, values, 100)
    for before, after in zip(first[2:], second[2:], strict=True):
        assert after == Member(before.label, before.settings, (Segment(100, before.settings),), before.label)
    for after in second[:2]:
        donor = {one.label: one for one in first[6:]}[after.parent]
        assert after.history == (Segment(100, donor.settings),)
        for key, value in after.settings.items():
            ratio = value / donor.settings[key]
            assert any(ratio == pytest.approx(factor, rel=1e-3) for factor in (0.8, 1.2)) or value in (1.0, 9.0)
    other = next_generation(replace(RULE, seed=1), 1, first, values, 100)
    assert [one.settings for one in other[:2]] != [one.settings for one in second[:2]]


def test_no_two_members_of_a_generation_are_the_same_trial() -> None:
    rule = replace(RULE, space={RATE: Distribution("choice", (0.1, 0.2))}, population=4, quantile_fraction=0.5)
    members = first_generation(rule)
    assert [one.settings[RATE] for one in members] in ([0.1, 0.2], [0.2, 0.1])  # the space has no more
    rule = replace(rule, space={RATE: Distribution("uniform", (0.0, 1.0))})
    for seed in range(20):
        members = first_generation(replace(rule, seed=seed))
        for number in range(1, 6):
            values = {one.label: float((n * 7 + number) % 4) for n, one in enumerate(members)}
            members = next_generation(replace(rule, seed=seed), number, members, values, number)
            assert len({str((one.history, one.settings)) for one in members}) == len(members) == 4


def test_who_failed_is_replaced_and_nothing_follows_where_all_have() -> None:
    members = [Member(label, {RATE: 0.1, "MODEL.RPN.LOSS_WEIGHT": 1.0}) for label in "abcd"]
    after = next_generation(RULE, 1, members, {"a": None, "b": None, "c": None, "d": 1.0}, 100)
    assert [(one.label, one.parent) for one in after] == [(label, "d") for label in "abcd"]
    assert next_generation(RULE, 1, members, dict.fromkeys("abcd"), 100) == []


def trial_of(tmp_path: Path, segments: tuple[Segment, ...], end: int, rate: float) -> TrialSpec:
    spec = replace(
        load(tmp_path), variants=(Variant("v", {RATE: rate}, history=segments, segment_end=end),), baseline="v"
    )
    return expand_trials(spec, "data-1", ["Ants"])[0]


def test_what_a_trial_went_through_is_part_of_its_value(tmp_path: Path) -> None:
    plain = trial_of(tmp_path, (), 0, 0.1)
    assert (plain.max_iter, plain.start_iter, plain.ancestor, plain.ends_schedule) == (300, 0, None, True)
    first, other = trial_of(tmp_path, (), 100, 0.1), trial_of(tmp_path, (), 100, 0.2)
    second = trial_of(tmp_path, (Segment(100, {RATE: 0.1}),), 200, 0.2)
    last = trial_of(tmp_path, (Segment(100, {RATE: 0.1}), Segment(200, {RATE: 0.2})), 300, 0.2)
    assert len({one.signature for one in (plain, first, other, second, last)}) == 5
    assert last.ancestor is not None
    assert (last.ancestor.signature, last.ancestor.max_iter) == (second.signature, 200)
    assert last.ancestor.ancestor is not None
    assert last.ancestor.ancestor.signature == first.signature
    assert [n for n in range(301) if second.is_evaluation(n)] == [150, 200]
    assert (second.ends_schedule, last.ends_schedule) == (False, True)


def test_how_a_rule_reads_is_what_it_was_before_there_were_populations() -> None:
    told = str(SearchRule("optuna", {}, 5, at_once=2))  # rounds of Optuna in older stores are known by it
    assert told == "SearchRule(method='optuna', space={}, num_variants=5, seed=0, at_once=2)"


def test_keys_that_may_change_are_keys() -> None:
    assert set(MUTABLE_KEYS) <= set(default_config())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("SOLVER.BASE_LR: {", "SOLVER.GAMMA: {", "SOLVER.GAMMA: expected a key that may change while a trial trains"),
        (
            "SOLVER.BASE_LR: {log",
            "SOLVER.MAX_ITER: {lograndint: [1, 9]}, SEED: {log",
            "MAX_ITER: expected a key that may",
        ),
        ("population: 4", "num_variants: 4", "search.num_variants: expected none with pbt"),
        ("population: 4", "population: 1", "search.population: expected a whole number from 2"),
        ("  interval_iters: 100\n", "", "search.interval_iters: expected the iterations of a generation"),
        ("config:", "stop: race\nconfig:", "stop: expected none with search.method pbt"),
        ("config:", "variants: {pbt-000: {}}\nconfig:", "variants: expected another name than a member's"),
    ],
)
def test_what_a_population_cannot_be_is_one_fault(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert PBT.count(old) == 1
    with pytest.raises(SweepFileError) as error:
        load(tmp_path, PBT.replace(old, new))
    assert said in str(error.value)


def test_a_key_that_the_command_line_holds_cannot_be_searched(tmp_path: Path) -> None:
    with pytest.raises(SweepFileError, match=r"search\.space: expected no key that --set holds"):
        load(tmp_path, PBT, "SOLVER.BASE_LR=0.1")


def test_patience_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SweepFileError, match=r"TEST\.PATIENCE: expected 0 with search\.method pbt, got 2"):
        expand_trials(load(tmp_path, PBT, "TEST.PATIENCE=2"), "f", ("ant",))
