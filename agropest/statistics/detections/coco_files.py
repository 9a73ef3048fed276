"""COCO annotation and results files of any origin: read, held against what COCO says, and cut to what counts.

Every fault names the file, the entry and the key. What is not used here (segmentations, licences, annotation ids) may
be anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agropest import files
from agropest.errors import DataError, fault

LARGEST_ID = 2**53  # the engines hold ids as float64
LARGEST_COORDINATE = 1e9
MOST_FAULTS = 5  # of one file, in full

Fault = tuple[str, str, object, str]  # the arguments of errors.fault


@dataclass(frozen=True)
class _Rule:
    """What a value must be, and what to do where it is not; optional: the key may be missing."""

    holds: Callable[[Any], bool]
    words: str
    fix: str
    is_optional: bool = False


def read_annotations(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Returns images, categories (by id) and annotations, with nothing but the keys that count.

    An annotation without an area, or with ``null``, has that of its box. Annotations are numbered from 1: pycocotools
    and hotcoco look them up by their ids, which other tools write twice, as words, or not at all.

    Raises:
        DataError: the file is missing, is not COCO, or refers to images or categories that it does not have.
    """
    content = _read(path)
    lists = {"images": _IMAGE, "categories": _CATEGORY, "annotations": _ANNOTATION}
    if not isinstance(content, dict) or not all(isinstance(content.get(name), list) for name in lists):
        fix = "give a COCO annotation file (images, categories, annotations)"
        raise DataError(fault(str(path), "expected COCO annotations", type(content).__name__, fix))
    if not content["images"]:
        raise DataError(fault(f"{path}: images", "expected one or more", [], "give the images that were looked at"))
    _refuse(path, itertools.chain(*(_entry_faults(content[name], name, rules) for name, rules in lists.items())))
    _refuse(path, _reference_faults(content))
    images, categories, annotations = (
        [{key: item[key] for key in rules if key in item} for item in content[name]] for name, rules in lists.items()
    )
    for image, item in zip(images, content["images"], strict=True):
        size = {key: item[key] for key in ("width", "height") if type(item.get(key)) is int and item[key] > 0}
        image |= size if len(size) == 2 else {}
    for number, one in enumerate(annotations, start=1):
        area = one.get("area")
        one |= {"id": number, "iscrowd": int(one.get("iscrowd", 0))}
        one["area"] = one["bbox"][2] * one["bbox"][3] if area is None else area
    categories.sort(key=lambda category: category["id"])
    return {"images": images, "categories": categories, "annotations": annotations}


def read_results(path: Path) -> list[dict[str, Any]]:
    """Returns the entries of a COCO results file: ``image_id``, ``category_id``, ``bbox``, ``score``.

    Raises:
        DataError: the file is missing or is something else; names the first entries that do not hold.
    """
    content = _read(path)
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        content = content["annotations"]
    if not isinstance(content, list):
        fix = 'write COCO results: [{"image_id": 1, "category_id": 1, "bbox": [x, y, w, h], "score": 0.9}]'
        raise DataError(fault(str(path), "expected a list of predictions", type(content).__name__, fix))
    _refuse(path, _entry_faults(content, "entry ", _RESULT))
    return content


def _refuse(path: Path, faults: Iterator[Fault]) -> None:
    """Raises the first faults in full, and how many more there are."""
    first = [
        fault(f"{path}: {where}", rule, value, fix) for where, rule, value, fix in itertools.islice(faults, MOST_FAULTS)
    ]
    more = sum(1 for _ in faults)
    if first:
        raise DataError(*first, *([f"{path}: and {more} more"] if more else []))


def _entry_faults(items: Sequence[Any], name: str, rules: Mapping[str, _Rule]) -> Iterator[Fault]:
    for number, item in enumerate(items):
        where = f"{name}{number}" if name.endswith(" ") else f"{name}[{number}]"
        if not isinstance(item, dict):
            yield where, f"expected a mapping with {', '.join(rules)}", item, "write it as COCO does"
            continue
        for key, rule in rules.items():
            if key in item:
                if not rule.holds(item[key]):
                    yield f"{where}.{key}", f"expected {rule.words}", item[key], rule.fix
            elif not rule.is_optional:
                yield f"{where}.{key}", f"expected {rule.words}", item, rule.fix


