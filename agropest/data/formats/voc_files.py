"""One Pascal VOC annotation file: the objects in a picture, as LabelImg, CVAT and Roboflow write them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from agropest.data.formats.coco.records import size_remark
from agropest.data.formats.folder import nfc, plain
from agropest.data.formats.labels import LabelledBox, Remark, fit_box
from agropest.data.health import CHANGED, DROPPED
from agropest.data.picture import ReadLine

SIDES = ("xmin", "ymin", "xmax", "ymax")
MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class VocObject:
    """An object: its class, its corners in pixels (None where the file has none), and the numbers as they stand."""

    name: str
    corners: tuple[float, float, float, float] | None
    shown: str


@dataclass(frozen=True)
class VocFile:
    """What a file says.

    Attributes:
        size: width and height; 0 where the file does not tell them.
        fault: why it cannot be read; empty where it can.
    """

    name: str
    size: tuple[int, int] = (0, 0)
    objects: tuple[VocObject, ...] = ()
    fault: str = ""

    def read(self, ids: Mapping[str, int], width: int, height: int) -> Iterator[ReadLine]:
        """Yields what each object says of a picture of this displayed size.

        Args:
            ids: class name to category id.

        Raises:
            OSError: the file cannot be read; without its boxes the image must not become background.
        """
        if self.fault:
            raise OSError(self.fault)
        boxes = [(o.corners[0], o.corners[1], *_sides(o.corners)) for o in self.objects if o.corners]
        remark = size_remark(self.size, (width, height), boxes) if all(self.size) else None
        is_other = remark is not None and remark.action == DROPPED
        if remark is not None:
            yield ReadLine(self.name, 0, None, (remark,), drops_image=is_other)
        if is_other:
            return
        is_scaled = remark is not None and remark.action == CHANGED
        across, down = (width / self.size[0], height / self.size[1]) if is_scaled else (1.0, 1.0)
        for one in self.objects:
            if one.corners is None:
                only_remarks = (Remark("no-bbox", DROPPED, one.shown),)
                yield ReadLine(self.name, 0, None, only_remarks)
                continue
            x1, y1, x2, y2 = one.corners
            box, remarks = fit_box((x1 * across, y1 * down, x2 * across, y2 * down), width, height)
            labelled = LabelledBox(ids[one.name], box) if box else None
            yield ReadLine(self.name, 0, labelled, tuple(remarks), one.corners)


def _sides(corners: tuple[float, float, float, float]) -> tuple[float, float]:
    return corners[2] - corners[0], corners[3] - corners[1]


def read_voc_file(path: Path, name: str) -> VocFile | None:
    """Returns what a file says; None where it is XML of something else.

    Args:
        name: of the file, relative to the data set.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            return VocFile(name, fault="larger than 64 MiB")
        content = path.read_bytes()
        if b"<!DOCTYPE" in content or b"<!ENTITY" in content:  # entities unfold without end, or name other files
            return VocFile(name, fault="it declares entities")
        root = ElementTree.fromstring(content)
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        return VocFile(name, fault=f"no XML: {error}"[:200])
    if root.tag != "annotation":
        return None
    sides = [_number(root.findtext(f"size/{side}")) for side in ("width", "height")]
    size = tuple(int(side) if side and side > 0 else 0 for side in sides)
    objects = tuple(filter(None, map(_object, root.iter("object"))))
    return VocFile(name, (size[0], size[1]), objects)


def _object(element: ElementTree.Element) -> VocObject | None:
    name = nfc((element.findtext("name") or "").strip())
    if not name:
        return None
    texts = [element.findtext(f"bndbox/{side}") for side in SIDES]
    numbers = [number for number in map(_number, texts) if number is not None]
    if len(numbers) < len(SIDES):
        return VocObject(name, None, plain(f"{name}: bndbox {texts}")[:200])
    x1, y1, x2, y2 = numbers
    return VocObject(name, (x1, y1, x2, y2), name)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) < 1e9 else None
