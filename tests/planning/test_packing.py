"""The packing against a simulated card: what it decides, and where Ray then puts the trials."""

from __future__ import annotations

import itertools

import pytest

from agropest.machine import Card, Machine, parse_cards
from agropest.planning.packing import (
    MAX_PER_CARD,
    MEMORY_MARGIN,
    CpuLayout,
    best_count,
    best_layout,
    cores_for_card,
    cpu_layouts,
    next_count,
    pack_cards,
    placed,
    useful_layouts,
)

GIB = 1 << 30
CARD = Card("simulated 24 GiB", 24 * GIB)


def simulated_rate(count: int, alone: float = 20.0, busy: float = 0.3) -> float:
    """Images per second of ``count`` trials: each keeps the card busy for a share of its time, and costs 1 % more."""
    return alone * min(count, 1 / busy) * 0.99 ** (count - 1)


def measure_all(memory: int, card: Card, num_cores: int, busy: float = 0.3) -> dict[int, float]:
    rates = {1: simulated_rate(1, busy=busy)}
    while count := next_count(rates, memory, card, num_cores):
        assert count not in rates
        rates[count] = simulated_rate(count, busy=busy)
    return rates


@pytest.mark.parametrize(
    ("busy", "memory_gib", "num_cores", "expected"),
    [
        (0.3, 2.7, 32, 4),  # the study's trial: the card is busy with 3.3 of them
        (1.0, 2.7, 32, 1),  # one trial fills the card
        (0.05, 2.7, 32, 7),  # memory is what is short: 24 / (2.7 * 1.15) = 7.7
        (0.05, 13, 32, 1),  # two do not fit
        (0.05, 0.1, 2, 2),  # cores are what is short
        (0.01, 0.1, 64, MAX_PER_CARD),
    ],
)
def test_as_many_on_a_card_as_raise_its_throughput(
    busy: float, memory_gib: float, num_cores: int, expected: int
) -> None:
    memory = int(memory_gib * GIB)
    rates = measure_all(memory, CARD, num_cores, busy)
    assert best_count(rates) == expected
    assert max(rates) <= max(1, min(num_cores, CARD.memory_bytes / (memory * MEMORY_MARGIN)))


@pytest.mark.parametrize(
    ("num_cards", "num_trials", "first_wave"),
    [(1, 8, [4]), (2, 8, [4, 4]), (2, 4, [2, 2]), (2, 3, [2, 1]), (4, 3, [1, 1, 1, 0]), (3, 7, [3, 3, 1])],
)
def test_shares_fill_all_cards_though_ray_fills_the_first_one_first(
    num_cards: int, num_trials: int, first_wave: list[int]
) -> None:
    rates = measure_all(int(2.7 * GIB), CARD, 64)
    packed = pack_cards({"a": int(2.7 * GIB)}, rates, [CARD] * num_cards, num_trials, 64, 0.1, 0.2)
    cards = placed([packed.shares["a"]] * num_trials, num_cards)
    assert [cards.count(index) for index in range(num_cards)] == first_wave
    assert cards.count(None) == num_trials - sum(first_wave)


@pytest.mark.parametrize(
    ("num_cores", "num_cards", "cpus", "first_wave"),
    [(8, 2, 1.0, [4, 4]), (16, 8, 1.0, [2] * 8), (16, 2, 4.0, [2, 2]), (4, 8, 1.0, [1] * 8)],
)
def test_where_cores_run_out_first_every_card_still_gets_trials(
    num_cores: int, num_cards: int, cpus: float, first_wave: list[int]
) -> None:
    rates = {n: 10.0 * n for n in range(1, 9)}  # measured when there were more cores
    for_card = cores_for_card(num_cores, num_cards)
    assert next_count({1: 10.0}, GIB, CARD, for_card, cpus) == (2 if first_wave[0] > 1 else None)
    packed = pack_cards({"a": GIB}, rates, [CARD] * num_cards, 64, num_cores, 0.1, 0.2, cpus)
    cards = placed([packed.shares["a"]] * 64, num_cards)
    assert [cards.count(index) for index in range(num_cards)] == first_wave


