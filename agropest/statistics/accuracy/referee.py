"""The referee: whoever computes anew, from the stored boxes, the metrics of a finished trial.

It is pycocotools for every trial that ran a model. The engine (hotcoco) is equal to it to 1e-12 where they were
compared; here every user's every result is. Evaluations that are made from the same outputs of a box head differ in
what is left of them; there pycocotools is asked once, of the first, and of the others the matching of the bootstrap:
it shares no code with the engine, and has AP and the metric of the sweep at hand, class by class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from math import inf

from agropest.statistics.accuracy.average_precision import as_deployed, evaluate_with_pycocotools
from agropest.statistics.detections.boxes import Boxes, GroundTruth

TOLERANCE = 1e-9  # of percent
MATCHING = "the matching of the bootstrap"


@dataclass(frozen=True)
class Referee:
    """What somebody else than the engine says of one stored evaluation.

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
    return _finding(split, iteration, f"pycocotools {version('pycocotools')}", distances)


def ask_matching(
    split: str, iteration: int, metrics: Mapping[str, float | None], values: Mapping[str, float | None]
) -> Referee:
    """Returns how far the stored ``metrics`` are from what the matching of the bootstrap came to.

    Args:
        split: of the evaluation.
        iteration: of the evaluation.
        metrics: as stored, in percent.
        values: of the bootstrap, on the images as they are, in percent; at least one.
    """
    distances = {name: _distance(metrics[name], value) for name, value in values.items()}
    return _finding(split, iteration, MATCHING, distances)


def _finding(split: str, iteration: int, referee: str, distances: Mapping[str, float]) -> Referee:
    worst = max(distances, key=lambda name: distances[name])
    return Referee(split, iteration, f"hotcoco {version('hotcoco')}", referee, worst, distances[worst])


def _distance(ours: float | None, theirs: float | None) -> float:
    if ours is None or theirs is None:
        return 0.0 if ours is theirs else inf
    return abs(ours - theirs)
