"""From a data set dict to what the model takes: read, augment, tensor.

Images are read as Detectron2 reads them (Pillow, EXIF applied, ``INPUT.FORMAT``), so that the boxes of the COCO file,
which are in displayed pixels, fit.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import detection_utils
from detectron2.data import transforms as T
from detectron2.structures import Boxes, BoxMode, Instances

from agropest.training.input.augmentation import train_augmentations
from agropest.training.input.copy_paste import BoxedImage, CopyPaste
from agropest.training.input.image_cache import ImageCache
from agropest.training.input.picture_file import read_image

Record = dict[str, Any]
MIN_BOX_PX = 1.0
# Decoded images are kept where a whole training set fits: small sets are read again hundreds of times.
CACHE_BYTES = 256 << 20


class ImageReader:
    """Reads images; keeps them decoded where all of them fit into ``cache_bytes``.

    Args:
        records: data set dicts with ``height`` and ``width``.
        image_format: ``INPUT.FORMAT``.
        cache_bytes: 0 keeps none.
        cache: that this process shares with other trials; then none is kept here.
    """

    def __init__(
        self,
        records: Sequence[Record],
        image_format: str,
        cache_bytes: int = CACHE_BYTES,
        cache: ImageCache | None = None,
    ) -> None:
        self._format, self._shared = image_format, cache
        self._cache: dict[str, np.ndarray] = {}
        self._total_bytes = sum(3 * r["height"] * r["width"] for r in records)
        self.keep_within(cache_bytes)

    def keep_within(self, cache_bytes: int) -> None:
        """Keeps decoded images from now on only if all fit into ``cache_bytes``."""
        self._keeps = self._shared is None and self._total_bytes <= cache_bytes
        if not self._keeps:
            self._cache.clear()

    def read(self, record: Record) -> np.ndarray:
        """Returns the image, uint8 [H, W, C], not to be written to.

        Raises:
            ChangedInput: the file is gone or another than the data set was converted from.
            TrialError: it is no image, or has another size than the data set says.
        """
        name = record["file_name"]
        image = self._shared.get(name) if self._shared is not None else self._cache.get(name)
        if image is None:
            image = read_image(record, self._format)
            image.setflags(write=False)
            if self._shared is not None:
                self._shared.put(name, image)
            elif self._keeps:
                self._cache[name] = image
        return image


class TrainMapper:
    """Makes training inputs: augmented images and their boxes.

    Args:
        records: the training images.
        cfg: effective Detectron2 config.
        cache_bytes: of decoded images.
        cache: of decoded images, shared with other trials.
    """

    def __init__(
        self,
        records: Sequence[Record],
        cfg: CfgNode,
        cache_bytes: int = CACHE_BYTES,
        cache: ImageCache | None = None,
    ) -> None:
        self.reader = ImageReader(records, cfg.INPUT.FORMAT, cache_bytes, cache)
        self._records = records
        self._augmentations = T.AugmentationList(train_augmentations(cfg))
        annotations = [[a for a in record["annotations"] if not a.get("iscrowd", 0)] for record in records]
        self._boxes = [_corners(its) for its in annotations]
        self.classes = [np.array([a["category_id"] for a in its], dtype=np.int64) for its in annotations]
        self._copy_paste: CopyPaste | None = None
        if cfg.INPUT.COPY_PASTE.PROB > 0:
            self._copy_paste = CopyPaste(cfg, self._boxes, self.classes, self._read)

    def __call__(self, index: int, seed: tuple[int, ...]) -> Record:
        """Returns ``image`` (uint8, [C, H, W]), ``instances``, and the record's own fields.

        Args:
            index: of the record.
            seed: everything random is drawn from it.
        """
        image = BoxedImage(self._read(index), self._boxes[index], self.classes[index])
        seeds = np.random.SeedSequence(seed)
        if self._copy_paste is not None:
            image = self._copy_paste(image, np.random.default_rng(seeds.spawn(1)[0]))
        augmented = _WritableInput(image.pixels)
        with _seeded(seeds):
            transforms = self._augmentations(augmented)
        return {
            **_described(self._records[index]),
            "image": _tensor(augmented.image),
            "instances": _instances(image, transforms, augmented.image.shape[:2]),
        }

    def _read(self, index: int) -> np.ndarray:
        return self.reader.read(self._records[index])


class TestMapper:
    """Makes an evaluation input: the image at the size it is evaluated at.

    Args:
        cfg: effective Detectron2 config.
        reader: of the images; without one each is decoded anew.
    """

    __test__ = False  # not a test, whatever pytest thinks of the name

    def __init__(self, cfg: CfgNode, reader: ImageReader | None = None) -> None:
        self._reader = reader or ImageReader([], cfg.INPUT.FORMAT, cache_bytes=-1)
        self._resize = T.AugmentationList(detection_utils.build_augmentation(cfg, is_train=False))

    def __call__(self, record: Record) -> Record:
        """Returns ``image`` (uint8, [C, H, W]) and the record's own fields.

        Raises:
            TrialError: the image cannot be read.
        """
        resized = T.AugInput(self._reader.read(record))
        self._resize(resized)
        return {**_described(record), "image": _tensor(resized.image)}


class _WritableInput(T.AugInput):
    """An image that every augmentation may write to: the cache's and Pillow's are read-only, of which torch warns."""

    def transform(self, tfm: T.Transform) -> None:
        image: np.ndarray = self.image  # type: ignore[has-type]
        if not image.flags.writeable:
            self.image = image.copy()
        super().transform(tfm)


@contextlib.contextmanager
def _seeded(seeds: np.random.SeedSequence) -> Iterator[None]:
    """Seeds the global generators from which augmentations draw, and puts them back: nothing leaks out."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    state = seeds.generate_state(5)
    try:
        np.random.seed(state[:4])
        random.seed(int(state[4]))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(state[4]))
            yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)


def _corners(annotations: list[Record]) -> np.ndarray:
    """Returns the boxes of annotations as x0 y0 x1 y1, float64 [n, 4]."""
    if any(a["bbox_mode"] != BoxMode.XYWH_ABS for a in annotations):
        boxes = [BoxMode.convert(a["bbox"], a["bbox_mode"], BoxMode.XYXY_ABS) for a in annotations]
        return np.array(boxes, dtype=np.float64).reshape(-1, 4)
    # As BoxMode.convert, which adds in single precision, a hundred times faster.
    corners = np.array([a["bbox"] for a in annotations], dtype=np.float32).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    return corners.astype(np.float64)


def _instances(image: BoxedImage, transforms: T.TransformList, shape: tuple[int, int]) -> Instances:
    """Returns the boxes after the transforms: clipped to the image; those of a pixel or less are left out."""
    height, width = shape
    boxes = image.boxes
    if len(boxes):
        boxes = np.clip(transforms.apply_box(boxes), 0, [width, height, width, height])
    keep = ((boxes[:, 2:] - boxes[:, :2]) > MIN_BOX_PX).all(axis=1)
    instances = Instances(shape)
    instances.gt_boxes = Boxes(torch.from_numpy(boxes[keep].astype(np.float32)))
    instances.gt_classes = torch.from_numpy(image.classes[keep])
    return instances


def _described(record: Record) -> Record:
    return {key: record[key] for key in ("file_name", "image_id", "height", "width", "sha256") if key in record}


def _tensor(image: np.ndarray) -> torch.Tensor:
    # A copy in any case: the image may be the cache's own.
    return torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C"))
