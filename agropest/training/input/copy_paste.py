"""Copy-paste at the level of boxes: rectangles of other training images, pasted with a soft border.

There are no masks: what is pasted is the object's box with a margin of its own background, so a pasted object brings a
patch of another scene with it. Large objects are made smaller so that they cover a part of the picture at most, which
shifts the sizes the detector sees. Meant for classes that are rare or do badly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import PIL.Image
from detectron2.config import CfgNode

from agropest.errors import TrialError, fault

MARGIN = 0.12  # of the box's side, pasted around it and faded out
LARGEST_SHARE = 0.5  # of the image's side that a pasted object covers at most
SMALLEST_SCALE = 0.6  # objects are scaled by a factor from here to 1, and further down to LARGEST_SHARE
MOST_COVERED = 0.3  # share of an object's box, pasted or there before, that may lie under another
NUM_TRIES = 10  # to find a place; without one nothing is pasted
MIN_SIDE_PX = 6.0


@dataclass(frozen=True)
class BoxedImage:
    """An image with its boxes.

    Attributes:
        pixels: uint8 [H, W, C].
        boxes: float64 [n, 4], x0 y0 x1 y1 in pixels.
        classes: int64 [n].
    """

    pixels: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray


class CopyPaste:
    """Pastes objects of chosen classes into training images.

    Args:
        cfg: its ``INPUT.COPY_PASTE`` says how often, how many and which classes.
        boxes: of every training image, [n, 4].
        classes: of every training image, [n].
        read: index of a training image to its pixels.

    Raises:
        TrialError: a class index is not one, or no training image has a box of the classes.
    """

    def __init__(
        self,
        cfg: CfgNode,
        boxes: Sequence[np.ndarray],
        classes: Sequence[np.ndarray],
        read: Callable[[int], np.ndarray],
    ) -> None:
        self._probability = cfg.INPUT.COPY_PASTE.PROB
        self._max_objects = cfg.INPUT.COPY_PASTE.MAX_OBJECTS
        self._boxes, self._classes, self._read = boxes, classes, read
        chosen = chosen_classes(cfg.INPUT.COPY_PASTE.CLASSES, classes, cfg.MODEL.ROI_HEADS.NUM_CLASSES)
        donors: dict[int, list[tuple[int, int]]] = {c: [] for c in chosen}
        for image, its_classes in enumerate(classes):
            for place, c in enumerate(its_classes.tolist()):
                if c in donors:
                    donors[c].append((image, place))
        self._donors = [places for _, places in sorted(donors.items()) if places]
        if not self._donors:
            rule = "expected classes that have a training box"
            raise TrialError(fault("INPUT.COPY_PASTE.CLASSES", rule, chosen, "name others, or set PROB: 0"))

    def __call__(self, image: BoxedImage, generator: np.random.Generator) -> BoxedImage:
        """Returns ``image`` with some objects pasted, or as it was; what is given is not changed."""
        if generator.random() >= self._probability:
            return image
        image = BoxedImage(image.pixels.copy(), image.boxes, image.classes)
        for _ in range(int(generator.integers(1, self._max_objects + 1))):
            places = self._donors[int(generator.integers(len(self._donors)))]  # classes alike, then their boxes
            donor, place = places[int(generator.integers(len(places)))]
            image = self._paste(image, donor, place, generator)
        return image

    def _paste(self, image: BoxedImage, donor: int, place: int, generator: np.random.Generator) -> BoxedImage:
        """Returns ``image`` with one object more, or as it was where it finds no place. Its pixels are changed."""
        patch, box = cut(self._read(donor), self._boxes[donor][place])
        patch, box = _resized(patch, box, image.pixels.shape, float(generator.uniform(SMALLEST_SCALE, 1.0)))
        if generator.random() < 0.5:
            patch, box = patch[:, ::-1], np.array([patch.shape[1] - box[2], box[1], patch.shape[1] - box[0], box[3]])
        if min(box[2] - box[0], box[3] - box[1]) < MIN_SIDE_PX:
            return image
        room = np.array(image.pixels.shape[1::-1]) - patch.shape[1::-1]
        for _ in range(NUM_TRIES):
            x, y = generator.integers(room + 1).tolist()
            landed = box + np.array([x, y, x, y])
            if not len(image.boxes) or _most_covered(landed, image.boxes) <= MOST_COVERED:
                blend(image.pixels[y : y + patch.shape[0], x : x + patch.shape[1]], patch, box)
                its_class = self._classes[donor][place : place + 1]
                return BoxedImage(
                    image.pixels, np.vstack([image.boxes, landed]), np.concatenate([image.classes, its_class])
                )
        return image


def chosen_classes(listed: Sequence[int], classes: Sequence[np.ndarray], num_classes: int) -> list[int]:
    """Returns the classes whose objects are pasted: those listed, or the half with the fewest boxes.

    Raises:
        TrialError: a listed class is not an index from 0 to ``num_classes - 1``.
    """
    wrong = [c for c in listed if not isinstance(c, int) or not 0 <= c < num_classes]
    if wrong:
        rule = f"expected class indices from 0 to {num_classes - 1}"
        raise TrialError(fault("INPUT.COPY_PASTE.CLASSES", rule, wrong, "take them from the order in data.yaml"))
    if listed:
        return sorted(set(listed))
    counts = np.bincount(np.concatenate([*classes, np.zeros(0, dtype=np.int64)]), minlength=num_classes)
    present = [c for c in np.argsort(counts, kind="stable").tolist() if counts[c]]
    return sorted(present[: max(1, len(present) // 2)])


def cut(pixels: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the part of an image around a box, with its margin, and the box within that part."""
    height, width = pixels.shape[:2]
    margin = MARGIN * np.array([box[2] - box[0], box[3] - box[1]])
    x0, y0 = np.floor(np.maximum(box[:2] - margin, 0)).astype(int)
    x1, y1 = np.ceil(np.minimum(box[2:] + margin, [width, height])).astype(int)
    inside = np.clip(box, 0, [width, height, width, height]) - [x0, y0, x0, y0]
    return pixels[y0:y1, x0:x1], inside


