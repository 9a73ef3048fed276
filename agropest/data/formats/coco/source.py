"""A COCO folder (annotations and images) as pictures and their records."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from agropest.data.decoding import SUFFIXES
from agropest.data.formats.coco.categories import leave_out_groups, plain_text, read_categories
from agropest.data.formats.coco.layout import KEYS
from agropest.data.formats.coco.records import RecordReader
from agropest.data.formats.folder import FoundFile, plain, walk
from agropest.data.formats.named_path import FilesByName, path_parts
from agropest.data.formats.split_words import SPLIT_WORDS
from agropest.data.health import DROPPED, KEPT, Finding
from agropest.data.picture import Picture, ReadLine, Source
from agropest.errors import DataError, fault

MOST_FAULTS = 5  # of one file, in full
# Findings of the annotation files themselves, which come first and may be told of a file that the walk tells, too.
MOST_COMPARED = 100
REMOVE = "export the annotations again; docs/data.md shows what they must look like"


def read_coco(coco_files: Mapping[str, Path], root: Path, findings: list[Finding] | None = None) -> Source:
    """Returns the data set of some COCO files; reads no image yet.

    Args:
        coco_files: split to JSON file.
        root: the data set's folder, resolved.
        findings: what was remarkable so far.

    Raises:
        DataError: a file is no COCO file, the files disagree on the categories, or an image id stands for two images.
    """
    findings = [] if findings is None else findings
    faults: list[str] = []
    contents = {}
    for split, file in coco_files.items():
        content = _parse(file, faults)
        if split == "test" and isinstance(content.get("images"), list) and "annotations" not in content:
            detail = "it lists images without annotations"
            name = file.relative_to(root).as_posix()
            findings.append(Finding(split, name, 0, "json-not-read", DROPPED, detail))
        else:
            _require_lists(file, content, faults)
            contents[split] = content
    if faults:
        raise DataError(*faults)
    leave_out_groups(contents, coco_files, root, findings)
    categories = read_categories(contents, coco_files, faults)
    for split, content in contents.items():
        _refuse_shared_ids(coco_files[split], content["images"], faults)
    if faults:
        raise DataError(*faults)
    # Detectron2 and pycocotools want ids from 1; the numeric order and the gaps stay.
    shift = 1 if min(categories) == 0 else 0
    images = list(_images(root, findings))
    by_name = FilesByName(images)
    pictures: list[Picture] = []
    hints: dict[str, str] = {}
    for split, content in contents.items():
        ids = {i: i + shift for i in categories}
        reader = _Reader(split, coco_files[split], root, by_name, ids, findings)
        pictures += reader.read(content)
        if reader.hint:
            hints[split] = reader.hint
    _report_unlisted(images, pictures, findings)
    pictures.sort(key=lambda picture: picture.file)
    named = {i + shift: categories[i] for i in sorted(categories)}
    return Source(root, named, tuple(contents), tuple(pictures), findings, hints=hints, first_class=1 - shift)


def _parse(file: Path, faults: list[str]) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        faults.append(fault(str(file), "expected JSON in UTF-8", str(error), REMOVE))
        return {key: [] for key in KEYS}
    return content if isinstance(content, dict) else {}


def _require_lists(file: Path, content: dict[str, Any], faults: list[str]) -> None:
    missing = [key for key in KEYS if not isinstance(content.get(key), list)]
    if missing == ["annotations"] and "annotations" not in content:
        fix = "a split needs boxes: give the annotations, or remove the file"
        faults.append(fault(str(file), "expected annotations", "a list of images without annotations", fix))
    elif missing:
        faults.append(fault(str(file), f"expected lists {', '.join(map(repr, KEYS))}", f"no {missing}", REMOVE))


def image_key(value: Any) -> int | str | None:
    """Returns an image's id, the same for ``7`` and ``"7"``; None where it is none."""
    if isinstance(value, str) and value.isdecimal() and value.isascii() and str(int(value[:20])) == value:
        return int(value)
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def _refuse_shared_ids(file: Path, images: list[Any], faults: list[str]) -> None:
    """Adds faults where one id stands for two files: the boxes could be either file's."""
    names: dict[int | str, str] = {}
    shared: dict[int | str, str] = {}
    for image in images:
        key = image_key(image.get("id")) if isinstance(image, dict) else None
        name = image.get("file_name") if isinstance(image, dict) else None
        if key is not None and isinstance(name, str) and names.setdefault(key, name) != name:
            shared.setdefault(key, name)
    fix = "its boxes could be either picture's: give every image an id of its own, also in the annotations"
    for key, name in list(shared.items())[:MOST_FAULTS]:
        where = f"{file}: images, id {key}"
        faults.append(fault(where, "expected one image for an id", plain_text(f"{names[key]} and {name}"), fix))
    if len(shared) > MOST_FAULTS:
        faults.append(f"{file}: images: and {len(shared) - MOST_FAULTS} more ids")


