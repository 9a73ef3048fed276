"""From pictures as found to COCO JSON: every image is decoded once, everything remarkable is reported."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agropest import files
from agropest.data.decoding import ImageFacts, read_all
from agropest.data.formats.coco import find_coco_files, read_coco
from agropest.data.formats.data_yaml import find_data_yaml
from agropest.data.formats.labels import LabelledBox
from agropest.data.formats.yolo import read_yolo
from agropest.data.health import DROPPED, KEPT, Finding
from agropest.data.picture import Picture, Source
from agropest.errors import DataError, fault

# Raise this when the same data set would be converted to something else than before.
CONVERTER_VERSION = 1

WHERE_TO_GET = (
    "get AgroPest-12 from Kaggle ('crop pests', the YOLOv8 export of AgroPest-12), or draw a demo set with "
    "'python -m agropest draw-demo DIR'"
)
LAYOUT = (
    "a YOLO export (data.yaml, train/images, train/labels, valid/..., test/...) or a COCO folder "
    "(annotations/train.json, ..., images)"
)


@dataclass(frozen=True)
class Conversion:
    """A converted data set, in memory.

    Attributes:
        contents: split to the content of its COCO JSON.
        fingerprint: hex SHA-256 of annotations and image bytes.
    """

    root: Path
    contents: dict[str, dict[str, Any]]
    findings: tuple[Finding, ...]
    fingerprint: str


def data_root(folder: Path) -> Path:
    """Returns the resolved data set folder that a user's ``folder`` (or its data.yaml) means.

    Raises:
        DataError: there is no such folder.
    """
    path = files.without_tilde(folder)
    if path.is_file() and path.suffix.lower() in (".yaml", ".yml"):
        path = path.parent
    if not path.is_dir():
        got = "a file" if path.exists() else "no such folder"
        raise DataError(fault(f"data set {path.absolute()}", f"expected {LAYOUT}", got, WHERE_TO_GET))
    return path.resolve()


def find_source(root: Path) -> Source:
    """Returns the data set in a folder, YOLO or COCO.

    Raises:
        DataError: it is neither, or it cannot be used.
    """
    data_yaml = find_data_yaml(root)
    if data_yaml is not None:
        return read_yolo(data_yaml, root)
    found = find_coco_files(root)
    if found:
        return read_coco(found, root)
    names = sorted(path.name for path in root.iterdir())[:12]
    raise DataError(fault(f"data set {root}", f"expected {LAYOUT}", names or "an empty folder", WHERE_TO_GET))


def convert(source: Source, processes: int | None = None, on_image: Callable[[], object] | None = None) -> Conversion:
    """Returns the data set as COCO; reads every image and every label, and changes nothing.

    Args:
        source: from :func:`find_source`.
        processes: that decode images; None: one a core.
        on_image: called after each image, for progress.

    Raises:
        DataError: no image of a split can be used.
    """
    findings = list(source.findings)
    splits = {split: _SplitContent(split, source, findings) for split in source.splits}
    digest = hashlib.sha256(json.dumps(list(source.categories.items()), ensure_ascii=False).encode())
    facts = read_all([picture.path for picture in source.pictures], processes)
    for picture, fact in zip(source.pictures, facts, strict=True):
        added = splits[picture.split].add(picture, fact)
        digest.update(json.dumps([picture.split, fact.sha256, added], ensure_ascii=False).encode() if added else b"")
        if on_image is not None:
            on_image()
    empty = [split for split, content in splits.items() if not content.images]
    if empty:
        told = "; ".join(f"{f.file}: {f.rule}" for f in findings if f.split in empty and f.action == DROPPED)[:120]
        rule = f"expected images that decode in {', '.join(empty)}"
        raise DataError(fault(f"data set {source.root}", rule, told or "no image file", WHERE_TO_GET))
    contents = {split: content.coco() for split, content in splits.items()}
    return Conversion(source.root, contents, tuple(sorted(findings)), digest.hexdigest())


class _SplitContent:
    """One split's COCO content, as it grows."""

    def __init__(self, split: str, source: Source, findings: list[Finding]) -> None:
        self.split, self.findings = split, findings
        self.categories = [{"id": index, "name": name} for index, name in source.categories.items()]
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def add(self, picture: Picture, fact: ImageFacts) -> list[Any]:
        """Adds an image and its boxes; returns the records, or nothing where the image is dropped."""
        for remark in fact.remarks:
            self.findings.append(Finding(self.split, picture.file, 0, remark.rule, remark.action, remark.detail))
        if not fact.readable:
            return []
        try:
            lines = list(picture.read_boxes(fact.width, fact.height))
        except OSError as error:
            told = f"its label cannot be read: {error.strerror or error}"
            self.findings.append(Finding(self.split, picture.file, 0, "label-unreadable", DROPPED, told))
            return []
        boxes: list[LabelledBox] = []
        for line in lines:
            for remark in line.remarks:
                self.findings.append(
                    Finding(self.split, line.file, line.line, remark.rule, remark.action, remark.detail)
                )
            if line.box is not None and self._is_new(line.box, boxes, line.file, line.line):
                boxes.append(line.box)
        if not boxes and any(remark.action == DROPPED for line in lines for remark in line.remarks):
            told = "had annotations, but none can be used; taken as background"
            self.findings.append(Finding(self.split, picture.file, 0, "no-box-left", KEPT, told))
        return self._store(picture, fact, boxes)

    def _is_new(self, box: LabelledBox, boxes: list[LabelledBox], file: str, line: int) -> bool:
        same = [other for other in boxes if other.bbox_xywh == box.bbox_xywh]
        x, y, w, h = box.bbox_xywh
        told = f"x {x:g}, y {y:g}, {w:g}x{h:g}"
        if any(other.class_index == box.class_index for other in same):
            self.findings.append(
                Finding(self.split, file, line, "duplicate-box", DROPPED, f"{told} stands above already")
            )
            return False
        if same:
            self.findings.append(Finding(self.split, file, line, "same-box-two-classes", KEPT, told))
        return True

    def _store(self, picture: Picture, fact: ImageFacts, boxes: list[LabelledBox]) -> list[Any]:
        image = {
            "id": len(self.images) + 1,
            "file_name": picture.file,
            "width": fact.width,
            "height": fact.height,
            "source": source_stem(picture.file),
        }
        annotations = [
            {
                "id": len(self.annotations) + i,
                "image_id": image["id"],
                "category_id": box.class_index,
                "bbox": list(box.bbox_xywh),
                "area": round(box.bbox_xywh[2] * box.bbox_xywh[3], 4),
                "iscrowd": box.iscrowd,
            }
            for i, box in enumerate(boxes, start=1)
        ]
        self.images.append(image)
        self.annotations += annotations
        return [image, annotations]

    def coco(self) -> dict[str, Any]:
        return {"images": self.images, "annotations": self.annotations, "categories": self.categories}


def source_stem(file_name: str) -> str:
    """Returns what augmented copies of one picture share: the stem before ``.rf.``, or the stem."""
    name = file_name.rsplit("/", 1)[-1]
    return name.split(".rf.")[0] if ".rf." in name else name.rsplit(".", 1)[0]
