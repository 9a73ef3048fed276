"""Which JSON files of a COCO folder hold the annotations of which split: one file, one split.

Exporters write ``annotations/instances_val2017.json`` (COCO, CVAT), ``valid/_annotations.coco.json`` (Roboflow),
``validation/labels.json`` (FiftyOne), ``val/annotations.json`` (MMDetection), or ``train.json`` beside the folders.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agropest.data.formats.folder import inside, is_junk, plain
from agropest.data.formats.split_words import SPLIT_NAMES, split_of, splits_in
from agropest.data.health import DROPPED, Finding
from agropest.errors import fault

KEYS = ("images", "annotations", "categories")
# Parts of the names of COCO's own files that hold no boxes, or those of another task.
OTHER_TASKS = frozenset({"captions", "keypoints", "panoptic", "stuff", "info", "image"})
# A folder with more JSON files than this holds one for each image.
MOST_IN_FOLDER = 24


@dataclass(frozen=True)
class CocoFiles:
    """The annotation files of a folder.

    Attributes:
        by_split: split to file.
        unsplit: files whose names tell no split, or several.
        faults: of splits that two files claim.
    """

    by_split: dict[str, Path] = field(default_factory=dict)
    unsplit: tuple[Path, ...] = ()
    findings: list[Finding] = field(default_factory=list)
    faults: tuple[str, ...] = ()


def find_coco_files(root: Path) -> CocoFiles:
    """Returns which JSON file is which split's; tells of every one that is not read."""
    findings: list[Finding] = []
    claims: dict[str, list[Path]] = defaultdict(list)
    unsplit: list[Path] = []
    for file in _json_files(root, findings):
        split = _split_of_file(file, root)
        claims[split].append(file) if split else unsplit.append(file)
    by_split: dict[str, Path] = {}
    faults: list[str] = []
    for split in SPLIT_NAMES:
        chosen = _choose(claims[split], root, split, findings)
        if len(chosen) > 1:
            names = [plain(file.relative_to(root).as_posix()) for file in chosen]
            fix = "remove or rename all but one of them"
            faults.append(fault(f"data set {root}", f"expected one annotation file for {split}", names, fix))
        elif chosen:
            by_split[split] = chosen[0]
    kept = [file for file in unsplit if holds_annotations(file)]
    for file in sorted(unsplit) if by_split else sorted(set(unsplit) - set(kept)):
        several = " and ".join(splits_in(file.stem))
        detail = f"its name tells {several or 'no split'}" if file in kept else "no COCO annotations"
        findings.append(_not_read(file, root, "", detail))
    return CocoFiles(by_split, tuple(kept) if not by_split else (), findings, tuple(faults))


def _json_files(root: Path, findings: list[Finding]) -> list[Path]:
    """Returns the JSON files in the places where annotations are, that can be read and lie in the data set."""
    found: list[Path] = []
    outer = _folders(root)
    inner = [folder for one in outer for folder in _folders(one)]
    for folder in [root, *outer, *(one for one in inner if one.name.casefold() == "annotations")]:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".json" and not is_junk(path.name))
        if len(files) > MOST_IN_FOLDER:
            detail = f"{len(files)} JSON files, one for each image as it seems; none is read"
            name = plain(folder.relative_to(root).as_posix())
            findings.append(Finding("", name, 0, "json-not-read", DROPPED, detail))
            continue
        for file in files:
            name = plain(file.relative_to(root).as_posix())
            if not inside(root, file):
                detail = f"to {plain(file.readlink())}"
                findings.append(Finding("", name, 0, "link-leaves-data-set", DROPPED, detail))
            elif not file.is_file():
                findings.append(Finding("", name, 0, "not-a-file", DROPPED, "cannot be read like a file"))
            else:
                found.append(file)
    for folder in inner:
        number = len(list(folder.rglob("*.json"))) if folder.name.casefold() != "annotations" else 0
        if number:
            detail = f"{number} JSON files in a folder where no annotations are looked for"
            name = plain(folder.relative_to(root).as_posix())
            findings.append(Finding("", name, 0, "json-not-read", DROPPED, detail))
    return found


def _folders(place: Path) -> list[Path]:
    try:
        entries = sorted(place.iterdir())
    except OSError:
        return []
    return [entry for entry in entries if entry.is_dir() and not entry.is_symlink() and not is_junk(entry.name)]


def _split_of_file(file: Path, root: Path) -> str | None:
    """Returns the split that a file's name tells, or else the folders that it is in."""
    if splits_in(file.stem):
        return split_of(file.stem)
    folders = file.relative_to(root).parts[:-1]
    return next((split for split in map(split_of, reversed(folders)) if split), None)


def _choose(files: Sequence[Path], root: Path, split: str, findings: list[Finding]) -> list[Path]:
    """Returns the files of which a split's annotations can be; several: it is not clear which."""
    detail = {file: _other_task(file) for file in files}
    chosen = [file for file in files if not detail[file]] or [file for file in files if holds_annotations(file)]
    if len(chosen) > 1:
        detail |= {file: "no COCO annotations" for file in chosen if not holds_annotations(file)}
        chosen = [file for file in chosen if detail[file] != "no COCO annotations"] or chosen
    different: dict[bytes, Path] = {}
    for file in chosen if len(chosen) > 1 else ():
        first = different.setdefault(hashlib.sha256(file.read_bytes()).digest(), file)
        detail[file] = f"the same as {plain(first.relative_to(root).as_posix())}"
    chosen = list(different.values()) or chosen
    findings += [_not_read(file, root, split, detail[file]) for file in files if file not in chosen]
    return chosen


def _other_task(file: Path) -> str:
    """Returns what a file holds by its name where that is no boxes, else an empty text."""
    found = OTHER_TASKS & set(re.findall(r"[a-z]+", file.stem.casefold()))
    if not found:
        return ""
    return (
        "it lists images without annotations" if found & {"info", "image"} else f"{', '.join(sorted(found))}: no boxes"
    )


def _not_read(file: Path, root: Path, split: str, detail: str) -> Finding:
    return Finding(split, plain(file.relative_to(root).as_posix()), 0, "json-not-read", DROPPED, detail)


def read_content(file: Path) -> Any:
    """Returns the parsed JSON of a file, None where it is none."""
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return None


def holds_annotations(file: Path) -> bool:
    """Returns whether a file has COCO's lists, and boxes or masks in them."""
    content = read_content(file)
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in KEYS):
        return False
    some = content["annotations"][:50]
    return not some or any(isinstance(one, dict) and ("bbox" in one or "segmentation" in one) for one in some)