def blend(target: np.ndarray, patch: np.ndarray, box: np.ndarray) -> None:
    """Lays ``patch`` over ``target`` (changed): opaque inside ``box``, fading to nothing at the patch's edge."""
    height, width = patch.shape[:2]
    along_x = _opacity(width, float(box[0]), float(box[2]))
    along_y = _opacity(height, float(box[1]), float(box[3]))
    alpha = (along_y[:, None] * along_x[None, :])[:, :, None]
    target[...] = np.rint(alpha * patch + (1.0 - alpha) * target).astype(np.uint8)


def _opacity(length: int, start: float, end: float) -> np.ndarray:
    """Of each pixel of a side: 1 from ``start`` to ``end``, falling to 0 at the ends of the side."""
    centres = np.arange(length) + 0.5
    before = centres / max(start, 0.5)
    after = (length - centres) / max(length - end, 0.5)
    return np.clip(np.minimum(before, after), 0.0, 1.0)


def _resized(
    patch: np.ndarray, box: np.ndarray, image_shape: tuple[int, ...], factor: float
) -> tuple[np.ndarray, np.ndarray]:
    """Scales a patch by ``factor``, and further down where it would cover too much of the image."""
    height, width = patch.shape[:2]
    factor = min(factor, LARGEST_SHARE * image_shape[0] / height, LARGEST_SHARE * image_shape[1] / width)
    new_width, new_height = max(1, round(width * factor)), max(1, round(height * factor))
    picture = PIL.Image.fromarray(patch if patch.shape[2] == 3 else patch[:, :, 0])
    resized = np.asarray(picture.resize((new_width, new_height), PIL.Image.Resampling.BILINEAR))
    scale = np.array([new_width / width, new_height / height] * 2)
    return resized.reshape(new_height, new_width, patch.shape[2]), box * scale


def _most_covered(landed: np.ndarray, boxes: np.ndarray) -> float:
    """Returns the largest share of the new box or of one there that lies under the other."""
    sides = np.minimum(landed[2:], boxes[:, 2:]) - np.maximum(landed[:2], boxes[:, :2])
    overlap = np.clip(sides, 0, None).prod(axis=1)
    smaller = np.minimum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), (landed[2:] - landed[:2]).prod())
    return float((overlap / np.maximum(smaller, 1e-9)).max())
