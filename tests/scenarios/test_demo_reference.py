"""The demo's verdicts against ten seeds of its variants, kept in results/reference/."""

from __future__ import annotations

import pytest

from agropest.statistics.inference import BETTER, WORSE
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from benchmarks.demo_reference import SEEDS, SWEEP, DemoReference, read, verdicts


@pytest.fixture(scope="module")
def reference() -> DemoReference:
    return read()


def test_the_trials_of_the_demo_are_among_those_of_the_reference(reference: DemoReference) -> None:
    """By signature: whatever decides a training's numbers is the same; else the reference has to be made again."""
    spec = load_sweep(SWEEP)
    class_names = [f"class{i}" for i in range(len(reference.targets.class_names))]
    trials = expand_trials(spec, reference.fingerprint, class_names)
    assert {(t.label, t.seed): t.signature for t in trials}.items() <= reference.signatures.items()
    assert set(reference.signatures) == {(t.label, seed) for t in trials for seed in SEEDS}
    assert spec.seed_rule.seeds(spec.seed_rule.most) == SEEDS[: spec.seed_rule.most]


def test_each_verdict_of_the_demo_is_confirmed_by_ten_seeds(reference: DemoReference) -> None:
    comparison, counts = reference.demo()
    demo, whole = verdicts(comparison), verdicts(reference.ten_seeds())
    assert set(demo) == set(whole) == {"anchors", "focal_loss", "sampler"}
    assert max(counts.values()) <= 3
    called = {name: one.verdict for name, one in demo.items() if one.verdict in (BETTER, WORSE)}
    assert called  # it has something to show
    assert called.items() <= {name: one.verdict for name, one in whole.items()}.items()
    for name, one in demo.items():  # what is not called is not contradicted, either
        ten = whole[name].interval
        assert max(one.interval.low, ten.low) <= min(one.interval.high, ten.high), name


@pytest.mark.parametrize(("seeds", "expected"), [(1, 4 * 45), (2, 4 * 10)])
def test_no_two_trainings_of_one_configuration_are_called_different(
    reference: DemoReference, seeds: int, expected: int
) -> None:
    """Of one seed the images alone would tell many apart, and call them better or worse."""
    pairs, called, on_images = reference.called_pairs(seeds)
    assert (pairs, called) == (expected, 0)
    assert seeds > 1 or on_images > pairs / 4
