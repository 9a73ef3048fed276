"""Boxes drawn on a picture, with class and score."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from agropest.data.decoding import FORMATS
from agropest.deployment.parity import Found

JPEG_QUALITY = 90
GOLDEN_RATIO = 0.618034  # of the colour circle between two classes: neighbours in the list look different
LARGEST = 32


def annotated(path: Path, found: Found, class_names: Sequence[str]) -> Image.Image:
    """Returns the picture as it is displayed, with its boxes; the most confident on top.

    Raises:
        OSError: it cannot be read.
    """
    with Image.open(path, formats=FORMATS) as image:
        picture = ImageOps.exif_transpose(image).convert("RGB")
    size = min(LARGEST, max(10, round(max(picture.size) / 45)))
    font = ImageFont.load_default(size=size)
    draw = ImageDraw.Draw(picture)
    for i in sorted(range(len(found.scores)), key=lambda one: found.scores[one]):
        corners = [float(value) for value in found.corners[i]]
        colour = class_colour(int(found.classes[i]))
        draw.rectangle(corners, outline=colour, width=max(2, size // 8))
        _label(draw, corners, f"{class_names[found.classes[i]]} {found.scores[i]:.2f}", colour, font, picture.size)
    return picture


def class_colour(index: int) -> tuple[int, int, int]:
    """Returns a class's colour: light enough for black letters."""
    red, green, blue = colorsys.hsv_to_rgb((index * GOLDEN_RATIO) % 1.0, 0.65, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def _label(
    draw: ImageDraw.ImageDraw,
    corners: Sequence[float],
    text: str,
    colour: tuple[int, int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    size: tuple[int, int],
) -> None:
    """Writes the label above the box, or within it where there is no room above."""
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height = right - left + 4, bottom - top + 4
    x = max(0.0, min(corners[0], size[0] - width))
    y = corners[1] - height if corners[1] >= height else corners[1]
    draw.rectangle([x, y, x + width, y + height], fill=colour)
    draw.text((x + 2 - left, y + 2 - top), text, fill="black", font=font)
