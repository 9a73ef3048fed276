"""Every metric of an evaluation, as a trial stores them."""

from __future__ import annotations

import numpy as np

from agropest.statistics.accuracy.average_precision import AP, Metrics, as_deployed, evaluate
from agropest.statistics.accuracy.image_weights import ImageWeights
from agropest.statistics.accuracy.metric import AP_WORST, F1_DEPLOYED, metric_value
from agropest.statistics.accuracy.weighted import f1
from agropest.statistics.detections.boxes import Boxes, GroundTruth
from agropest.statistics.detections.matching import ALL, Targets, match, read_targets


def evaluate_all(
    ground_truth: GroundTruth,
    boxes: Boxes,
    metric: str = AP,
    max_detections: int = 100,
    deployed_threshold: float = 0.5,
    targets: Targets | None = None,
) -> Metrics:
    """Returns COCO's metrics, every AP and F1 at the deployed threshold from the same boxes, and the worst class's AP.

    Args:
        metric: of the sweep; is among what is returned, also where it is a mean of chosen classes.
        max_detections: per image and class, as COCO's maxDets.
        deployed_threshold: lowest score of a box that would be shown.
        targets: the ground truth as arrays, where they are at hand.
    """
    metrics = evaluate(ground_truth, boxes, max_detections)
    shown = boxes.at_threshold(deployed_threshold)
    deployed = evaluate(ground_truth, shown, max_detections)
    targets = targets or read_targets(ground_truth)
    once = ImageWeights(targets, np.ones((1, targets.num_images), np.uint16))
    score = float(f1(match(targets, shown, max_detections, [ALL]), once, 0.0)[0]) * 100
    metrics |= {
        **as_deployed(deployed),
        F1_DEPLOYED: None if np.isnan(score) else score,
        AP_WORST: metric_value(metrics, AP_WORST),
    }
    return {**metrics, metric: metric_value(metrics, metric)}
