"""How many trials run side by side, and with what: pure decisions from what probes have measured.

On cards (``gpus: auto``): as many trials on a card as raise its total throughput, each with a share of the card that
holds what it needs. Ray fills the first card before it looks at the second, so shares are made large enough
that the trials that are waiting fill all cards alike: with 3 trials, 2 cards and room for 4 on each, a share is 1/2,
not 1/4.

On cores (``cpus: auto``): the layout (trials at a time, threads and loader workers of each) with the highest measured
total throughput.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agropest.machine import Card

# A probe sees some batches, the training all of them; the allocator fragments over hours.
MEMORY_MARGIN = 1.15
# One more trial on a card must raise its total throughput by this much: less is within the noise of a short probe.
WORTHWHILE_GAIN = 1.05
MAX_PER_CARD = 16
# Ray counts shares in ten-thousandths.
SHARE_DIGITS = 4


@dataclass(frozen=True)
class CpuLayout:
    """How a machine's cores are divided: so many trials at a time, each with threads and loader workers."""

    trials: int
    threads: int
    loader_workers: int

    @property
    def cpus(self) -> int:
        """Cores of one trial."""
        return self.threads + self.loader_workers


@dataclass(frozen=True)
class CardPacking:
    """What each kind of trial gets on the cards.

    Attributes:
        per_card: trials on one card at a time, at most.
        shares: kind of trial to its share of a card, (0, 1]; also its part of the card's memory.
        cpus: cores of one trial.
        loader_workers: of one trial.
    """

    per_card: int
    shares: Mapping[str, float]
    cpus: float
    loader_workers: int


def cpu_layouts(num_cores: int) -> list[CpuLayout]:
    """Returns the layouts worth measuring: 1, 2, 4, ... trials that share all cores, without and with a loader worker.

    Loader workers take their core from the threads; a trial of one core has none to give.
    """
    counts = [1 << power for power in range(num_cores.bit_length()) if 1 << power < num_cores]
    layouts = []
    for trials in (*counts, num_cores):
        cores = num_cores // trials
        layouts.append(CpuLayout(trials, cores, 0))
        if cores > 1:
            layouts.append(CpuLayout(trials, cores - 1, 1))
    return layouts


def useful_layouts(layouts: Sequence[CpuLayout], num_trials: int) -> list[CpuLayout]:
    """Returns the layouts that so many trials can fill; of those with more slots only the smallest, if none is left.

    Sixteen slots of one core leave twelve cores idle where four trials wait.
    """
    filled = [layout for layout in layouts if layout.trials <= num_trials]
    smallest = min((layout.trials for layout in layouts), default=0)
    return filled or [layout for layout in layouts if layout.trials == smallest]


def best_layout(images_per_s: Mapping[CpuLayout, float]) -> CpuLayout:
    """Returns the layout with the highest total throughput; of equals the one with fewer trials at a time.

    Raises:
        ValueError: nothing was measured.
    """
    if not images_per_s:
        raise ValueError("no layout was measured")
    return max(images_per_s, key=lambda layout: (images_per_s[layout], -layout.trials))


