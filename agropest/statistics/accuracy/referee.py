"""pycocotools as the referee: once per finished trial its metrics are computed anew from the stored boxes.

The engine (hotcoco) is equal to it to 1e-12 where they were compared; here every user's every result is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from math import inf

from agropest.statistics.accuracy.average_precision import as_deployed, evaluate_with_pycocotools
from agropest.statistics.detections.boxes import Boxes, GroundTruth

TOLERANCE = 1e-9  # of percent


@dataclass(frozen=True)
class Referee:
    """What pycocotools says of one stored evaluation.

    Attributes:
        metric: that differs most.
        difference: in percent, at most; infinite where one has a value and the other has none.
    """

    split: str
    iteration: int
    engine: str
    referee: str
    metric: str
    difference: float

    @property
    def agrees(self) -> bool:
        """Whether every metric is the same but for rounding."""
        return self.difference <= TOLERANCE

    def summary(self) -> str:
        """Returns one line for people."""
        if self.agrees:
            return f"{self.referee} agrees on {self.split}"
        return (
            f"{self.referee} differs from {self.engine} on {self.split} by {self.difference:g} in {self.metric}: "
            "do not trust these figures, and report this to the project"
        )


def ask_referee(
    split: str,
    iteration: int,
    ground_truth: GroundTruth,
    boxes: Boxes,
    metrics: Mapping[str, float | None],
    max_detections: int,
    deployed_threshold: float,
) -> Referee:
    """Returns how far the stored ``metrics`` are from what pycocotools computes from the stored boxes.

    Args:
        split: of the evaluation.
        iteration: of the evaluation.
        metrics: as stored, in percent; those that pycocotools does not know are not compared.
        max_detections: per image and class, as COCO's maxDets.
        deployed_threshold: score of ``AP_deployed``.
    """
    theirs = evaluate_with_pycocotools(ground_truth, boxes, max_detections)
    deployed = evaluate_with_pycocotools(ground_truth, boxes.at_threshold(deployed_threshold), max_detections)
    theirs |= as_deployed(deployed)
    distances = {name: _distance(metrics[name], value) for name, value in theirs.items() if name in metrics}
    worst = max(distances, key=lambda name: distances[name])
    return Referee(
        split,
        iteration,
        f"hotcoco {version('hotcoco')}",
        f"pycocotools {version('pycocotools')}",
        worst,
        distances[worst],
    )


def _distance(ours: float | None, theirs: float | None) -> float:
    if ours is None or theirs is None:
        return 0.0 if ours is theirs else inf
    return abs(ours - theirs)
