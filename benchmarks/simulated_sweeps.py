"""Simulated sweeps of 8 variants, down to the boxes: what the rules of early stopping are replayed on.

- One validation set for each sweep, of AgroPest-12's kind: 12 classes, 1 to 3 objects in an image. Every object has a
  difficulty that all trials share; every trial adds a taste of its own, and every evaluation noise. What is left of a
  trial's quality after that is the overlap of its box with the object, and its score. Boxes that match nothing come
  with low scores. So AP, its bootstrap and the correlation between trials come out of matched boxes.
- A variant's AP on all images there are follows its curve: (a rise) * (a loss that the learning rate's decay takes
  away). Schedules are those of the study: 25,000 iterations, an evaluation every 2,500, steps at 15,000 and 20,000, or
  a cosine.
- A training's AP is off its variant's curve by what its seed does, the same at every evaluation, and by what each
  checkpoint does; both are normal, and are added to AP and its resamples: two percent points change little in how AP
  depends on the images, and so one set of boxes serves every size of noise.
- Final AP of the variants: 42 + spread * a standard normal; the spread of a sweep is 1, 2, 4 or 8 AP.
- Three kinds of sweep. "same curve": variants as anchors, losses, samplers: the decay gains each 12 +- 1.5 % of its AP.
  "curves differ": schedule, augmentation, backbone: it gains 12 +- 5 %, and they rise at different speeds. "decay
  winner": as "curves differ", and one variant gains 25 %: it ends 2 AP ahead of all others and is about 4 AP behind
  before. In "decay winner, one curve" there is such a winner although all variants share schedule, augmentation and
  backbone: what race does not expect. In "all equal" all 8 variants are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agropest.statistics.accuracy.metric import basis_of
from agropest.statistics.bootstrap import replicate
from agropest.statistics.detections.boxes import Boxes, GroundTruth
from agropest.statistics.detections.matching import Targets, match, read_targets
from agropest.statistics.race.entrant import Sample
from agropest.sweep.learning_rate import decay_to_come

FloatArray = npt.NDArray[np.float64]

VARIANTS, END, PERIOD, STEPS = 8, 25_000, 2_500, [15_000, 20_000]
LOOKS = tuple(range(PERIOD, END + 1, PERIOD))
CLASSES = 12
SPREADS = (1.0, 2.0, 4.0, 8.0)
KINDS = ("same curve", "curves differ", "decay winner")
UNEXPECTED = "decay winner, one curve"
EQUAL = "all equal"
# Shares of the variance of a box's quality: the object's difficulty, the trial's taste, the evaluation's noise.
SHARED, TASTE, NOISE = 0.55, 0.30, 0.15
GRID = np.linspace(-2.0, 3.0, 26)


@dataclass(frozen=True)
class Scene:
    """A validation set: ground truth as boxes and as arrays, and how difficult each object is, [M]."""

    truth: GroundTruth
    targets: Targets
    image: npt.NDArray[np.int64]
    category: npt.NDArray[np.int64]
    bbox: FloatArray
    difficulty: FloatArray

    @staticmethod
    def draw(rng: np.random.Generator, num_images: int) -> Scene:
        counts = rng.choice([1, 2, 3], size=num_images, p=[0.83, 0.12, 0.05])
        image = np.repeat(np.arange(1, num_images + 1), counts)
        number = len(image)
        category = rng.integers(1, CLASSES + 1, number)
        size = rng.uniform(80, 300, (number, 2))
        corner = rng.uniform(0, 640 - 300, (number, 2))
        bbox = np.concatenate([corner, size], axis=1)
        annotations = [
            {"id": i + 1, "image_id": int(image[i]), "category_id": int(category[i]), "bbox": bbox[i].tolist()}
            | {"area": float(size[i].prod()), "iscrowd": 0}
            for i in range(number)
        ]
        categories = [{"id": k, "name": f"c{k:02d}"} for k in range(1, CLASSES + 1)]
        truth = GroundTruth([{"id": i} for i in range(1, num_images + 1)], categories, annotations)
        return Scene(truth, read_targets(truth), image, category, bbox, rng.standard_normal(number))

    def detect(self, quality: float, taste: FloatArray, rng: np.random.Generator) -> Boxes:
        """Returns the boxes of a detector of some quality: 0 is mediocre, 3 finds nearly everything."""
        noise = rng.standard_normal(len(taste))
        latent = quality - np.sqrt(SHARED) * self.difficulty + np.sqrt(TASTE) * taste + np.sqrt(NOISE) * noise
        overlap = np.clip(0.55 + 0.15 * latent, 0.05, 0.98)
        shift = (1 - overlap) / (1 + overlap)  # moves a box sideways by this share of its width: IoU is the overlap
        found = self.bbox + np.stack([shift * self.bbox[:, 2], *[np.zeros(len(shift))] * 3], axis=1)
        score = 1 / (1 + np.exp(-(1.5 * latent + 0.7 * rng.standard_normal(len(latent)))))
        strays = rng.integers(0, len(taste), rng.poisson(0.5 * len(taste)))
        stray = self.bbox[strays] + np.array([0.0, 700.0, 0.0, 0.0])
        stray_score = 1 / (1 + np.exp(-(rng.standard_normal(len(strays)) - 1.5 - 0.3 * quality)))
        return Boxes(
            np.concatenate([self.image, self.image[strays]]),
            np.concatenate([self.category, rng.integers(1, CLASSES + 1, len(strays))]),
            np.concatenate([found, stray]).astype(np.float32),
            np.concatenate([score, stray_score]).astype(np.float32),
        )

    def sample(self, boxes: Boxes, resamples: int) -> Sample:
        """Returns AP and its replicates."""
        basis = basis_of("AP")
        drawn = replicate(match(self.targets, boxes, 100, [basis.area]), basis, resamples)
        value, replicates = drawn.of("AP")
        return Sample(float(value or 0.0), replicates)


def calibrate() -> Callable[[float], float]:
    """Returns the quality that has a given AP on very many images."""
    rng = np.random.default_rng(99)
    scene = Scene.draw(rng, 4000)
    ap = [scene.sample(scene.detect(q, rng.standard_normal(len(scene.bbox)), rng), 1).value for q in GRID]
    return lambda wanted: float(np.interp(wanted, ap, GRID))


@dataclass(frozen=True)
class Curves:
    """True AP of 8 variants at every look, [8, looks]; the kind of sweep, and the config that makes the schedule."""

    ap: FloatArray
    kind: str
    config: Mapping[str, Any]
    spread: float


def draw_curves(rng: np.random.Generator, kind: str, cosine: bool, spread: float) -> Curves:
    name = "WarmupCosineLR" if cosine else "WarmupMultiStepLR"
    config = {
        "SOLVER.MAX_ITER": END,
        "SOLVER.LR_SCHEDULER_NAME": name,
        "SOLVER.STEPS": STEPS,
        "SOLVER.GAMMA": 0.1,
    }
    to_come = np.array([decay_to_come(config, t) for t in LOOKS])
    if kind == EQUAL:
        return Curves(np.tile(42 * (1 - np.exp(-np.array(LOOKS) / END / 0.08)), (VARIANTS, 1)), kind, config, 0.0)
    same = kind == KINDS[0]
    final = 42 + spread * rng.standard_normal(VARIANTS)
    gain = 0.12 + (0.015 if same else 0.05) * rng.standard_normal(VARIANTS)
    if kind in (KINDS[2], UNEXPECTED):
        winner = int(rng.integers(VARIANTS))
        final[winner] = np.delete(final, winner).max() + 2
        gain[winner] = 0.25
    rate = 0.08 * np.exp((0.05 if same else 0.3) * rng.standard_normal(VARIANTS))
    rise = 1 - np.exp(-np.array(LOOKS) / END / rate[:, None])
    ap = final[:, None] * rise / rise[:, -1:] * (1 - np.clip(gain, 0, 1)[:, None] * to_come)
    return Curves(np.clip(ap, 0.5, 85), kind, config, spread)


@dataclass(frozen=True)
class Noise:
    """What training adds to AP.

    Attributes:
        seed_sd: standard deviation over the seeds of a variant, percent points.
        checkpoint_sd: over the checkpoints of a training.
        draw: number of the draw; other draws of one sweep share its boxes.
    """

    seed_sd: float = 0.0
    checkpoint_sd: float = 0.0
    draw: int = 0

    @property
    def variance(self) -> float:
        """Of one training's AP."""
        return self.seed_sd**2 + self.checkpoint_sd**2


