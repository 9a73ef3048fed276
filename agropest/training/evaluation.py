"""The boxes a model finds in a split.

Everything else (AP at any threshold, per class, intervals) is computed from these boxes by ``agropest.results``.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.modeling import GeneralizedRCNNWithTTA

from agropest.errors import TrialError, fault
from agropest.statistics.detections.boxes import Boxes
from agropest.training.input.picture_file import read_image

Mapper = Callable[[dict[str, Any]], dict[str, Any]]
IMAGES_PER_BATCH = 8


@dataclass(frozen=True)
class Detections:
    """What a model found.

    Attributes:
        boxes: of the whole split, in displayed pixels, category ids as in the COCO file.
        time_s: wall time, reading included.
    """

    boxes: Boxes
    num_images: int
    time_s: float


def detect(
    model: torch.nn.Module,
    records: Sequence[dict[str, Any]],
    mapper: Mapper,
    category_ids: Mapping[int, int],
    should_stop: Callable[[], bool] = lambda: False,
    ahead: int = 0,
) -> Detections:
    """Returns the boxes that ``model`` finds in ``records``; its training mode is put back afterwards.

    Images are batched only with images of the same size at the network's input: padding would reach the deeper layers
    and change the boxes.

    Args:
        records: Detectron2 data set dicts of the split.
        mapper: makes one of them the model's input.
        category_ids: the model's class index to the COCO file's category id.
        should_stop: asked between batches.
        ahead: images that a thread prepares while the model works on others; 0: they are prepared when it waits. For a
            model on a card, which else waits for every picture.

    Raises:
        Interrupted: ``should_stop`` said so; nothing is returned.
    """
    started = time.perf_counter()
    was_training = model.training
    model.eval()
    found: list[tuple[int, Any]] = []
    try:
        with torch.inference_mode():
            for batch in _same_size_batches(_mapped(mapper, records, ahead)):
                if should_stop():
                    raise Interrupted
                outputs = model(batch)
                found += [
                    (item["image_id"], out["instances"].to("cpu")) for item, out in zip(batch, outputs, strict=True)
                ]
    finally:
        model.train(was_training)
    return Detections(collect_boxes(found, category_ids), len(records), time.perf_counter() - started)


def _mapped(mapper: Mapper, records: Sequence[dict[str, Any]], ahead: int) -> Iterator[dict[str, Any]]:
    """Yields the model's inputs in order; ``ahead`` of them are prepared by a thread before they are asked for."""
    if not ahead:
        yield from map(mapper, records)
        return
    with ThreadPoolExecutor(1) as thread:
        waiting: deque[Future[dict[str, Any]]] = deque()
        try:
            for record in records:
                waiting.append(thread.submit(mapper, record))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:  # whoever reads them has broken off
                one.cancel()


class Interrupted(Exception):
    """The trial was asked to end; what is stored stays."""


class TestTimeAugmentation(torch.nn.Module):
    """Detectron2's ``GeneralizedRCNNWithTTA`` in the shape of a model: every size of ``TEST.AUG``, flipped and not.

    Args:
        cfg: effective Detectron2 config.
        model: a ``GeneralizedRCNN``.

    Raises:
        TrialError: Detectron2 has no test-time augmentation for this model.
    """

    __test__ = False

    def __init__(self, cfg: CfgNode, model: torch.nn.Module) -> None:
        super().__init__()
        try:
            self.augmented = GeneralizedRCNNWithTTA(cfg, model)
        except AssertionError as error:
            value, fix = str(error).splitlines()[0], "leave it False, or take a GeneralizedRCNN without key points"
            raise TrialError(fault("TEST.AUG.ENABLED", "expected a model that can be augmented", value, fix)) from None
        self._format = cfg.INPUT.FORMAT

    def forward(self, batch: list[dict[str, Any]]) -> Any:
        """Returns Detectron2's outputs; the images are read anew in their own size.

        Detectron2 would read the files itself, whatever is in them by now.
        """
        return self.augmented([{**item, "image": _whole_image(read_image(item, self._format))} for item in batch])


def _whole_image(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C"))


def _same_size_batches(inputs: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    waiting: dict[tuple[int, ...], list[dict[str, Any]]] = defaultdict(list)
    for item in inputs:
        group = waiting[tuple(item["image"].shape)]
        group.append(item)
        if len(group) == IMAGES_PER_BATCH:
            yield list(group)
            group.clear()
    yield from (group for group in waiting.values() if group)


def collect_boxes(found: Sequence[tuple[int, Any]], category_ids: Mapping[int, int]) -> Boxes:
    """Returns the boxes of a split.

    Args:
        found: image id and Detectron2 ``Instances`` on the CPU, of every image.
        category_ids: the model's class index to the COCO file's category id.
    """
    return boxes_of_arrays(
        [np.full(len(instances), image_id, dtype=np.int64) for image_id, instances in found],
        # In mixed precision they may be of a type that numpy lacks.
        [instances.pred_boxes.tensor.float().numpy() for _, instances in found],
        [instances.pred_classes.numpy() for _, instances in found],
        [instances.scores.float().numpy() for _, instances in found],
        category_ids,
    )


def boxes_of_arrays(
    image_ids: Sequence[Any],
    corners: Sequence[Any],
    classes: Sequence[Any],
    scores: Sequence[Any],
    category_ids: Mapping[int, int],
) -> Boxes:
    """Returns the boxes of a split by image id; within an image they stay in their order.

    Args:
        image_ids: of the boxes, in parts [N].
        corners: in the same parts, [N, 4], left, top, right and bottom.
        classes: the model's class indices, [N].
        scores: [N].
        category_ids: the model's class index to the COCO file's category id.
    """
    image_id = _cat(image_ids, (0,)).astype(np.int64)
    order = np.argsort(image_id, kind="stable")
    whole, its_classes = _cat(corners, (0, 4))[order], _cat(classes, (0,)).astype(np.int64)[order]
    lookup = np.array([category_ids[index] for index in range(len(category_ids))], dtype=np.int64)
    return Boxes(
        image_id=image_id[order],
        category_id=lookup[its_classes],
        bbox_xywh=np.concatenate([whole[:, :2], whole[:, 2:] - whole[:, :2]], axis=1).astype(np.float32),
        score=_cat(scores, (0,))[order].astype(np.float32),
    )


def _cat(arrays: Sequence[Any], empty: tuple[int, ...]) -> Any:
    return np.concatenate(arrays) if len(arrays) else np.zeros(empty, dtype=np.float32)
