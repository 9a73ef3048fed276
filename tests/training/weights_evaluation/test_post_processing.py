"""Post-processing of a whole split against Detectron2's own, picture by picture, bit for bit."""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.modeling.roi_heads.fast_rcnn import fast_rcnn_inference_single_image

from agropest.data.dataset import Dataset
from agropest.statistics.detections.boxes import ARRAYS, Boxes
from agropest.training.evaluation import collect_boxes
from agropest.training.trial import detectron2_config
from agropest.training.weights_evaluation.head_outputs import HeadOutput
from agropest.training.weights_evaluation.post_processing import detected_boxes
from tests.training.test_trial import trial_of

CATEGORIES = {0: 3, 1: 5, 2: 9}


def config(sweep: Path, dataset: Dataset, nms: float, score: float, most: int) -> CfgNode:
    keys = {"MODEL.ROI_HEADS.NMS_THRESH_TEST": nms, "MODEL.ROI_HEADS.SCORE_THRESH_TEST": score}
    words = [f"{key}={value}" for key, value in {**keys, "TEST.DETECTIONS_PER_IMAGE": most}.items()]
    return detectron2_config(trial_of(sweep, dataset, "baseline", *words), "cpu")


def by_detectron2(outputs: list[HeadOutput], cfg: CfgNode) -> Boxes:
    heads = cfg.MODEL.ROI_HEADS
    limits = (heads.SCORE_THRESH_TEST, heads.NMS_THRESH_TEST, cfg.TEST.DETECTIONS_PER_IMAGE)
    found = []
    for one in outputs:
        instances, _ = fast_rcnn_inference_single_image(one.boxes.clone(), one.scores, one.input_size, *limits)
        found.append((one.image_id, detector_postprocess(instances, *one.size)))
    return collect_boxes(found, CATEGORIES)


def drawn(number: int, rows: int, classes: int, size: tuple[int, int], seed: int) -> HeadOutput:
    """Many boxes overlap, some leave the picture, some are empty, and one row is not finite."""
    random = torch.Generator().manual_seed(seed)
    start = torch.rand(rows, classes, 2, generator=random) * 90 - 20
    boxes = torch.cat([start, start + torch.rand(rows, classes, 2, generator=random) * 60], dim=2).view(
        rows, 4 * classes
    )
    logits = torch.randn(rows, 4, generator=random) * 2
    if rows > 2:
        boxes[1, 2], boxes[2] = torch.nan, -5.0
    return HeadOutput(number, (64, 80), size, boxes, logits.softmax(dim=1))


@pytest.mark.parametrize("classes", [3, 1])
@pytest.mark.parametrize(("nms", "score", "most"), [(0.5, 0.05, 100), (0.2, 0.3, 5), (0.9, 0.0, 3000), (0.5, 0.999, 9)])
def test_a_split_has_the_boxes_of_its_pictures(
    classes: int, nms: float, score: float, most: int, tiny_sweep: Path, tiny_dataset: Dataset
) -> None:
    """Of 600 rows suppression takes another way than of 60: class by class."""
    sizes = [(128, 161), (64, 80), (128, 161), (97, 33), (128, 161), (64, 80)]
    rows = [60, 600, 0, 40, 600, 3]
    pairs = enumerate(zip(sizes, rows, strict=True))
    outputs = [drawn(90 - 7 * i, number, classes, size, i) for i, (size, number) in pairs]
    cfg = config(tiny_sweep, tiny_dataset, nms, score, most)
    expected, found = by_detectron2(outputs, cfg), detected_boxes(outputs, cfg, "cpu", CATEGORIES)
    assert (len(expected) > 0) is (score < 0.9)
    for name in ARRAYS:
        one, other = getattr(expected, name), getattr(found, name)
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes(), name
    assert np.array_equal(np.sort(found.image_id), found.image_id)


def test_the_thresholds_are_those_of_the_config(tiny_sweep: Path, tiny_dataset: Dataset) -> None:
    """Two boxes of one class that overlap by half, one of them with a low score; one of another class."""
    boxes = torch.tensor([[0.0, 0.0, 20.0, 10.0], [0.0, 0.0, 10.0, 10.0], [30.0, 30.0, 40.0, 40.0]]).repeat(1, 2)
    scores = torch.tensor([[0.9, 0.0, 0.1], [0.3, 0.0, 0.7], [0.0, 0.6, 0.4]])
    outputs = [HeadOutput(1, (50, 50), (100, 100), boxes, scores)]

    def found(nms: float, score: float, most: int) -> list[tuple[int, list[float]]]:
        its = detected_boxes(outputs, config(tiny_sweep, tiny_dataset, nms, score, most), "cpu", {0: 1, 1: 2})
        assert set(its.image_id.tolist()) == {1}
        return list(zip(its.category_id.tolist(), its.bbox_xywh.tolist(), strict=True))

    first, second, other = [0.0, 0.0, 40.0, 20.0], [0.0, 0.0, 20.0, 20.0], [60.0, 60.0, 20.0, 20.0]  # twice as large
    assert found(0.6, 0.2, 9) == [(1, first), (2, other), (1, second)]
    assert found(0.4, 0.2, 9) == [(1, first), (2, other)]
    assert found(0.6, 0.7, 9) == [(1, first)]
    assert found(0.6, 0.2, 1) == [(1, first)]