class Evaluations:
    """Evaluations of one simulated sweep without noise of training, each computed when it is first asked for."""

    def __init__(
        self, curves: Curves, quality: Callable[[float], float], seed: int, images: int, resamples: int
    ) -> None:
        self.curves, self.quality, self.seed, self.resamples = curves, quality, seed, resamples
        self.scene = Scene.draw(np.random.default_rng([seed, 1]), images)
        self._samples: dict[tuple[int, int, int], Sample] = {}

    def sample(self, variant: int, look: int, training: int) -> Sample:
        """Returns an evaluation of one of a variant's trainings."""
        key = (variant, look, training)
        if key not in self._samples:
            taste = np.random.default_rng([self.seed, 2, variant, training]).standard_normal(len(self.scene.bbox))
            rng = np.random.default_rng([self.seed, 3, *key])
            boxes = self.scene.detect(self.quality(self.curves.ap[variant, look]), taste, rng)
            self._samples[key] = self.scene.sample(boxes, self.resamples)
        return self._samples[key]


class Recorded:
    """A simulated sweep with noise of training.

    Args:
        seeds: trainings of each variant.
    """

    def __init__(self, evaluations: Evaluations, noise: Noise, seeds: int = 1) -> None:
        self.evaluations, self.noise, self.seeds = evaluations, noise, seeds
        self.curves, self.seed = evaluations.curves, evaluations.seed
        rng = np.random.default_rng([self.seed, 4, noise.draw])
        of_seed = noise.seed_sd * rng.standard_normal((VARIANTS, 1, seeds))
        self._off = of_seed + noise.checkpoint_sd * rng.standard_normal((VARIANTS, len(LOOKS), seeds))
        self._samples: dict[tuple[int, int], Sample] = {}

    def sample(self, variant: int, look: int) -> Sample:
        """Returns a variant's mean over its trainings."""
        if (variant, look) not in self._samples:
            trained = []
            for training in range(self.seeds):
                one, off = self.evaluations.sample(variant, look, training), self._off[variant, look, training]
                trained.append(Sample(one.value + off, one.replicates + off))
            self._samples[variant, look] = Sample.mean(trained)
        return self._samples[variant, look]

    def told_apart(self, one: int, other: int) -> bool:
        """Returns whether the 95 % interval of the variants' difference at the end, noise included, leaves out 0."""
        a, b = (self.sample(v, len(LOOKS) - 1) for v in (one, other))
        variance = float(np.var(a.replicates - b.replicates, ddof=1)) + 2 * self.noise.variance / self.seeds
        return abs(a.value - b.value) > 1.96 * math.sqrt(variance)

    def keeps_best(self, finished: set[int]) -> bool:
        """Returns whether the best variant has finished, or one that is not told from it at the end."""
        best = int(np.argmax(self.curves.ap[:, -1]))
        return best in finished or any(not self.told_apart(v, best) for v in finished)
