"""What a sweep's ``metric:`` may be, and how each is had from a resampled evaluation.

    AP AP50 AP75 APs APm APl     COCO's
    AR1 AR10 AR100               COCO's
    AP-<class>                   of one class
    AP-<class>,AP-<class>,...    mean over chosen classes (in YAML also a list)
    AP_worst                     of the class that has the lowest
    AP_deployed AP50_deployed    of the boxes at or above TEST.DEPLOYED_SCORE_THRESH; AP75, APs, APm and APl likewise
    F1_deployed                  of those boxes at IoU 0.5, all classes pooled: 2 TP / (boxes + objects)

All in percent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from agropest.errors import SweepFileError, fault, nearest
from agropest.statistics.accuracy.average_precision import AP_NAMES, AR_NAMES, CLASS_PREFIX, deployed_name
from agropest.statistics.accuracy.image_weights import ImageWeights
from agropest.statistics.accuracy.weighted import EVERY_IOU, class_precisions, class_recalls, f1
from agropest.statistics.detections.boxes import lowest_score
from agropest.statistics.detections.matching import AREA_RANGES, Matches, Targets

Array = npt.NDArray[Any]

AP_WORST, F1_DEPLOYED = "AP_worst", "F1_deployed"


@dataclass(frozen=True)
class Basis:
    """What is computed for each class; several metrics can be had from one basis.

    Attributes:
        kind: "AP", "AR" or "F1" (which is pooled over the classes: one row).
        area: of ``AREA_RANGES``.
        ious: indices of IoU thresholds.
        deployed: only of boxes at or above the deployed threshold.
        max_detections: of AR; 0: all.
    """

    kind: str = "AP"
    area: str = "all"
    ious: tuple[int, ...] = EVERY_IOU
    deployed: bool = False
    max_detections: int = 0

    def by_class(self, matches: Matches, weights: ImageWeights, deployed_threshold: float) -> Array:
        """Returns it in percent, [K, R] ([1, R] for F1); NaN where a class has no ground truth."""
        threshold = float(lowest_score(deployed_threshold))
        if self.kind == "F1":
            return f1(matches, weights, threshold)[None] * 100
        if self.kind == "AR":
            return class_recalls(matches, weights, self.max_detections or len(matches.score) + 1) * 100
        lowest = threshold if self.deployed else None
        return class_precisions(matches, weights, self.area, self.ious, lowest) * 100


_OF_AP: Mapping[str, Basis] = {
    **dict(zip(AP_NAMES[:3], (Basis(), Basis(ious=(0,)), Basis(ious=(5,))), strict=True)),
    **{name: Basis(area=area) for name, area in zip(AP_NAMES[3:], ("small", "medium", "large"), strict=True)},
}
BASES: Mapping[str, Basis] = {
    **_OF_AP,
    **{name: Basis("AR", max_detections=most) for name, most in zip(AR_NAMES, (1, 10, 0), strict=True)},
    AP_WORST: Basis(),
    **{deployed_name(name): replace(basis, deployed=True) for name, basis in _OF_AP.items()},
    F1_DEPLOYED: Basis("F1", ious=(0,), deployed=True),
}


def chosen_classes(metric: str, class_names: Sequence[str]) -> tuple[str, ...]:
    """Returns the classes that ``AP-<class>`` or ``AP-<class>,AP-<class>`` means; none for any other metric."""
    known = {CLASS_PREFIX + name: name for name in class_names}
    if metric in known:  # a class may have a comma in its name
        return (known[metric],)
    words = [word.strip() for word in metric.split(",")]
    return tuple(known[word] for word in words) if all(word in known for word in words) else ()


def basis_of(metric: str) -> Basis:
    """Returns what ``metric`` is had from."""
    return BASES.get(metric, Basis())


def reduce_classes(metric: str, by_class: Array, class_names: Sequence[str]) -> Array:
    """Returns the metric from its basis, [K, R] to [R]: the mean over the classes that exist, or the lowest.

    NaN where none of the classes exists.
    """
    chosen = chosen_classes(metric, class_names) if metric not in BASES else ()
    rows: Array = by_class[[list(class_names).index(name) for name in chosen]] if chosen else by_class
    if len(rows) == 1:
        only: Array = rows[0]
        return only
    exists = ~np.isnan(rows)
    count = exists.sum(axis=0)
    result = np.full(rows.shape[1], np.nan)
    if metric == AP_WORST:
        lowest: Array = np.where(exists, rows, np.inf).min(axis=0, initial=np.inf)
        return np.where(count > 0, lowest, np.nan)
    np.divide(np.where(exists, rows, 0.0).sum(axis=0), count, out=result, where=count > 0)
    return result


def num_boxes_behind(metric: str, targets: Targets) -> int:
    """Returns how many annotations a metric is of: those of its classes and sizes; crowds do not count."""
    chosen = chosen_classes(metric, targets.class_names) if metric not in BASES else ()
    by_class = targets.positives[list(AREA_RANGES).index(basis_of(metric).area)].sum(axis=1)
    return int(sum(by_class[targets.class_names.index(name)] for name in chosen) if chosen else by_class.sum())


def missing_classes(metric: str, targets: Targets) -> tuple[tuple[str, ...], int]:
    """Returns the classes of a metric that have nothing to find, and how many it is meant to be of; 1 where pooled."""
    if basis_of(metric).kind == "F1":
        return (), 1
    chosen = chosen_classes(metric, targets.class_names) if metric not in BASES else ()
    names = chosen or tuple(targets.class_names)
    by_class = targets.positives[list(AREA_RANGES).index(basis_of(metric).area)].sum(axis=1)
    lacking = tuple(name for name in names if not by_class[list(targets.class_names).index(name)])
    return lacking, len(names)


def metric_value(metrics: Mapping[str, float | None], metric: str) -> float | None:
    """Returns a metric from those an evaluation has stored; worst and chosen classes are had from the classes' AP."""
    if metric in metrics:
        return metrics[metric]
    by_class = {name.removeprefix(CLASS_PREFIX): v for name, v in metrics.items() if name.startswith(CLASS_PREFIX)}
    chosen = tuple(by_class) if metric == AP_WORST else chosen_classes(metric, list(by_class))
    values = [value for name in chosen if (value := by_class[name]) is not None]
    if not values:
        return None
    return min(values) if metric == AP_WORST else sum(values) / len(values)


def require_metric(metric: str, class_names: Sequence[str], where: str) -> None:
    """Raises :class:`SweepFileError` unless ``metric`` is one that there is (see the module).

    Args:
        metric: of the sweep file.
        class_names: of the data set.
        where: the sweep file and key.
    """
    if metric in BASES or chosen_classes(metric, class_names):
        return
    known = [*BASES, *(CLASS_PREFIX + name for name in class_names)]
    words = [word.strip() for word in metric.split(",")]
    word = next((word for word in words if word not in known), metric)
    rule = (
        f"expected {', '.join(BASES)}, {CLASS_PREFIX}<class>, or several classes ({CLASS_PREFIX}<a>,{CLASS_PREFIX}<b>)"
    )
    raise SweepFileError(fault(where, rule, metric, nearest(word, known)))
