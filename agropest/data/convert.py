"""From pictures as found to COCO JSON: every image is decoded once, everything remarkable is reported."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agropest.data.box_tally import BoxTally
from agropest.data.decoding import ImageFacts, read_all
from agropest.data.formats.labels import LabelledBox
from agropest.data.health import DROPPED, KEPT, Finding
from agropest.data.judgement import judge_classes, judge_overlap, judge_split
from agropest.data.picture import Picture, Source, SplitFault
from agropest.errors import DataError, fault

# Raise this when the same data set would be converted to something else than before.
CONVERTER_VERSION = 2


@dataclass(frozen=True)
class Conversion:
    """A converted data set, in memory.

    Attributes:
        contents: split to the content of its COCO JSON.
        fingerprint: hex SHA-256 of annotations and image bytes.
        faults: of whole splits, for which the set must not be trained on (see :mod:`agropest.data.judgement`).
        pictures: image file name to the hex SHA-256 of the file, with which it is compared whenever it is read.
    """

    root: Path
    contents: dict[str, dict[str, Any]]
    findings: tuple[Finding, ...]
    fingerprint: str
    faults: tuple[SplitFault, ...] = ()
    pictures: dict[str, str] = field(default_factory=dict)


def convert(source: Source, processes: int | None = None, on_image: Callable[[], object] | None = None) -> Conversion:
    """Returns the data set as COCO; reads every image and every label, and changes nothing.

    Args:
        source: from :func:`agropest.data.source.find_source`.
        processes: that decode images; None: one a core.
        on_image: called after each image, for progress.

    Raises:
        DataError: no image of a split can be used.
    """
    findings = list(source.findings)
    splits = {split: _SplitContent(split, source, findings) for split in source.splits}
    digest = hashlib.sha256(json.dumps(list(source.categories.items()), ensure_ascii=False).encode())
    pictures: dict[str, str] = {}
    facts = read_all([picture.path for picture in source.pictures], processes)
    for picture, fact in zip(source.pictures, facts, strict=True):
        added = splits[picture.split].add(picture, fact)
        pictures[picture.file] = fact.sha256
        digest.update(json.dumps([picture.split, fact.sha256, added], ensure_ascii=False).encode() if added else b"")
        if on_image is not None:
            on_image()
    _refuse_empty(source, splits, findings)
    contents = {split: content.coco() for split, content in splits.items()}
    findings += _report_shared(splits)
    faults = _judge(source, splits)
    return Conversion(source.root, contents, tuple(sorted(findings)), digest.hexdigest(), faults, pictures)


def _refuse_empty(source: Source, splits: Mapping[str, _SplitContent], findings: list[Finding]) -> None:
    empty = [split for split, content in splits.items() if not content.images]
    if empty:
        other = any(content.others for split, content in splits.items() if split in empty)
        value = "; ".join(f"{f.file}: {f.rule}" for f in findings if f.split in empty and f.action == DROPPED)[:120]
        rule = f"expected images that decode in {', '.join(empty)}"
        if other:
            rule = f"expected images of the width and height that the file tells in {', '.join(empty)}"
        if not any(picture.split in empty for picture in source.pictures):
            rule = f"expected the images of {', '.join(empty)}"
        fix = "put images there (JPEG, PNG, BMP, WebP or TIFF), or take the split out of the set's description"
        raise DataError(fault(f"data set {source.root}", rule, value or "no image file", fix))


def _report_shared(splits: Mapping[str, _SplitContent]) -> Iterator[Finding]:
    """Yields the pictures that an earlier split has, too, byte for byte."""
    seen: dict[str, tuple[str, str]] = {}
    for split, content in splits.items():
        for sha256, file in content.hashes.items():
            other, name = seen.setdefault(sha256, (split, file))
            if other != split:
                yield Finding(split, file, 0, "picture-in-two-splits", KEPT, f"{name} in {other} has the same bytes")


def _judge(source: Source, splits: Mapping[str, _SplitContent]) -> tuple[SplitFault, ...]:
    """Returns the faults of whole splits; those of the labels' classes come before what they cause."""
    classes: Counter[int] = Counter()
    for content in splits.values():
        classes.update(content.tally.classes)
    found = judge_classes(classes, source.categories, source.first_class)
    if not found:
        for split, content in splits.items():
            hint = source.hints.get(split, "")
            found += judge_split(split, content.tally, len(content.images), content.others, hint)
    return (*judge_overlap({split: content.hashes for split, content in splits.items()}), *found)


class _SplitContent:
    """One split's COCO content, as it grows."""

    def __init__(self, split: str, source: Source, findings: list[Finding]) -> None:
        self.split, self.findings = split, findings
        self.categories = [{"id": index, "name": name} for index, name in source.categories.items()]
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.tally = BoxTally(source.box_format)
        self.hashes: dict[str, str] = {}
        self.others = 0  # images of another size than the file tells

    def add(self, picture: Picture, fact: ImageFacts) -> list[Any]:
        """Adds an image and its boxes; returns the records, or nothing where the image is dropped."""
        for remark in fact.remarks:
            self.findings.append(Finding(self.split, picture.file, 0, remark.rule, remark.action, remark.detail))
        if not fact.readable:
            return []
        try:
            lines = list(picture.read_boxes(fact.width, fact.height))
        except OSError as error:
            detail = f"its label cannot be read: {error.strerror or error}"
            self.findings.append(Finding(self.split, picture.file, 0, "label-unreadable", DROPPED, detail))
            return []
        boxes: dict[tuple[float, ...], list[LabelledBox]] = {}
        for line in lines:
            self.tally.add(line, fact.width, fact.height)
            for remark in line.remarks:
                self.findings.append(
                    Finding(self.split, line.file, line.line, remark.rule, remark.action, remark.detail)
                )
            if line.box is not None:
                self._take(line.box, boxes, line.file, line.line)
        if any(line.drops_image for line in lines):
            self.others += 1
            return []
        if not boxes and any(remark.action == DROPPED for line in lines for remark in line.remarks):
            detail = "had annotations, but none can be used; taken as background"
            self.findings.append(Finding(self.split, picture.file, 0, "no-box-left", KEPT, detail))
        self.hashes.setdefault(fact.sha256, picture.file)
        return self._store(picture, fact, [box for same in boxes.values() for box in same])

    def _take(self, box: LabelledBox, boxes: dict[tuple[float, ...], list[LabelledBox]], file: str, line: int) -> None:
        """Adds a box to those of its image, which are kept by where they are; the same one counts once."""
        same = boxes.setdefault(box.bbox_xywh, [])
        detail = "x {:g}, y {:g}, {:g}x{:g}".format(*box.bbox_xywh) if same else ""
        if any(other.class_index == box.class_index for other in same):
            detail += " stands above already"
            self.findings.append(Finding(self.split, file, line, "duplicate-box", DROPPED, detail))
            return
        if same:
            self.findings.append(Finding(self.split, file, line, "same-box-two-classes", KEPT, detail))
        same.append(box)

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
