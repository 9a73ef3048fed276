"""Rules that hold a sweep against its data: what a sampler repeats, which boxes the anchors miss, what leaks."""

from __future__ import annotations

import csv
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agropest.data.health import read_findings
from agropest.data.inspection.statistics import box_scales, class_statistics, read_split
from agropest.modeling.config import FCOS
from agropest.sweep.lint.subject import Subject
from agropest.sweep.trial import TrialSpec

BIG_SHARE = 0.05
SAMPLER_KEYS = ("DATALOADER.SAMPLER_TRAIN", "DATALOADER.REPEAT_THRESHOLD")
REPEAT_FACTOR, INSTANCE_AWARE = "RepeatFactorTrainingSampler", "InstanceAwareRepeatFactorSampler"
# Farther than this from the nearest anchor size, a box of the same shape has an IoU of at most 0.5 with it.
HALF_OCTAVE = 0.5


def sampler_no_op(subject: Subject) -> Iterator[str]:
    for trial in subject.variants:
        sampler, threshold = (trial.config[key] for key in SAMPLER_KEYS)
        rarest = rarest_not_repeated(subject, trial)
        if rarest is None:
            continue
        what = f"class is in {rarest:.1%} of the images" if sampler == REPEAT_FACTOR else f"class's f is {rarest:.1%}"
        enough = math.ceil(rarest * 1000) / 1000
        yield (
            f"{trial.label}: the repeat-factor sampler repeats nothing: its threshold is {threshold:g}, and the rarest "
            f"{what} (r = max(1, sqrt(t / f)) is 1 for every class); a threshold above {enough:.3f} repeats something"
        )


def rarest_not_repeated(subject: Subject, trial: TrialSpec) -> float | None:
    """Returns f of the rarest class where a repeat-factor sampler repeats nothing; None where it does, or is none."""
    rarest = min(_class_shares(subject, trial), default=None)
    return None if rarest is None or trial.config[SAMPLER_KEYS[1]] > rarest else rarest


def _class_shares(subject: Subject, trial: TrialSpec) -> list[float]:
    """Returns f of every class that occurs, as a repeat-factor sampler counts it; empty for other samplers."""
    sampler = trial.config[SAMPLER_KEYS[0]]
    rows = [row for row in subject.training(trial).rows if row.images]
    images = subject.num_with_boxes(trial)
    if sampler == REPEAT_FACTOR:
        return [row.images / images for row in rows]
    if sampler == INSTANCE_AWARE:
        boxes = sum(row.instances for row in rows)
        return [math.sqrt(row.images / images * row.instances / boxes) for row in rows]
    return []


def anchor_range(subject: Subject) -> Iterator[str]:
    """Boxes that are farther than half an octave from every anchor size, at the network's input."""
    for trial in _with_anchors(subject):
        sizes, scales = _anchor_sizes(trial), _box_sizes(subject, trial)
        if not scales.size:
            continue
        octaves = np.log2(scales[:, None] / sizes[None, :])
        nearest = octaves[np.arange(len(scales)), np.abs(octaves).argmin(axis=1)]
        places = {
            f"larger than the largest anchor ({sizes[-1]:g} px)": (nearest > HALF_OCTAVE) & (scales > sizes[-1]),
            f"smaller than the smallest anchor ({sizes[0]:g} px)": (nearest < -HALF_OCTAVE) & (scales < sizes[0]),
            "between two anchor sizes": (np.abs(nearest) > HALF_OCTAVE) & (scales > sizes[0]) & (scales < sizes[-1]),
        }
        for where, missed in places.items():
            if missed.mean() > BIG_SHARE:
                low, high = scales[missed].min(), scales[missed].max()
                yield (
                    f"{trial.label}: {missed.mean():.0%} of the boxes ({low:.0f} to {high:.0f} px at the network's "
                    f"input) are {where} by more than half an octave; MODEL.ANCHOR_GENERATOR.FITTED: 1 fits anchors "
                    "to the data"
                )


def oversized_anchors(subject: Subject) -> Iterator[str]:
    """Anchors that are larger than any box, by more than half an octave."""
    for trial in _with_anchors(subject):
        sizes, scales = _anchor_sizes(trial), _box_sizes(subject, trial, largest=True)
        useless = sizes[sizes > scales.max() * 2**HALF_OCTAVE] if scales.size else sizes[:0]
        if useless.size:
            named = ", ".join(f"{size:g}" for size in useless)
            yield (
                f"{trial.label}: anchors of {named} px are larger than every box (at most {scales.max():.0f} px at the "
                "network's input) by more than half an octave: they can only be negatives"
            )


