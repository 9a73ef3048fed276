"""The images of a batch as one tensor."""

from __future__ import annotations

import agropest.modeling.detectron2_first  # noqa: F401

# isort: split
from typing import Any

import torch
from detectron2.modeling import GeneralizedRCNN
from detectron2.structures import ImageList
from torch import Tensor


class LeanGeneralizedRCNN(GeneralizedRCNN):
    """``GeneralizedRCNN`` that normalises all images of one size at once."""

    @staticmethod
    def covers(module: Any) -> bool:
        """Returns whether this class stands for a module with its settings."""
        return bool(module.vis_period == 0)

    def preprocess_image(self, batched_inputs: list[dict[str, Any]]) -> ImageList:
        """Returns the normalised images, padded to one size."""
        return batch_of(batched_inputs, self.pixel_mean, self.pixel_std, self.backbone.size_divisibility)


def batch_of(batched_inputs: list[dict[str, Any]], mean: Tensor, std: Tensor, divisor: int) -> ImageList:
    """Returns what ``preprocess_image`` of Detectron2 0.6 returns.

    Args:
        batched_inputs: each with ``image``, [C, H, W].
        mean: of each channel, [C, 1, 1].
        std: likewise.
        divisor: that height and width of the result are multiples of; up to 1: any.
    """
    images = [item["image"] for item in batched_inputs]
    sizes = [(image.shape[-2], image.shape[-1]) for image in images]
    height, width = (_multiple(max(size), divisor) for size in zip(*sizes, strict=True))
    if len(set(sizes)) == 1:
        together = torch.stack(images).to(mean.device)  # one copy to a card
        whole = (together - mean).div_(std)
        if sizes[0] != (height, width):
            whole = torch.nn.functional.pad(whole, [0, width - sizes[0][1], 0, height - sizes[0][0]])
        return ImageList(whole, sizes)
    whole = mean.new_zeros((len(images), images[0].shape[0], height, width))
    for image, place, (its_height, its_width) in zip(images, whole, sizes, strict=True):
        place[:, :its_height, :its_width] = (image.to(mean.device) - mean).div_(std)
    return ImageList(whole, sizes)


def _multiple(length: int, divisor: int) -> int:
    return -(-length // divisor) * divisor if divisor > 1 else length