def test_every_kind_gets_a_share_that_holds_it_and_no_card_is_overfull() -> None:
    needs = {"small": 1 * GIB, "middle": 5 * GIB, "large": 11 * GIB, "whole": 23 * GIB}
    packed = pack_cards(needs, {1: 10.0, 2: 20.0, 3: 30.0, 4: 38.0}, [CARD, CARD], 30, 16, 0.1, 0.2)
    for kind, memory in needs.items():
        assert min(memory * MEMORY_MARGIN, CARD.memory_bytes) <= packed.shares[kind] * CARD.memory_bytes + 1
    assert packed.shares["small"] == packed.shares["middle"] == 0.25
    assert packed.shares["whole"] == 1.0
    for order in itertools.permutations(needs):
        memory = [0.0, 0.0]
        for kind, card in zip(order, placed([packed.shares[kind] for kind in order], 2), strict=True):
            if card is not None:
                memory[card] += needs[kind]
        assert max(memory) <= CARD.memory_bytes


def test_thirds_of_a_card_are_three() -> None:
    packed = pack_cards({"a": GIB}, {1: 10.0, 2: 20.0, 3: 30.0}, [CARD], 9, 6, 0.0, 0.1)
    assert placed([packed.shares["a"]] * 4, 1) == [0, 0, 0, None]
    assert packed.per_card == 3


def test_the_smallest_card_counts() -> None:
    packed = pack_cards({"a": 6 * GIB}, {1: 10.0, 2: 20.0}, [CARD, Card("small", 8 * GIB)], 4, 8, 0.0, 0.1)
    assert packed.shares["a"] == pytest.approx(6 * MEMORY_MARGIN / 8, abs=1e-3)


@pytest.mark.parametrize(
    ("load_s", "num_cores", "expected"),
    [
        (0.05, 16, 1),
        (0.5, 16, 3),
        (0.5, 8, 1),
        (0.5, 2, 1),
        (0.5, 4, 1),
    ],  # 4 trials of 0.2 s alone: 0.2 s side by side, too
)
def test_loader_workers_keep_up_with_the_card_as_far_as_there_are_cores(
    load_s: float, num_cores: int, expected: int
) -> None:
    rates = {1: 20.0, 2: 40.0, 3: 60.0, 4: 80.0}
    packed = pack_cards({"a": GIB}, rates, [CARD], 4, num_cores, load_s, 0.2)
    assert packed.loader_workers == expected
    assert packed.cpus * packed.per_card <= max(num_cores, packed.per_card)


def test_layouts_use_the_cores_and_no_more() -> None:
    assert cpu_layouts(1) == [CpuLayout(1, 1, 0)]
    assert cpu_layouts(2) == [CpuLayout(1, 2, 0), CpuLayout(1, 1, 1), CpuLayout(2, 1, 0)]
    for num_cores in range(1, 40):
        layouts = cpu_layouts(num_cores)
        assert len(set(layouts)) == len(layouts)
        assert all(layout.trials * layout.cpus <= num_cores for layout in layouts)
        assert CpuLayout(1, num_cores, 0) in layouts
        assert CpuLayout(num_cores, 1, 0) in layouts


def test_no_layout_has_more_slots_than_trials_that_wait() -> None:
    layouts = cpu_layouts(16)
    assert {layout.trials for layout in useful_layouts(layouts, 4)} == {1, 2, 4}
    assert {layout.trials for layout in useful_layouts(layouts, 100)} == {1, 2, 4, 8, 16}
    assert [layout.trials for layout in useful_layouts(layouts[4:], 2)] == [4, 4]


def test_the_layout_with_the_highest_total_wins() -> None:
    one, loader, two = cpu_layouts(2)
    assert best_layout({one: 10.0, loader: 11.0, two: 17.0}) == two
    assert best_layout({one: 10.0, two: 10.0}) == one
    with pytest.raises(ValueError, match="no layout"):
        best_layout({})


def test_nvidia_smi_is_read() -> None:
    answer = "0, GPU-aa11, NVIDIA GeForce RTX 4090, 24564\n1, GPU-bb22, NVIDIA H100 80GB HBM3, 81559\n[N/A]\n"
    cards = parse_cards(answer)
    assert [card.name for card in cards] == ["NVIDIA GeForce RTX 4090", "NVIDIA H100 80GB HBM3"]
    assert cards[0].memory_bytes == 24564 << 20
    machine = Machine("EPYC", 2, cards)
    assert machine.device_name(on_gpu=True) == "NVIDIA GeForce RTX 4090"
    assert machine.device_name(on_gpu=False) == "EPYC, 2 cores"
    rtx, h100 = cards
    for visible, seen in [
        ("1", (h100,)),
        ("1,0", (h100, rtx)),
        ("GPU-bb", (h100,)),
        ("0,7,1", (rtx,)),  # as CUDA: nothing behind one that is not there
        ("7", ()),
    ]:
        assert parse_cards(answer, visible) == seen