def _reference_faults(content: Mapping[str, list[dict[str, Any]]]) -> Iterator[Fault]:
    """Yields what is there twice, and annotations of what is not there; every entry holds by itself."""
    for name, key, fix in (
        ("images", "id", "list every image once"),
        ("categories", "id", "give every category an id of its own"),
        ("categories", "name", "give every category a name of its own: tables and metrics go by name"),
    ):
        seen = set()
        for number, item in enumerate(content[name]):
            if item[key] in seen:
                yield f"{name}[{number}].{key}", "expected each once", item[key], fix
            seen.add(item[key])
    for key, name in (("image_id", "images"), ("category_id", "categories")):
        known = {item["id"] for item in content[name]}
        for number, item in enumerate(content["annotations"]):
            if item[key] not in known:
                rule = f"expected the id of one of the file's {name}"
                yield f"annotations[{number}].{key}", rule, item[key], f"add it to {name}, or leave the annotation out"


def _is_id(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_ID


def _is_text(value: Any) -> bool:
    """Returns whether this is text that can be written: half a surrogate pair cannot."""
    return isinstance(value, str) and (value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value))


def _is_number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_box(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 4:
        return False
    x, y, width, height = value  # written out: this is asked of millions of boxes
    return (
        _is_number(x, -LARGEST_COORDINATE, LARGEST_COORDINATE)
        and _is_number(y, -LARGEST_COORDINATE, LARGEST_COORDINATE)
        and _is_number(width, 0, LARGEST_COORDINATE)
        and _is_number(height, 0, LARGEST_COORDINATE)
    )


def _is_area(value: Any) -> bool:
    return value is None or _is_number(value, 0.0, LARGEST_COORDINATE**2)


def _is_score(value: Any) -> bool:
    return _is_number(value, 0.0, 1 + 2**-24)  # what float32 holds as 1


_ID_WORDS = "a whole number from 0 to 2^53"
_IMAGE_ID = _Rule(_is_id, _ID_WORDS, "give the id that the image has in `images`, not its file name")
_CATEGORY_ID = _Rule(_is_id, _ID_WORDS, "give the id that the category has in `categories`")
_BOX = _Rule(
    _is_box,
    "[x, y, width, height] in pixels, up to 1e9, width and height not below 0",
    "write the upper left corner and the size, not two corners",
)
_IMAGE = {
    "id": _Rule(_is_id, _ID_WORDS, "number the images, also where `image_id` refers to them"),
    "file_name": _Rule(_is_text, "text", "write the file's name, or leave the key out", is_optional=True),
    "source": _Rule(
        lambda value: value is None or type(value) is int or _is_text(value),
        "text or a whole number",
        "name the picture that this one is a copy of, or leave the key out",
        is_optional=True,
    ),
}
_CATEGORY = {
    "id": _Rule(_is_id, _ID_WORDS, "number the categories, also where `category_id` refers to them"),
    "name": _Rule(_is_text, "text", "write the name of the class"),
}
_ANNOTATION = {
    "image_id": _IMAGE_ID,
    "category_id": _CATEGORY_ID,
    "bbox": _BOX,
    "area": _Rule(
        _is_area, "a number of square pixels, not below 0", "leave it out: width times height", is_optional=True
    ),
    "iscrowd": _Rule(lambda value: value in (0, 1) and isinstance(value, int), "0 or 1", "leave it out: 0", True),
}
_RESULT = {
    "image_id": _IMAGE_ID,
    "category_id": _CATEGORY_ID,
    "bbox": _BOX,
    "score": _Rule(_is_score, "scores from 0 to 1", "write probabilities (the sigmoid or softmax of the logits)"),
}


def _read(path: Path) -> Any:
    try:
        return files.read_json(path)
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, a number of 5,000 digits; nesting without end
        raise DataError(fault(str(path), "expected JSON", str(error), "give a COCO file")) from None
    except OSError as error:
        raise DataError(fault(str(path), "expected a readable file", error.strerror, "check the path")) from None
