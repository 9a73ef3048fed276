"""The augmentations of training: Detectron2's, then rotation and photometric changes. Copy-paste comes before them.

Detectron2's own rotation needs OpenCV, and its photometric ones take three passes over the image and assume RGB.
Shapes: image uint8 [H, W, C], C in ``INPUT.FORMAT``'s order; coordinates [n, 2] as x, y in pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import PIL.Image
from detectron2.config import CfgNode
from detectron2.data import detection_utils
from detectron2.data import transforms as T

LUMA = {"RGB": (0.299, 0.587, 0.114), "BGR": (0.114, 0.587, 0.299)}


def train_augmentations(cfg: CfgNode) -> list[T.Augmentation]:
    """Returns the augmentations that ``cfg`` asks for, in order; without our keys exactly those of Detectron2."""
    augmentations: list[T.Augmentation] = detection_utils.build_augmentation(cfg, is_train=True)
    if cfg.INPUT.CROP.ENABLED:
        augmentations.insert(0, T.RandomCrop(cfg.INPUT.CROP.TYPE, cfg.INPUT.CROP.SIZE))
    if cfg.INPUT.ROTATION_DEGREES > 0:
        fill = tuple(round(value) for value in cfg.MODEL.PIXEL_MEAN)  # 0 once the model has normalised it
        augmentations.append(RandomRotation(cfg.INPUT.ROTATION_DEGREES, fill))
    strengths = cfg.INPUT.PHOTOMETRIC
    if max(strengths.BRIGHTNESS, strengths.CONTRAST, strengths.SATURATION) > 0:
        luma = LUMA.get(cfg.INPUT.FORMAT)  # no colour to take out of grey; YUV has its own
        augmentations.append(RandomPhotometric(strengths.BRIGHTNESS, strengths.CONTRAST, strengths.SATURATION, luma))
    return augmentations


class RandomRotation(T.Augmentation):
    """Turns the image about its centre by an angle from [-limit, limit].

    Args:
        limit_degrees: largest angle.
        fill: of the corners that come into view, one value per channel.
    """

    def __init__(self, limit_degrees: float, fill: tuple[int, ...]) -> None:
        super().__init__()
        self.limit_degrees, self.fill = limit_degrees, fill

    def get_transform(self, image: np.ndarray) -> T.Transform:
        angle = float(np.random.uniform(-self.limit_degrees, self.limit_degrees))
        return Rotation(image.shape[0], image.shape[1], angle, self.fill)


class Rotation(T.Transform):
    """Turns an image counter-clockwise about its centre; its size stays.

    A box becomes the hull of its four turned corners (``Transform.apply_box``). Around an object that does not fill its
    box the hull is loose: by up to a factor of cos(angle) + sin(angle) per side for a square box, 1.2 at 15 degrees.
    """

    def __init__(self, height: int, width: int, degrees: float, fill: tuple[int, ...]) -> None:
        super().__init__()
        self.height, self.width, self.degrees, self.fill = height, width, degrees, fill

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        channels = img.shape[2]
        picture = PIL.Image.fromarray(img if channels == 3 else img[:, :, 0])
        fill = self.fill[:channels] if channels == 3 else self.fill[0]
        turned = picture.rotate(self.degrees, resample=PIL.Image.Resampling.BILINEAR, fillcolor=fill)
        return np.asarray(turned).reshape(img.shape)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        angle = math.radians(self.degrees)
        # y points down: counter-clockwise as seen is a clockwise turn of the axes.
        turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        centre = np.array([self.width / 2, self.height / 2])
        return (coords - centre) @ turn.T + centre

    def inverse(self) -> T.Transform:
        """Returns the turn back; the corners that left the picture stay lost."""
        return Rotation(self.height, self.width, -self.degrees, self.fill)


class RandomPhotometric(T.Augmentation):
    """Brightness, contrast and saturation, each by a factor from [1 - x, 1 + x].

    Args:
        brightness, contrast, saturation: the x of each.
        luma: weights of the channels in a pixel's brightness; None leaves the saturation.
    """

    def __init__(self, brightness: float, contrast: float, saturation: float, luma: tuple[float, ...] | None) -> None:
        super().__init__()
        self.brightness, self.contrast, self.saturation, self.luma = brightness, contrast, saturation, luma

    def get_transform(self, image: np.ndarray) -> T.Transform:
        limits = np.array([self.brightness, self.contrast, self.saturation if self.luma else 0.0])
        factors = np.random.uniform(1 - limits, 1 + limits)
        return Photometric(*map(float, factors), luma=self.luma)


@dataclass(eq=False)
class Photometric(T.Transform):
    """Changes brightness, then contrast about the image's mean, then saturation; clipped once, at the end.

    With y = b x, z = c y + (1 - c) mean(y) and out = s z + (1 - s) grey(z), all linear in x, so one pass is enough:
    out = s b c x + (1 - s) b c grey(x) + (1 - c) b mean(x).
    """

    brightness: float
    contrast: float
    saturation: float
    luma: tuple[float, ...] | None = None

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        pixels = img.astype(np.float32)
        scale = self.brightness * self.contrast
        out = pixels * np.float32(self.saturation * scale)
        if self.luma is not None and self.saturation != 1.0:
            weights = np.array(self.luma, dtype=np.float32) * np.float32((1 - self.saturation) * scale)
            out += (pixels @ weights)[:, :, None]
        out += np.float32((1 - self.contrast) * self.brightness * img.mean())
        np.rint(out, out=out)
        return np.clip(out, 0, 255, out=out).astype(np.uint8)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        return coords
