"""A data set as it was found, of whichever format: pictures, and for each what its annotations say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agropest.data.formats.labels import LabelledBox, Remark
from agropest.data.health import Finding

# (split or "", rule, value, fix), as errors.fault takes them.
SplitFault = tuple[str, str, str, str]


@dataclass(frozen=True)
class ReadLine:
    """One line or record of annotations: the box it means (None where it is dropped) and what was remarkable.

    Attributes:
        file: where it stands, relative to the data set.
        line: from 1; 0 where the file has no lines to speak of.
        written: the numbers as they stand: shares of the image in a YOLO label, pixels in a COCO file.
        class_index: or category id, as it stands, also where the data set has no such class.
        drops_image: whether the image cannot be used for what this says of it.
    """

    file: str
    line: int
    box: LabelledBox | None
    remarks: tuple[Remark, ...] = ()
    written: tuple[float, ...] = ()
    class_index: int | None = None
    drops_image: bool = False


@dataclass(frozen=True)
class Picture:
    """An image and how to read its boxes, once its displayed width and height are known.

    Attributes:
        path: of the image.
        file: the same, relative to the data set.
    """

    split: str
    path: Path
    file: str
    read_boxes: Callable[[int, int], Iterator[ReadLine]]


@dataclass(frozen=True)
class Source:
    """A data set before conversion.

    Attributes:
        root: resolved folder; every file name is relative to it.
        categories: COCO category id to class name, by id.
        splits: the splits that exist, in the order train, valid, test.
        pictures: by split and file name.
        findings: what was remarkable so far.
        box_format: in which boxes are written, "xywh" (COCO), "cxcywh" (YOLO) or "corners" (VOC).
        first_class: what is written for the category that has id 1 here.
        hints: split to what its annotations lack, where that is known before any is read.
    """

    root: Path
    categories: Mapping[int, str]
    splits: tuple[str, ...]
    pictures: tuple[Picture, ...]
    findings: list[Finding] = field(default_factory=list)
    box_format: str = "xywh"
    hints: Mapping[str, str] = field(default_factory=dict)
    first_class: int = 1
