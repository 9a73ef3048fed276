"""Small pictures in a folder beside the page, made once."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps

from agropest import files
from agropest.data.decoding import FORMATS

SIDE_PX = 512
JPEG_QUALITY = 76
ORIENTATION = 0x0112  # EXIF


def write_thumbnail(source: Path, target: Path) -> tuple[int, int] | None:
    """Writes a small JPEG unless it is there; returns the picture's displayed width and height, None: not a picture."""
    try:
        with Image.open(source, formats=FORMATS) as image:
            width, height = image.size
            if image.getexif().get(ORIENTATION, 1) >= 5:  # shown on its side
                width, height = height, width
            if target.is_file():
                return width, height
            image.draft("RGB", (2 * SIDE_PX, 2 * SIDE_PX))  # a JPEG is decoded no larger than needed
            picture = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    picture.thumbnail((SIDE_PX, SIDE_PX))
    files.write_with(target, lambda file: picture.save(file, "JPEG", quality=JPEG_QUALITY), durable=False)
    return width, height