def _with_anchors(subject: Subject) -> list[TrialSpec]:
    return [trial for trial in subject.variants if trial.config["MODEL.META_ARCHITECTURE"] != FCOS]


def _anchor_sizes(trial: TrialSpec) -> npt.NDArray[np.float64]:
    return np.unique([float(size) for level in trial.config["MODEL.ANCHOR_GENERATOR.SIZES"] for size in level])


def _box_sizes(subject: Subject, trial: TrialSpec, largest: bool = False) -> npt.NDArray[np.float64]:
    """Returns the square root of every box's area at the middle (or the largest) training scale, shape [boxes]."""
    sides = sorted(trial.config["INPUT.MIN_SIZE_TRAIN"])
    side = sides[-1] if largest else sides[len(sides) // 2]
    scaled = box_scales(subject.training_sets.of(trial.config), "train", [side], trial.config["INPUT.MAX_SIZE_TRAIN"])
    sizes: npt.NDArray[np.float64] = np.sqrt(scaled.prod(axis=-1))[0]
    return sizes


def guard_without_boxes(subject: Subject) -> Iterator[str]:
    """Guards on classes that validation has nothing of."""
    if not subject.spec.guards:
        return
    held = {row.name for row in class_statistics(subject.dataset, "valid").rows if row.instances}
    for guard in subject.spec.guards:
        if guard.class_name in subject.dataset.class_names and guard.class_name not in held:
            yield (
                f"the guard on {guard.class_name} can say nothing: validation has no box of it; "
                "guard another class, or put pictures of it into validation"
            )


def split_leakage(subject: Subject) -> Iterator[str]:
    """Pictures that stand in two splits: by the source in their names, and by what ``check`` found in the pixels."""
    for (ours, theirs), number in sorted(_shared_sources(subject).items()):
        why = (
            "AP is of pictures that were trained on" if ours == "train" else "test is of pictures that were selected by"
        )
        yield (
            f"{number} source pictures have copies in {ours} and in {theirs} (the stem before .rf.): {why}; "
            "python -m agropest check DATA lists them"
        )
    for split, number in sorted(_same_pictures(subject).items()):
        yield (
            f"{number} pictures of {split} are in an earlier split, too, byte for byte: AP is of pictures that were "
            f"trained on or selected by; {subject.dataset.health} names them (picture-in-two-splits)"
        )
    for (kind, ours, theirs), number in sorted(_checked_pairs(subject).items()):
        yield (
            f"{number} {kind} pairs of pictures in {ours} and {theirs}, by python -m agropest check: AP is too high; "
            f"{_pairs_file(subject)} names them"
        )


def _shared_sources(subject: Subject) -> Counter[tuple[str, str]]:
    held: dict[str, set[str]] = defaultdict(set)
    for split in subject.dataset.splits:
        for image in read_split(subject.dataset, split)["images"]:
            name = image["file_name"].rsplit("/", 1)[-1]
            if ".rf." in name:
                held[name.split(".rf.")[0]].add(split)
    order = list(subject.dataset.splits)
    shared: Counter[tuple[str, str]] = Counter()
    for splits in held.values():
        first, *rest = sorted(splits, key=order.index)
        shared.update((first, other) for other in rest)
    return shared


def _same_pictures(subject: Subject) -> Counter[str]:
    """Returns how many pictures of a split an earlier one has, too; found whenever a data set is converted."""
    try:
        findings = read_findings(subject.dataset.health)
    except (OSError, ValueError):
        return Counter()
    return Counter(finding.split for finding in findings if finding.rule == "picture-in-two-splits")


def _pairs_file(subject: Subject) -> Path:
    return subject.dataset.health.parent / "check" / "pairs.csv"


def _checked_pairs(subject: Subject) -> Counter[tuple[str, str, str]]:
    """Returns how many exact and near pairs across splits the data check has written down, where it was run."""
    try:
        with open(_pairs_file(subject), encoding="utf-8", newline="") as file:
            rows: list[dict[str, Any]] = list(csv.DictReader(file))
        return Counter(
            (row["kind"], row["split_a"], row["split_b"])
            for row in rows
            if row["split_a"] != row["split_b"] and row["kind"] != "same-source"
        )
    except (OSError, ValueError, KeyError):
        return Counter()
