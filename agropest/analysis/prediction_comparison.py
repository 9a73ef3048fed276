"""The comparison of prediction files of any origin on one ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from agropest.analysis.candidates import Candidate, Drawn
from agropest.analysis.compared import Comparison
from agropest.analysis.comparison import compare_candidates
from agropest.statistics.accuracy.average_precision import AP, evaluate
from agropest.statistics.accuracy.metric import basis_of
from agropest.statistics.bootstrap import RESAMPLES, Replicates, paired_bootstrap
from agropest.statistics.detections.boxes import Boxes, GroundTruth
from agropest.statistics.detections.doubts import doubts
from agropest.statistics.detections.matching import read_targets
from agropest.store.records import TrialState
from agropest.sweep.sections.guard import Guard


def compare_detectors(
    ground_truth: GroundTruth,
    detectors: Mapping[str, Boxes],
    metric: str = AP,
    baseline: str = "",
    guards: Sequence[Guard] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
    deployed_threshold: float = 0.5,
    max_detections: int | None = 100,
) -> Comparison:
    """Returns the comparison of some predictions on one ground truth.

    Args:
        detectors: name to boxes.
        metric: of :mod:`agropest.statistics.accuracy.metric`.
        baseline: a name; empty: the first.
        resamples, seed: of the bootstrap.
        max_detections: per image and class; None: all.

    Raises:
        DataError: a box is on an image that the ground truth lacks.
    """
    targets = read_targets(ground_truth)
    notes = {
        name: (*_no_boxes(boxes), *_unknown_categories(boxes, ground_truth), *doubts(boxes, ground_truth))
        for name, boxes in detectors.items()
    }
    known = np.array(list(ground_truth.class_names), dtype=np.int64)
    detectors = {name: boxes.where(np.isin(boxes.category_id, known)) for name, boxes in detectors.items()}

    def drawn(name: str) -> dict[str, Replicates]:
        settings = (resamples, seed, deployed_threshold, max_detections)
        return paired_bootstrap(targets, detectors, name, *settings)

    of_metric = drawn(metric)
    by_class = of_metric if basis_of(metric) == basis_of(AP) else drawn(AP)
    deployed = {
        name: evaluate(ground_truth, boxes.at_threshold(deployed_threshold), max_detections or len(boxes) + 10)[AP]
        for name, boxes in detectors.items()
    }
    candidates = [
        Candidate(
            name,
            TrialState.FINISHED,
            Drawn((0,), (), (of_metric[name],), (by_class[name],), (deployed[name],)),
            notes=notes[name],
        )
        for name in detectors
    ]
    return compare_candidates(
        candidates, metric, baseline or next(iter(detectors)), targets, guards, is_of_checkpoints=True
    )


def _no_boxes(boxes: Boxes) -> tuple[str, ...]:
    """Returns a note where a detector has found nothing at all: more often the export has failed than the detector."""
    return () if len(boxes) else ("there is not one box: AP is 0",)


def _unknown_categories(boxes: Boxes, ground_truth: GroundTruth) -> tuple[str, ...]:
    """Returns a note on boxes that cannot be right; empty where there are none."""
    unknown = boxes.category_id[~np.isin(boxes.category_id, list(ground_truth.class_names))]
    if not len(unknown):
        return ()
    lacked, known = (_few(ids) for ids in (np.unique(unknown).tolist(), list(ground_truth.class_names)))
    sentence = f"{len(unknown)} of {len(boxes)} boxes are of categories that the ground truth lacks"
    return (f"{sentence} (ids {lacked}; it has {known}) and are left out",)


def _few(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids[:5])) + (", ..." if len(ids) > 5 else "")
