"""What an answer costs before anything is trained: how many seeds and hours a difference of some size needs.

The standard error of a difference of two variants with S seeds each is sqrt(images^2 + 2 seed^2 / S); it is called with
80 % probability where it is 2.8 of these (1.96 + 0.84). What a seed does is what the race takes it to do: the sweep's
``seed_noise`` (0.9 points unless the file says otherwise), updated by stored trainings of the same data and baseline,
which count by their degrees of freedom. What the images do is a prior, too: with 546 images the paired interval of two
detectors is 1.8 to 3.3 points to either side, and the error falls with the square root of their number. That is of one
data set: on the demo's 150 drawn pictures it is half of that, so the sentence says that it may be wrong by two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np

from agropest.statistics.accuracy.metric import metric_value
from agropest.statistics.race.training_noise import SeenVariance, assumed_seed_noise
from agropest.store.chosen import chosen_evaluation
from agropest.store.records import TrialState
from agropest.store.seeds.borrowed_seeds import borrowed_trials
from agropest.store.store import Store
from agropest.sweep.stopping.race import SEED_NOISE
from agropest.sweep.trial import TrialSpec

IMAGE_ERROR, AT_IMAGES = 1.3, 546  # standard error of a paired difference, in the middle of 1.8 to 3.3 over 1.96
CALLED = 1.96 + 0.84
SIZES = (1.0, 2.0, 4.0, 8.0)  # points of the metric that are asked about
MOST_SEEDS = 30


@dataclass(frozen=True)
class SeedSpread:
    """What another seed does to one training.

    Attributes:
        sd: standard deviation, points of the metric.
        source: where that is from, in words.
    """

    sd: float
    source: str


def seed_spread(
    trials: Sequence[TrialSpec], store: Store, baseline: str, metric: str, assumed_sd: float = SEED_NOISE
) -> SeedSpread:
    """Returns what is assumed, updated by the spread within variants: of this sweep, else of others in the store.

    Args:
        baseline: of the sweep; others count that have the same one, on the same data.
        assumed_sd: standard deviation that another seed is taken to make where nothing says so.
    """
    assumed = assumed_seed_noise(assumed_sd)
    own: dict[str, list[TrialSpec]] = {}
    for trial in trials:
        own.setdefault(trial.label, []).append(trial)
    for groups, source in (
        (own, "this sweep's finished trials"),
        (borrowed_trials(trials, store, baseline), "finished trials of the same data and baseline in this store"),
    ):
        values = [one for group in groups.values() if len(one := _values(group, store, metric)) > 1]
        freedom = sum(len(one) - 1 for one in values)
        if freedom:
            squares = sum(float(np.var(one)) * len(one) for one in values)
            noise = assumed.updated(SeenVariance(squares / freedom, freedom, 0.0))
            source = f"{assumed_sd:g} assumed, updated by {source} with {sqrt(squares / freedom):.2f}"
            return SeedSpread(noise.sd, f"{source}, {freedom} degrees of freedom")
    return SeedSpread(assumed_sd, "assumed: no stored training of this data and baseline has two seeds")


def seeds_for(size: float, spread: SeedSpread, num_images: int) -> int | None:
    """Returns how many seeds of each variant show a difference of some size; None: so few images do not show it."""
    of_images = IMAGE_ERROR**2 * AT_IMAGES / max(num_images, 1)
    left = (size / CALLED) ** 2 - of_images
    return max(1, ceil(2 * spread.sd**2 / left - 1e-9)) if left > 0 else None


def in_words(spread: SeedSpread, num_images: int, seconds: Mapping[str, float], num_slots: float) -> list[str]:
    """Returns what an answer costs, in lines.

    Args:
        num_images: of validation.
        seconds: of one training of each variant; empty where they are not known.
        num_slots: trainings at a time.
    """
    lines = [f"seeds: another training of a variant differs by about {spread.sd:.2f} (sd; {spread.source})"]
    least = CALLED * IMAGE_ERROR * sqrt(AT_IMAGES / max(num_images, 1))
    costs = [f"below about {least:.1f} points: hardly with {num_images} validation images"]
    for size in SIZES:
        seeds = seeds_for(size, spread, num_images)
        if seeds is None:
            continue
        if seeds > MOST_SEEDS:
            costs.append(f"{size:g} points: more than {MOST_SEEDS} seeds each")
        else:
            hours = sum(seconds.values()) * max(seeds, 2) / max(num_slots, 1.0) / 3600
            cost = f", {hours:.1f} h in all" if seconds else ""
            costs.append(f"{size:g} points: about {max(seeds, 2)} seeds each{cost}")
    rule = "a difference that is called in 4 of 5 sweeps costs, by a rule of thumb that may be wrong by a factor of two"
    lines.append(f"{rule}: {'; '.join(costs)}")
    return lines


def _values(group: Sequence[TrialSpec], store: Store, metric: str) -> list[float]:
    found = []
    for trial in group:
        folder = store.folder(trial)
        if folder.status().status == TrialState.FINISHED and (record := chosen_evaluation(folder, metric)):
            value = metric_value(record.metrics, metric)
            found += [] if value is None else [value]
    return found
