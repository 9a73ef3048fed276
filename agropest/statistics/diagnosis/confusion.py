"""Which class is taken for which, at the score threshold a detector is deployed with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agropest.statistics.detections.boxes import Boxes, GroundTruth

IOU = 0.5
BACKGROUND = "background"


@dataclass(frozen=True)
class ConfusionMatrix:
    """Counts of annotations against boxes.

    Attributes:
        class_names: K names.
        threshold: lowest score of a box that counts.
        counts: [K + 1, K + 1]; the row is the annotation's class, the column the box's. The last row holds boxes on no
            annotation, the last column annotations without a box.
    """

    class_names: tuple[str, ...]
    threshold: float
    counts: npt.NDArray[np.int64]


def confusion_matrix(ground_truth: GroundTruth, boxes: Boxes, threshold: float) -> ConfusionMatrix:
    """Returns the counts at IoU 0.5; boxes and annotations are matched whatever their classes, one to one.

    Engine: hotcoco's, which takes boxes by falling score and gives each the free annotation with the highest IoU.
    """
    from hotcoco import COCO, COCOeval

    names = tuple(ground_truth.class_names.values())
    size = len(names)
    known = np.isin(boxes.category_id, list(ground_truth.class_names))
    boxes = boxes.where(known).at_threshold(threshold)
    if not len(boxes):
        counts = np.zeros((size + 1, size + 1), dtype=np.int64)
        index = {category_id: number for number, category_id in enumerate(ground_truth.class_names)}
        for annotation in ground_truth.annotations:
            if not annotation.get("iscrowd", 0):
                counts[index[annotation["category_id"]], size] += 1
        return ConfusionMatrix(names, threshold, counts)
    reference = COCO(ground_truth.to_coco())
    evaluation = COCOeval(reference, reference.loadRes(boxes.to_array()), "bbox")
    content = evaluation.confusion_matrix(
        iou_thr=IOU, max_det=int(np.unique(boxes.image_id, return_counts=True)[1].max())
    )
    return ConfusionMatrix(names, threshold, np.asarray(content["matrix"]).astype(np.int64))
