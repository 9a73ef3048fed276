"""Which images a batch holds: random access against a walk, nothing lost, nothing mixed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agropest.modeling.config import SAMPLERS
from agropest.training.input.batch_plan import BatchPlan
from agropest.training.input.samplers import EpochSampler, make_sampler


def walked(sampler: EpochSampler, batch_size: int, groups: list[int], num_batches: int) -> list[list[int]]:
    """Deals epoch after epoch to one open batch per group: the definition, without any arithmetic."""
    batches: list[list[int]] = []
    waiting: dict[int, list[int]] = {}
    epoch = 0
    while len(batches) < num_batches:
        for index in sampler.order(epoch).tolist():
            hand = waiting.setdefault(groups[index], [])
            hand.append(index)
            if len(hand) == batch_size:
                batches.append(hand.copy())
                hand.clear()
        epoch += 1
    return batches[:num_batches]


@st.composite
def situations(draw: st.DrawFn) -> tuple[EpochSampler, int, list[int]]:
    num_images = draw(st.integers(1, 25))
    generator = np.random.default_rng(draw(st.integers(0, 1000)))
    images = [generator.integers(0, 4, generator.integers(0, 3)).tolist() for _ in range(num_images)]
    sampler = make_sampler(draw(st.sampled_from(SAMPLERS)), images, 4, draw(st.sampled_from([0.0, 0.4, 1.0])), seed=5)
    groups = generator.integers(0, draw(st.sampled_from([1, 2])), num_images).tolist()
    return sampler, draw(st.integers(1, 8)), groups


@settings(max_examples=80)
@given(situations(), st.lists(st.integers(0, 60), min_size=1, max_size=6))
def test_any_batch_is_the_one_a_walk_comes_to(situation: tuple[EpochSampler, int, list[int]], asked: list[int]) -> None:
    sampler, batch_size, groups = situation
    expected = walked(sampler, batch_size, groups, 61)
    plan = BatchPlan(sampler, batch_size, groups)
    assert [plan.batch(n) for n in asked] == [expected[n] for n in asked]  # in any order
    fresh = [BatchPlan(sampler, batch_size, groups).batch(n) for n in asked]  # without what came before
    assert fresh == [expected[n] for n in asked]


@pytest.mark.parametrize("name", ["TrainingSampler", "RepeatFactorTrainingSampler"])
def test_nothing_is_lost_or_doubled_and_no_batch_is_mixed(name: str) -> None:
    images = [[c % 3] for c in range(35)]
    groups = [int(i % 5 == 0) for i in range(35)]
    sampler = make_sampler(name, images, 3, 0.6, seed=1)
    plan = BatchPlan(sampler, 4, groups)
    batches = [plan.batch(n) for n in range(100)]
    assert all(len({groups[i] for i in batch}) == 1 for batch in batches)
    shown = Counter(i for batch in batches for i in batch)
    num_epochs = 0
    due: Counter[int] = Counter()
    while due.total() < shown.total():
        due += Counter(sampler.order(num_epochs).tolist())
        num_epochs += 1
    before = due - Counter(sampler.order(num_epochs - 1).tolist())
    # Of the epochs that are over all but the open batches (three images a group at most) came; of none more than all.
    assert (before - shown).total() <= 6
    assert not shown - due


def test_a_natural_epoch_shows_every_image_once() -> None:
    plan = BatchPlan(make_sampler("TrainingSampler", [[0]] * 12, 1, 0.0, seed=1), 4, [0] * 12)
    first, second = [[i for n in range(3 * e, 3 * e + 3) for i in plan.batch(n)] for e in range(2)]
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second


def test_a_far_batch_is_found_without_a_walk() -> None:
    images = [[i % 12] for i in range(11_502)]
    groups = [int(i % 7 == 0) for i in range(11_502)]
    sampler, drawn = make_sampler("TrainingSampler", images, 12, 0.0, seed=1), 0

    def counted(generator: np.random.Generator) -> np.ndarray:
        nonlocal drawn
        drawn += 1
        return sampler.draw_times(generator)

    BatchPlan(replace(sampler, draw_times=counted), 4, groups).batch(10_000_000)
    # Epoch 3477 itself, the one before for each group's open batch, and how long an epoch is; a walk draws them all.
    assert 2 <= drawn <= 4