def cores_for_card(num_cores: int, num_cards: int) -> int:
    """Returns the cores that the trials of one card have between them: every card gets as many."""
    return max(1, num_cores // max(1, num_cards))


def next_count(
    images_per_s: Mapping[int, float], memory_bytes: int, card: Card, num_cores: int, cpus: float = 1.0
) -> int | None:
    """Returns how many trials to measure side by side next on a card, or None when the answer is known.

    Args:
        images_per_s: number of trials side by side to their total throughput, as measured so far.
        memory_bytes: of one of them.
        card: that they share.
        num_cores: for the trials of this card (:func:`cores_for_card`).
        cpus: cores that each of them takes at least.
    """
    tried = max(images_per_s, default=0)
    highest = min(MAX_PER_CARD, int(num_cores // cpus), fitting(memory_bytes, card))
    if tried >= max(highest, 1):
        return None
    before = max((n for n in images_per_s if n < tried), default=0)
    if before and images_per_s[tried] < images_per_s[before] * WORTHWHILE_GAIN:
        return None
    return min(tried + max(1, tried // 2), max(highest, 1))


def fitting(memory_bytes: int, card: Card) -> int:
    """Returns how many trials of that memory fit on a card, margin included."""
    return int(card.memory_bytes // max(1.0, memory_bytes * MEMORY_MARGIN))


def best_count(images_per_s: Mapping[int, float]) -> int:
    """Returns the number of trials on a card that each still raised the total throughput worthwhile.

    Raises:
        ValueError: nothing was measured.
    """
    counts = sorted(images_per_s)
    if not counts:
        raise ValueError("nothing was measured")
    best = counts[0]
    for count in counts[1:]:
        if images_per_s[count] >= images_per_s[best] * WORTHWHILE_GAIN:
            best = count
    return best


def pack_cards(
    memory_bytes: Mapping[str, int],
    images_per_s: Mapping[int, float],
    cards: Sequence[Card],
    num_trials: int,
    num_cores: int,
    load_s: float,
    step_s: float,
    cpus: float = 1.0,
) -> CardPacking:
    """Returns what each kind of trial gets.

    Args:
        memory_bytes: kind of trial to what it needs on a card.
        images_per_s: number of trials side by side on one card to their total throughput.
        cards: alike, or the smallest counts.
        num_trials: that wait to be run.
        num_cores: of the machine that holds the cards.
        load_s: seconds one process takes to prepare a batch.
        step_s: seconds of one iteration of a trial that is alone on the card.
        cpus: cores that each trial takes at least.

    Raises:
        ValueError: there is no card.
    """
    if not cards:
        raise ValueError("no card")
    card = min(cards, key=lambda card: card.memory_bytes)
    # Where the cores ran out first, Ray would fill the first cards and leave the last ones empty.
    fed = max(1, int(cores_for_card(num_cores, len(cards)) // cpus))
    per_card = min(best_count(images_per_s), math.ceil(max(num_trials, 1) / len(cards)), fed)
    shares = {}
    for kind, needed in memory_bytes.items():
        share = max(1 / per_card, needed * MEMORY_MARGIN / card.memory_bytes)
        shares[kind] = min(1.0, _rounded(share, per_card))
    cores = max(1, num_cores // (per_card * len(cards)))
    # While per_card trials share a card, an iteration of each takes about this long.
    shared_step_s = step_s * per_card * images_per_s[1] / images_per_s[per_card] if per_card in images_per_s else step_s
    return CardPacking(per_card, shares, cores, loader_workers(load_s, shared_step_s, cores))


def loader_workers(load_s: float, step_s: float, cores: int) -> int:
    """Returns how many loader workers a trial on a card gets: as many as keep up with it and have a core, at least one.

    Without one the card would wait for every batch; with a single core the worker prepares the next batch while the
    trial's process waits for the card.

    Args:
        load_s: seconds one process takes to prepare a batch.
        step_s: seconds of one iteration.
        cores: of the trial.
    """
    return max(1, min(math.ceil(load_s / max(step_s, 1e-6)), cores - 1))


def _rounded(share: float, per_card: int) -> float:
    """Rounds up in Ray's steps, unless ``per_card`` such shares would then no longer fit on a card."""
    steps = 10.0**SHARE_DIGITS
    up = math.ceil(share * steps) / steps
    return up if up * per_card <= 1 or share > 1 / per_card else math.floor(share * steps) / steps


def placed(shares: Sequence[float], num_cards: int) -> list[int | None]:
    """Returns the card each share lands on when Ray places them in order: the first with room; None: it waits."""
    free = [10**SHARE_DIGITS] * num_cards
    found: list[int | None] = []
    for share in shares:
        wanted = round(share * 10**SHARE_DIGITS)
        card = next((index for index, room in enumerate(free) if room >= wanted), None)
        if card is not None:
            free[card] -= wanted
        found.append(card)
    return found
