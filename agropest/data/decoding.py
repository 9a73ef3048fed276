"""Reading every image once: does it decode fully, how large is it as displayed, and what are its bytes.

It is read with what the trainer reads it with (Pillow, EXIF applied, converted to RGB): what passes here trains.
"""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from agropest.data.formats.labels import Remark
from agropest.data.health import DROPPED, KEPT
from agropest.errors import DataError, fault

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
# Pillow goes by the content, whatever the name says, and hands EPS to Ghostscript: other decoders are not asked.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")
# A larger file is no picture of the sizes that are decoded at all.
MOST_BYTES = 1 << 30
ORIENTATION_TAG = 0x0112
IMAGES_PER_TASK = 64
# Below this number of images, starting processes takes longer than reading.
IN_PROCESS_BELOW = 300


@dataclass(frozen=True)
class ImageFacts:
    """What reading an image showed.

    Attributes:
        width: as displayed (EXIF applied); 0 where it cannot be read.
        height: likewise.
        sha256: of the file's bytes.
        remarks: a dropped image has one with the action dropped.
    """

    width: int
    height: int
    sha256: str
    remarks: tuple[Remark, ...] = ()

    @property
    def readable(self) -> bool:
        """Whether the trainer can read it."""
        return self.width > 0


def read_facts(path: Path) -> ImageFacts:
    """Returns the facts of one image; never raises for what the file holds."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return ImageFacts(0, 0, "", (Remark("image-unreadable", DROPPED, "more than 1 GiB"),))
        content = path.read_bytes()
    except OSError as error:
        return ImageFacts(0, 0, "", (Remark("image-unreadable", DROPPED, error.strerror or str(error)),))
    digest = hashlib.sha256(content).hexdigest()
    if not content:
        return ImageFacts(0, 0, digest, (Remark("image-empty", DROPPED, "0 bytes"),))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged EXIF, palettes with transparency: the picture still decodes
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                return _decoded(image, digest)
    except UnidentifiedImageError:
        remark = Remark("image-unreadable", DROPPED, f"none of {', '.join(FORMATS)} by its content")
        return ImageFacts(0, 0, digest, (remark,))
    except Exception as error:  # Pillow's decoders raise almost anything for damaged files
        remark = Remark("image-unreadable", DROPPED, f"{type(error).__name__}: {error}"[:200])
        return ImageFacts(0, 0, digest, (remark,))


def _decoded(image: Image.Image, digest: str) -> ImageFacts:
    """Decodes the first frame fully, as ``detection_utils.read_image(file, "BGR")`` does, without its copies."""
    remarks = list(_remarks(image))
    orientation = _orientation(image)
    image.load()
    if image.mode != "RGB":
        image.convert("RGB")  # what cannot be converted cannot be trained on
    width, height = image.size
    if orientation in range(2, 9):
        remarks.append(Remark("exif-orientation", KEPT, f"{orientation}: boxes are taken in the displayed picture"))
    if orientation in range(5, 9):
        width, height = height, width
    return ImageFacts(width, height, digest, tuple(remarks))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION_TAG, 1))
    except Exception:  # Detectron2 shows a picture with damaged EXIF as it is stored (its issue 1885)
        return 1


def _remarks(image: Image.Image) -> Iterator[Remark]:
    if image.mode.startswith(("I", "F")):
        detail = "values above 255 are read as white; convert it to 8 bits"
        yield Remark("more-than-8-bits", KEPT, f"mode {image.mode}: {detail}")
    elif image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        yield Remark("transparency", KEPT, f"mode {image.mode}: transparency is ignored")
    elif image.mode in ("CMYK", "YCbCr", "LAB"):
        yield Remark("colour-space", KEPT, f"mode {image.mode}: converted to RGB without a colour profile")
    num_frames = getattr(image, "n_frames", 1)
    if num_frames > 1:
        yield Remark("several-frames", KEPT, f"{num_frames} frames; the first is used")


def checked_processes(processes: int | None) -> int:
    """Returns how many processes to use; None is one a core.

    Raises:
        DataError: fewer than one is asked for.
    """
    if processes is not None and processes < 1:
        raise DataError(fault("processes", "expected 1 or more", processes, "leave it out for one a core"))
    return processes or len(os.sched_getaffinity(0))


def read_all(paths: list[Path], processes: int | None = None) -> Iterable[ImageFacts]:
    """Yields the facts of every image, in order.

    Args:
        paths: image files.
        processes: that decode; None: one a core.
    """
    processes = checked_processes(processes)
    if processes == 1 or len(paths) < IN_PROCESS_BELOW:
        yield from map(read_facts, paths)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("forkserver")) as pool:
        yield from pool.map(read_facts, paths, chunksize=IMAGES_PER_TASK)
