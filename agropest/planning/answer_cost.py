"""What an answer costs before anything is trained: how many seeds and hours a difference of some size needs.

The standard error of a difference of two variants with S seeds each is sqrt(images^2 + 2 seed^2 / S); it is called with
80 % probability where it is 2.8 of these (1.96 + 0.84). What a seed does is taken from stored trainings of the same
data and baseline, else from a prior: seeds of a fine-tune from COCO weights differ by 0.3 to 0.6 AP, of a training from
little by more. What the images do is a prior, too: with 546 images the paired interval of two detectors is 1.8 to 3.3
points to either side, and the error falls with the square root of their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np

from agropest.statistics.accuracy.metric import metric_value
from agropest.store.chosen import chosen_evaluation
from agropest.store.records import TrialState
from agropest.store.seeds.borrowed_seeds import borrowed_trials
from agropest.store.store import Store
from agropest.sweep.trial import TrialSpec

PRIOR_SD = 0.6  # AP
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


def seed_spread(trials: Sequence[TrialSpec], store: Store, baseline: str, metric: str) -> SeedSpread:
    """Returns the spread within variants of stored trainings: of this sweep, else of others with the same baseline."""
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
            return SeedSpread(sqrt(squares / freedom), f"{source}, {freedom} degrees of freedom")
    return SeedSpread(PRIOR_SD, "assumed: no stored training of this data and baseline has two seeds")


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
    costs = [f"below about {least:.1f} points: not with {num_images} validation images"]
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
    lines.append(f"a difference that is called in 4 of 5 sweeps costs, by rule of thumb: {'; '.join(costs)}")
    return lines


def _values(group: Sequence[TrialSpec], store: Store, metric: str) -> list[float]:
    found = []
    for trial in group:
        folder = store.folder(trial)
        if folder.status().status == TrialState.FINISHED and (record := chosen_evaluation(folder, metric)):
            value = metric_value(record.metrics, metric)
            found += [] if value is None else [value]
    return found
