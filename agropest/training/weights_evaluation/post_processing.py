"""The detections of a box head's outputs under one setting, for the pictures of a split together.

Detectron2 makes them picture by picture (``fast_rcnn_inference_single_image``, ``detector_postprocess``): some forty
small operations for each, of which only the suppression needs one picture at a time. Here the others are done for all
pictures of one size at once, with the same numbers in the same operations, so the boxes are the same bit for bit.

Shapes: R rows of all pictures of one size, K classes, B = K x 4 box numbers, or 4; N boxes above the score threshold.
"""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.layers import batched_nms
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes as Corners
from detectron2.structures import Instances
from torch import Tensor

from agropest.statistics.detections.boxes import Boxes
from agropest.training.evaluation import boxes_of_arrays
from agropest.training.weights_evaluation.head_outputs import HeadOutput


def detected_boxes(outputs: Sequence[HeadOutput], cfg: CfgNode, device: str, category_ids: Mapping[int, int]) -> Boxes:
    """Returns the boxes of a split under the thresholds of a config.

    Args:
        outputs: of every picture.
        category_ids: the model's class index to the COCO file's category id.
    """
    by_size: dict[tuple[tuple[int, int], tuple[int, int]], list[HeadOutput]] = {}
    for one in outputs:
        by_size.setdefault((one.input_size, one.size), []).append(one)
    image_ids, corners, classes, scores = [], [], [], []
    with torch.inference_mode():
        for (_, size), group in by_size.items():
            found = detector_postprocess(_kept(group, cfg, device), *size).to("cpu")
            image_ids.append(np.array([one.image_id for one in group], dtype=np.int64)[found.image.numpy()])
            corners.append(found.pred_boxes.tensor.numpy())
            classes.append(found.pred_classes.numpy())
            scores.append(found.scores.numpy())
    return boxes_of_arrays(image_ids, corners, classes, scores, category_ids)


def _kept(group: Sequence[HeadOutput], cfg: CfgNode, device: str) -> Instances:
    """Returns what is left of the outputs of pictures of one size, with the number of the picture as ``image``."""
    heads, most = cfg.MODEL.ROI_HEADS, cfg.TEST.DETECTIONS_PER_IMAGE
    boxes, scores = (torch.cat(rows).to(device) for rows in ([o.boxes for o in group], [o.scores for o in group]))
    counts = torch.tensor([len(one.boxes) for one in group], device=device)
    image = torch.repeat_interleave(torch.arange(len(group), device=device), counts)
    is_valid = torch.isfinite(boxes).all(dim=1) & torch.isfinite(scores).all(dim=1)
    boxes, scores, image = boxes[is_valid], scores[is_valid][:, :-1], image[is_valid]
    clipped = Corners(boxes.reshape(-1, 4))
    clipped.clip(group[0].input_size)
    by_class = clipped.tensor.view(len(boxes), boxes.shape[1] // 4, 4)
    is_above = scores > heads.SCORE_THRESH_TEST
    row, category = is_above.nonzero(as_tuple=True)
    boxes = by_class[row, category if by_class.shape[1] > 1 else torch.zeros_like(category)]  # [N, 4]
    scores, image = scores[is_above], image[row]
    kept, start = [], 0
    for number in torch.bincount(image, minlength=len(group)).tolist():
        part = slice(start, start + number)
        kept.append(_suppressed(boxes[part], scores[part], category[part], heads.NMS_THRESH_TEST, most) + start)
        start += number
    chosen = torch.cat(kept)
    fields = {"scores": scores[chosen], "pred_classes": category[chosen], "image": image[chosen]}
    return Instances(group[0].input_size, pred_boxes=Corners(boxes[chosen]), **fields)


def _suppressed(boxes: Tensor, scores: Tensor, category: Tensor, threshold: float, most: int) -> Tensor:
    """Returns which boxes of one picture stay."""
    kept: Tensor = batched_nms(boxes, scores, category, threshold)
    return kept[:most] if most >= 0 else kept