def _images(root: Path, findings: list[Finding]) -> Iterator[FoundFile]:
    detail: list[Finding] = []
    yield from (file for file in walk(root, root, "", detail) if file.suffix in SUFFIXES)
    findings += [finding for finding in detail if finding not in findings[:MOST_COMPARED]]


class _Reader:
    """Reads one split's file."""

    def __init__(
        self,
        split: str,
        file: Path,
        root: Path,
        images: FilesByName,
        ids: Mapping[int, int],
        findings: list[Finding],
    ) -> None:
        self.split, self.images, self.findings = split, images, findings
        self.name = file.relative_to(root).as_posix()
        self.records = RecordReader(self.name, ids)
        self.hint = ""
        words = SPLIT_WORDS[split]
        last = file.stem.split("_")[-1]
        own = file.parent.relative_to(root).parts
        places = [("images", last), (last,)]
        places += [("images", word) for word in words] + [(word, "images") for word in words] + [(w,) for w in words]
        self.places = [*places, ("images",), own, (*own, "images"), (*own, "data"), (*own[:-1], "images"), ()]

    def tell(self, rule: str, action: str, detail: str) -> None:
        self.findings.append(Finding(self.split, self.name, 0, rule, action, plain_text(plain(detail))[:300]))

    def read(self, content: dict[str, Any]) -> Iterator[Picture]:
        """Yields the pictures of the file's content."""
        records = self._by_image(content["annotations"])
        listed: dict[int | str, None] = {}
        found: dict[str, tuple[FoundFile, list[dict[str, Any]]]] = {}
        for image in content["images"]:
            key = image_key(image.get("id")) if isinstance(image, dict) else None
            name = image.get("file_name") if isinstance(image, dict) else None
            if key is None or not isinstance(name, str) or not name:
                self.tell("image-record", DROPPED, f"expected 'id' and 'file_name', got {image!r}")
                continue
            file = self._find(name, len(records.get(key, [])))
            if file is not None and key not in listed:
                first = found.setdefault(file.name, (file, []))[1]
                if first:
                    ids = f"ids {first[0]['id']} and {key}"
                    self.tell("image-twice", KEPT, f"{name}: {ids}; the boxes of both are taken")
                first.append(image)
            elif file is not None:
                self.tell("image-twice", KEPT, f"{name}: id {key} stands above already, with the same name")
            listed[key] = None
        for file, rows in found.values():
            parts = [(records.get(image_key(row["id"]), []), (row.get("width"), row.get("height"))) for row in rows]
            yield Picture(self.split, file.path, file.name, partial(self._boxes, parts))
        orphans = records.keys() - listed
        for key in orphans:
            self.tell("orphan-annotation", DROPPED, f"{len(records[key])} annotations of image id {key}, not listed")
        if not content["annotations"]:
            self.hint = f"no annotation in {self.name}"
        elif len(orphans) == len(records):
            some = ", ".join(sorted(map(str, orphans))[:2])
            self.hint = f"no annotation of an image that {self.name} lists (they are of image ids such as {some})"

    def _by_image(self, annotations: list[Any]) -> dict[Any, list[dict[str, Any]]]:
        by_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        for record in annotations:
            key = image_key(record.get("image_id")) if isinstance(record, dict) else None
            if key is not None:
                by_image[key].append(record)
            else:
                self.tell("annotation-record", DROPPED, f"expected 'image_id', got {record!r}")
        return by_image

    def _find(self, name: str, num_annotations: int) -> FoundFile | None:
        """Returns the file that a ``file_name`` means; tells where there is none, or where it had to be repaired."""
        parts = path_parts(name)
        leads_out = name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/")
        for place in self.places if parts and not leads_out and "\\" not in name else ():
            file = self.images.at(place, parts)
            if file is not None:
                return file
        several = self.images.by_last_parts(parts, self.split)
        if not several and "%" in name:
            several = self.images.by_last_parts(path_parts(unquote(name)), self.split)
        if len(several) == 1:
            if f"/{several[0].name}".endswith(f"/{name}"):
                return several[0]
            self.tell("path-repaired", KEPT, f"{name}: {several[0].name} is read")
            return several[0]
        rule = "image-ambiguous" if several else "image-missing"
        detail = f": {several[0].name} or {several[1].name}" if several else ""
        self.tell(rule, DROPPED, f"{name} with {num_annotations} annotations{detail}")
        return None

    def _boxes(
        self, parts: list[tuple[list[dict[str, Any]], tuple[Any, Any]]], width: int, height: int
    ) -> Iterator[ReadLine]:
        for records, stated_size in parts:
            yield from self.records.read(records, stated_size, width, height)


def _report_unlisted(images: list[FoundFile], pictures: list[Picture], findings: list[Finding]) -> None:
    """Reports images that no file lists."""
    listed = {picture.file for picture in pictures}
    for file in images:
        if file.name not in listed:
            findings.append(Finding("", file.name, 0, "image-not-listed", DROPPED, "in no annotation file"))
