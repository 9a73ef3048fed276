"""A COCO folder (annotations and images) as pictures and their records."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from agropest.data.decoding import SUFFIXES
from agropest.data.formats.folder import inside, nfc, plain, walk
from agropest.data.formats.labels import LabelledBox, Remark, fit_box
from agropest.data.health import DROPPED, KEPT, Finding
from agropest.data.picture import SPLIT_NAMES, Picture, ReadLine, Source
from agropest.errors import DataError, fault

# Parts of a file's or folder's name that tell the split.
SPLIT_WORDS = {"train": ("train",), "valid": ("valid", "val"), "test": ("test",)}


def find_coco_files(root: Path) -> dict[str, Path]:
    """Returns split to annotation file.

    That is ``annotations/train.json``, ``annotations/instances_val2017.json``, or Roboflow's
    ``train/_annotations.coco.json``.
    """
    found: dict[str, Path] = {}
    files = sorted(root.glob("annotations/*.json")) + sorted(root.glob("*/_annotations.coco.json"))
    for split in SPLIT_NAMES:
        for file in files:
            told = file.parent.name if file.name == "_annotations.coco.json" else file.stem
            words = told.lower().replace("-", "_").split("_")
            named = any(word.rstrip("0123456789") in SPLIT_WORDS[split] for word in words)
            if named and not any(word in words for word in ("captions", "keypoints", "panoptic", "stuff")):
                found.setdefault(split, file)
    return found


def read_coco(files: Mapping[str, Path], root: Path) -> Source:
    """Returns the data set of some COCO files; reads no image yet.

    Args:
        files: split to JSON file.
        root: the data set's folder, resolved.

    Raises:
        DataError: a file is no COCO file, or the files disagree on the categories.
    """
    findings: list[Finding] = []
    faults: list[str] = []
    contents = {split: _parse(file, faults) for split, file in files.items()}
    if faults:
        raise DataError(*faults)
    categories = _categories(contents, files, faults)
    if faults:
        raise DataError(*faults)
    # Detectron2 and pycocotools want ids from 1; the numeric order and the gaps stay.
    shift = 1 if min(categories) == 0 else 0
    pictures: list[Picture] = []
    for split, content in contents.items():
        pictures += _Reader(split, files[split], root, {i: i + shift for i in categories}, findings).read(content)
    _report_unlisted(root, pictures, findings)
    pictures.sort(key=lambda picture: picture.file)
    return Source(root, {i + shift: categories[i] for i in sorted(categories)}, tuple(files), tuple(pictures), findings)


def _parse(file: Path, faults: list[str]) -> dict[str, Any]:
    fix = "export the annotations again; docs/data.md shows what they must look like"
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        faults.append(fault(str(file), "expected JSON in UTF-8", str(error), fix))
        return {}
    keys = ("images", "annotations", "categories")
    missing = [key for key in keys if not isinstance(content, dict) or not isinstance(content.get(key), list)]
    if missing:
        faults.append(fault(str(file), "expected lists 'images', 'annotations', 'categories'", f"no {missing}", fix))
        return {}
    return dict(content)


def _categories(contents: Mapping[str, dict[str, Any]], files: Mapping[str, Path], faults: list[str]) -> dict[int, str]:
    names: dict[int, str] = {}
    for split, content in contents.items():
        for record in content["categories"]:
            index = record.get("id") if isinstance(record, dict) else None
            name = record.get("name") if isinstance(record, dict) else None
            where = f"{files[split]}: categories"
            if not isinstance(index, int) or isinstance(index, bool) or index < 0 or not isinstance(name, str):
                faults.append(fault(where, "expected a whole number 'id' and a text 'name'", record, "mend the record"))
            elif names.setdefault(index, nfc(name)) != nfc(name):
                fix = f"elsewhere this id is {names[index]!r}; give the splits the same categories"
                faults.append(fault(where, f"expected one name for id {index}", name, fix))
    if not names and not faults:
        faults.append(fault(str(next(iter(files.values()))), "expected a category", [], "list the classes"))
    return names


class _Reader:
    """Reads one split's file."""

    def __init__(self, split: str, file: Path, root: Path, ids: Mapping[int, int], findings: list[Finding]) -> None:
        self.split, self.root, self.ids, self.findings = split, root, ids, findings
        self.name = file.relative_to(root).as_posix()
        words = SPLIT_WORDS[split]
        places = [root / f"images/{file.stem.split('_')[-1]}", root / file.stem.split("_")[-1]]
        places += [root / "images" / word for word in words] + [root / word / "images" for word in words]
        self.places = [*places, *(root / word for word in words), root / "images", file.parent, root]

    def drop(self, rule: str, detail: str) -> None:
        self.findings.append(Finding(self.split, self.name, 0, rule, DROPPED, plain(detail)[:300]))

    def read(self, content: dict[str, Any]) -> Iterator[Picture]:
        """Yields the pictures of the file's content."""
        records = self._by_image(content["annotations"])
        seen_ids: set[Any] = set()
        seen_paths: set[Path] = set()
        for image in content["images"]:
            index = image.get("id") if isinstance(image, dict) else None
            name = image.get("file_name") if isinstance(image, dict) else None
            if not isinstance(index, (int, str)) or not isinstance(name, str) or not name:
                self.drop("image-record", f"expected 'id' and 'file_name', got {image!r}")
                continue
            path = self._find(name)
            if index in seen_ids or path in seen_paths:
                self.drop("image-twice", f"id {index}, {name}: id or file stands above already")
            elif path is None:
                self.drop("image-missing", f"{name} with {len(records.get(index, []))} annotations")
            else:
                size = image.get("width"), image.get("height")
                file = path.relative_to(self.root).as_posix()
                yield Picture(self.split, path, file, partial(self._boxes, records.get(index, []), size))
                seen_paths.add(path)
            seen_ids.add(index)
        for index in records.keys() - seen_ids:
            self.drop(
                "orphan-annotation", f"{len(records[index])} annotations of image id {index}, which is not listed"
            )

    def _by_image(self, annotations: list[Any]) -> dict[Any, list[dict[str, Any]]]:
        by_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        for record in annotations:
            if isinstance(record, dict) and isinstance(record.get("image_id"), (int, str)):
                by_image[record["image_id"]].append(record)
            else:
                self.drop("annotation-record", f"expected 'image_id', got {record!r}")
        return by_image

    def _find(self, name: str) -> Path | None:
        for place in self.places:
            path = place / name
            if ".." not in path.parts and inside(self.root, path) and path.is_file():
                return path
        return None

    def _boxes(
        self, records: list[dict[str, Any]], size: tuple[Any, Any], width: int, height: int
    ) -> Iterator[ReadLine]:
        if size != (width, height):
            told = f"the file says {size[0]}x{size[1]}, displayed it is {width}x{height}; boxes are taken as they are"
            yield ReadLine(self.name, 0, None, (Remark("size-differs", KEPT, told),))
        for record in records:
            box, remarks = self._box(record, width, height)
            about = f"annotation {record.get('id')}: "
            named = tuple(Remark(r.rule, r.action, plain(about + r.detail)[:300]) for r in remarks)
            yield ReadLine(self.name, 0, box, named)

    def _box(self, record: dict[str, Any], width: int, height: int) -> tuple[LabelledBox | None, list[Remark]]:
        category, bbox = record.get("category_id"), record.get("bbox")
        if isinstance(category, bool) or not isinstance(category, int) or category not in self.ids:
            return None, [Remark("class-out-of-range", DROPPED, f"category {category!r}")]
        if not isinstance(bbox, list) or len(bbox) != 4 or not all(_is_number(value) for value in bbox):
            return None, [Remark("not-a-number", DROPPED, f"bbox {bbox!r}")]
        x, y, w, h = map(float, bbox)
        if not all(map(math.isfinite, (x, y, x + w, y + h))):
            return None, [Remark("not-finite", DROPPED, f"bbox {bbox!r}")]
        box, remarks = fit_box((x, y, x + w, y + h), width, height)
        return (LabelledBox(self.ids[category], box, int(record.get("iscrowd") == 1)) if box else None), remarks


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300


def _report_unlisted(root: Path, pictures: list[Picture], findings: list[Finding]) -> None:
    """Reports images that no file lists, and junk."""
    listed = {picture.file for picture in pictures}
    for file in walk(root, root, "", findings):
        if file.suffix in SUFFIXES and file.name not in listed:
            findings.append(Finding("", file.name, 0, "image-not-listed", DROPPED, "in no annotation file"))
