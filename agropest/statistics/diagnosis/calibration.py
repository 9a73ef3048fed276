"""Whether scores mean what they say: of the boxes with score 0.8, are 80 % right?

Guo et al., On Calibration of Modern Neural Networks (2017), section 2, with the precision of detections in place of
accuracy as in Küppers et al., Multivariate Confidence Calibration for Object Detection (2020), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agropest.statistics.detections.matching import ALL, IGNORED, TRUE, Matches

BINS = 10


@dataclass(frozen=True)
class ReliabilityBin:
    """Boxes whose score lies in [low, high); the last bin holds 1.0 too. Mean score and precision are in [0, 1]."""

    low: float
    high: float
    num_boxes: int
    mean_score: float | None
    precision: float | None


@dataclass(frozen=True)
class Calibration:
    """The expected calibration error, in [0, 1]; None without boxes. A box is right when it matches at IoU 0.5."""

    ece: float | None
    bins: tuple[ReliabilityBin, ...]


def calibration(matches: Matches) -> Calibration:
    """Returns the expected calibration error over ``BINS`` equal bins, and the bins; boxes on crowds are left out."""
    outcome = matches.outcome[ALL][0]
    counted = outcome != IGNORED
    score, right = matches.score[counted], outcome[counted] == TRUE
    edges = np.linspace(0.0, 1.0, BINS + 1, dtype=np.float32)  # scores were float32: 0.7 belongs to the bin from 0.7
    index = np.clip(np.searchsorted(edges, score.astype(np.float32), side="right") - 1, 0, BINS - 1)
    bins, error = [], 0.0
    for number in range(BINS):
        own = index == number
        size = int(own.sum())
        mean = float(score[own].mean()) if size else None
        precision = float(right[own].mean()) if size else None
        if mean is not None and precision is not None:
            error += size * abs(precision - mean)
        bins.append(ReliabilityBin(number / BINS, (number + 1) / BINS, size, mean, precision))
    return Calibration(error / len(score) if len(score) else None, tuple(bins))
