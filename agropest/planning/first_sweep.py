"""A first sweep for a data set: values that its pictures and boxes suggest, each with the reason.

With a GPU: Faster R-CNN R50-FPN from COCO weights, as the study trains it. Without one: the demo's small model from
random weights, which shows how a sweep works and is no detector to deploy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agropest.data.anchors.config import AnchorConfig
from agropest.data.anchors.coverage import dataset_coverage
from agropest.data.anchors.fit import AnchorGrid
from agropest.data.dataset import Dataset
from agropest.data.inspection.statistics import class_statistics, read_boxes, read_split, repeat_factors
from agropest.machine import Machine
from agropest.sweep.sections.seed_rule import SeedRule

# On a processor trainings are few, and small differences are not what such a sweep is for.
SEEDS, SEEDS_ON_CPU = SeedRule(2, 8), SeedRule(2, 4)
# Of the study: 0.001 at 4 images a batch; it grows with the batch (Goyal et al. 2017).
LR_PER_IMAGE = 0.00025
PASSES = 12  # over the training images: Detectron2's "1x" schedule of COCO
FEWEST_ITERS, MOST_ITERS = 2_000, 40_000
SMALL_MODEL_PASSES, SMALL_MODEL_MOST_ITERS = 4, 2_000
ROOMY_GIB = 16
COCO_SIDE, COCO_LONGEST = 800, 1333
ANCHOR_SIZES = ((32.0,), (64.0,), (128.0,), (256.0,), (512.0,))
RATIOS = (0.5, 1.0, 2.0)
STRIDES = (4, 8, 16, 32, 64)
STEP_PX = 32


@dataclass(frozen=True)
class Value:
    """One key with its value, and the sentence that says why."""

    key: str
    value: Any
    why: str


@dataclass(frozen=True)
class Variant:
    """One variant: what it changes, and why it is worth a training."""

    label: str
    overrides: Mapping[str, Any]
    why: str


@dataclass(frozen=True)
class FirstSweep:
    """A sweep before it is written.

    Attributes:
        base: name of the config in ``configs/``.
        plain: what a person must know of it, in sentences.
    """

    base: str
    values: Sequence[Value]
    variants: Sequence[Variant]
    seeds: SeedRule
    plain: Sequence[str]

    @property
    def max_iter(self) -> int:
        """Of each training."""
        return int(next(one.value for one in self.values if one.key == "SOLVER.MAX_ITER"))


def propose(dataset: Dataset, machine: Machine) -> FirstSweep:
    """Returns a first sweep for a data set on this machine.

    Raises:
        DataError: the data set has no training split.
    """
    return _for_gpu(dataset, machine) if machine.cards else _for_cpu(dataset)


def _for_gpu(dataset: Dataset, machine: Machine) -> FirstSweep:
    memory_gib = min(card.memory_bytes for card in machine.cards) / 2**30
    batch = 8 if memory_gib >= ROOMY_GIB else 4
    num_images, shorter = dataset.split("train").num_images, _median_shorter_side(dataset)
    by_passes = round(PASSES * num_images / batch)
    iterations = int(np.clip(_round(by_passes, 100), FEWEST_ITERS, MOST_ITERS))
    side = int(np.clip(_round(shorter * 1.25, STEP_PX), 480, COCO_SIDE))
    sides = list(range(_round(side * 0.8, STEP_PX), side + 1, STEP_PX))
    lr = LR_PER_IMAGE * batch
    passes = f"{iterations * batch / num_images:.0f} passes over {num_images} training images"
    limits = {FEWEST_ITERS: "; fewer are not enough to adapt", MOST_ITERS: "; more is a question of its own"}
    values = [
        Value("SOLVER.IMS_PER_BATCH", batch, f"the smallest card has {memory_gib:.0f} GiB; 4 images take about 3"),
        Value("SOLVER.MAX_ITER", iterations, passes + limits.get(iterations, "")),
        Value("SOLVER.STEPS", [_round(iterations * s, 10) for s in (0.6, 0.8)], "the rate falls at 60 and 80 %"),
        Value("SOLVER.WARMUP_ITERS", min(1000, iterations // 10), "a tenth of the training, 1,000 at most"),
        Value("SOLVER.BASE_LR", round(lr, 6), f"the study's 0.001 for 4 images a batch, for {batch}"),
        Value("TEST.EVAL_PERIOD", iterations // 10, "ten evaluations: enough to choose a checkpoint and to stop early"),
        Value("SOLVER.CHECKPOINT_PERIOD", iterations // 10, "with every evaluation"),
        Value("INPUT.MIN_SIZE_TEST", side, f"pictures are {shorter:.0f} px (median shorter side), enlarged a little"),
        Value("INPUT.MIN_SIZE_TRAIN", sides, "several sizes up to that one: the cheapest augmentation"),
        Value("INPUT.MAX_SIZE_TRAIN", COCO_LONGEST, "as the COCO weights were trained"),
        Value("INPUT.MAX_SIZE_TEST", COCO_LONGEST, "likewise"),
    ]
    covered = _covered(dataset, side, COCO_LONGEST, ANCHOR_SIZES)
    variants = [
        Variant("baseline", {}, "the values above"),
        Variant("lr_high", {"SOLVER.BASE_LR": round(2.5 * lr, 6)}, "2.5 x the learning rate: the first thing to know"),
        Variant(
            "anchors_fitted",
            {"MODEL.ANCHOR_GENERATOR.FITTED": 1},
            f"the stock anchors meet {covered:.0%} of the boxes at IoU 0.5; these are fitted to them",
        ),
        Variant(
            "photometric",
            {f"INPUT.PHOTOMETRIC.{name}": 0.2 for name in ("BRIGHTNESS", "CONTRAST", "SATURATION")},
            "brightness, contrast and saturation vary by a fifth: for pictures from other light",
        ),
        *_sampler(dataset),
    ]
    return FirstSweep("agropest_r50_fpn.yaml", values, variants, SEEDS, ())


def _for_cpu(dataset: Dataset) -> FirstSweep:
    batch, num_images = 4, dataset.split("train").num_images
    by_passes = _round(SMALL_MODEL_PASSES * num_images / batch, 20)
    iterations = int(np.clip(by_passes, 400, SMALL_MODEL_MOST_ITERS))
    side = int(np.clip(_round(_median_shorter_side(dataset), STEP_PX), 128, 192))
    passes = f"{iterations * batch / num_images:.1f} passes over {num_images} training images"
    values = [
        Value("SOLVER.MAX_ITER", iterations, passes),
        Value("TEST.EVAL_PERIOD", iterations // 4, "four evaluations"),
        Value("SOLVER.CHECKPOINT_PERIOD", iterations // 4, "with every evaluation"),
        Value("INPUT.MIN_SIZE_TRAIN", [side], "small pictures: a core trains about 25 of them a second"),
        Value("INPUT.MIN_SIZE_TEST", side, "likewise"),
        Value("INPUT.MAX_SIZE_TRAIN", 2 * side, "likewise"),
        Value("INPUT.MAX_SIZE_TEST", 2 * side, "likewise"),
        Value("MODEL.ANCHOR_GENERATOR.FITTED", 1, "random weights know no sizes: anchors fitted to these boxes"),
    ]
    variants = [
        Variant("baseline", {}, "the values above"),
        Variant("lr_low", {"SOLVER.BASE_LR": 0.025}, "half the learning rate: the first thing to know"),
        *_sampler(dataset),
    ]
    remarks = (
        "No GPU is here: this trains a half-width ResNet-18 from random weights on small pictures.",
        "That shows how a sweep works on this data. It is no detector to deploy, and what helps it may not help R50.",
        "On a machine with a GPU the same command proposes R50-FPN from COCO weights.",
    )
    return FirstSweep("demo.yaml", values, variants, SEEDS_ON_CPU, remarks)


def _sampler(dataset: Dataset) -> list[Variant]:
    """Returns the repeat-factor sampler where classes are so unequal that it repeats something worth the name."""
    data_statistics = class_statistics(dataset, "train")
    held = [one for one in data_statistics.image_class_sets if one]
    shares = sorted(row.image_fraction for row in data_statistics.rows if row.images)
    if len(shares) < 2 or shares[0] > 0.5 * shares[len(shares) // 2]:
        return []
    threshold = round(shares[len(shares) // 2], 3)
    epoch = repeat_factors(held, threshold, len(data_statistics.rows)).epoch_size
    rarest = min((row for row in data_statistics.rows if row.images), key=lambda row: row.image_fraction)
    why = f"{rarest.name!r} is in {rarest.image_fraction:.1%} of the images; an epoch then shows {epoch:.0f} images"
    overrides = {"DATALOADER.SAMPLER_TRAIN": "RepeatFactorTrainingSampler", "DATALOADER.REPEAT_THRESHOLD": threshold}
    return [Variant("sampler", overrides, f"{why}, not {len(held)}")]


def _covered(dataset: Dataset, side: int, longest: int, sizes: Sequence[tuple[float, ...]]) -> float:
    """Returns the share of training boxes that an anchor meets at IoU 0.5."""
    grid = AnchorGrid(tuple(sizes), (RATIOS,) * len(sizes), STRIDES)
    boxes = read_boxes(dataset, "train")
    covered = dataset_coverage(boxes, dataset.class_names, AnchorConfig(grid, (side,), longest)).total.share_50
    return covered if covered is not None else 0.0


def _median_shorter_side(dataset: Dataset) -> float:
    sides = [min(image["width"], image["height"]) for image in read_split(dataset, "train")["images"]]
    return float(np.median(sides))


def _round(value: float, step: int) -> int:
    return max(step, round(value / step) * step)
