"""A Pascal VOC folder (an XML file for each picture) as pictures and their objects.

The split is given by ``ImageSets/Main/train.txt`` or by the folders' names (``train/a.xml``, ``annotations/train/``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from agropest.data.decoding import SUFFIXES
from agropest.data.formats.folder import FoundFile, nfc, plain, walk
from agropest.data.formats.labels import read_lines
from agropest.data.formats.named_path import folded
from agropest.data.formats.split_words import SPLIT_NAMES, split_of, split_of_parts
from agropest.data.formats.voc_files import VocFile, read_voc_file
from agropest.data.health import DROPPED, KEPT, Finding
from agropest.data.picture import Picture, Source
from agropest.errors import DataError, fault

LISTS = ("ImageSets", "Main")


def has_voc_files(root: Path) -> bool:
    """Returns whether there is an XML file in a folder of a data set; reads none."""
    return any(path.is_file() for pattern in ("*.xml", "*/*.xml", "*/*/*.xml") for path in root.glob(pattern))


def read_voc(root: Path, unsplit: str | None = None) -> Source | None:
    """Returns the data set of a folder's VOC files, None where there is none; reads no image yet.

    Args:
        root: the data set's folder, resolved.
        unsplit: the split of the pictures where nothing tells one; None: that is a fault.

    Raises:
        DataError: nothing tells the splits, or no object has a class.
    """
    findings: list[Finding] = []
    found = list(walk(root, root, "", findings))
    images = [file for file in found if file.suffix in SUFFIXES]
    voc = {file.name: read_voc_file(file.path, file.name) for file in found if file.suffix == ".xml"}
    read = {name: one for name, one in voc.items() if one is not None}
    if not any(one.objects for one in read.values()):
        return None
    pairs = _pairs(images, read)
    split_of_image = _splits(root, images, pairs, unsplit)
    if not any(split_of_image.values()):
        fix = (
            "list the pictures in ImageSets/Main/train.txt and val.txt, put them into folders train and valid, or "
            "write `split: {valid: 0.15, seed: 0}` into the sweep file (--split-valid 0.15 of convert, check and stats)"
        )
        rule = "expected VOC annotations that say which split each image is in"
        raise DataError(fault(f"data set {root}", rule, f"{len(read)} XML files in {_folders(read)}", fix))
    names = sorted({one.name for file in read.values() for one in file.objects})
    ids = {name: index for index, name in enumerate(names, start=1)}
    pictures = []
    for image in images:
        split = split_of_image.get(image.name, "")
        file = pairs.get(image.name)
        if not split:
            findings.append(Finding("", image.name, 0, "image-not-listed", DROPPED, "nothing tells its split"))
            continue
        if file is None:
            detail = f"no {image.path.stem}.xml; taken as background"
            findings.append(Finding(split, image.name, 0, "label-missing", KEPT, detail))
        boxes = partial(file.read, ids) if file else (lambda width, height: iter(()))
        pictures.append(Picture(split, image.path, image.name, boxes))
    used = {file.name for file in pairs.values()}
    for name in read.keys() - used:
        findings.append(Finding("", name, 0, "orphan-label", DROPPED, "no image of this name"))
    splits = tuple(split for split in SPLIT_NAMES if split in {picture.split for picture in pictures})
    categories = {index: name for name, index in ids.items()}
    return Source(root, categories, splits, tuple(pictures), findings, "corners")


def _pairs(images: list[FoundFile], read: Mapping[str, VocFile]) -> dict[str, VocFile]:
    """Returns image to its XML: of the same stem, beside it or in a folder of the same split, the nearest by name."""
    by_stem: dict[str, list[VocFile]] = defaultdict(list)
    for file in read.values():
        by_stem[_stem(file.name)].append(file)
    pairs = {}
    for image in images:
        split = split_of_parts(image.name.split("/")[:-1])
        near = []
        for file in by_stem.get(_stem(image.name), []):
            place = split_of_parts(file.name.split("/")[:-1])
            if place in (None, split) or split is None:
                near.append((_shared(file.name, image.name), file.name, file))
        if near:
            pairs[image.name] = max(near, key=lambda one: one[:2])[2]
    return pairs


def _shared(one: str, two: str) -> int:
    """Returns how many of the first folders two paths share; all, where they are in one folder."""
    ours, theirs = one.split("/")[:-1], two.split("/")[:-1]
    same = next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    return same + (ours == theirs)


def _splits(root: Path, images: list[FoundFile], pairs: Mapping[str, VocFile], unsplit: str | None) -> dict[str, str]:
    """Returns image to split, an empty text where nothing tells it."""
    listed = _listed(root)
    splits = {}
    for image in images:
        file = pairs.get(image.name)
        places = [image.name.split("/")[:-1], file.name.split("/")[:-1] if file else []]
        by_folder = next((split for split in map(split_of_parts, places) if split), None)
        splits[image.name] = listed.get(_stem(image.name), "") if listed else by_folder or ""
    if unsplit and not any(splits.values()):
        return {image.name: unsplit for image in images if image.name in pairs}
    return splits


def _listed(root: Path) -> dict[str, str]:
    """Returns stem to split of what ``ImageSets/Main`` lists; ``trainval.txt`` and lists of one class are left out."""
    folder = next((path for path in root.rglob(LISTS[1]) if path.is_dir() and path.parent.name == LISTS[0]), None)
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.txt")) if folder and folder.resolve().is_relative_to(root) else ():
        split = split_of(path.stem)
        if split and path.stem.isalpha() and path.is_file() and path.resolve().is_relative_to(root):
            for _, line in read_lines(path.read_bytes()):
                found.setdefault(folded(line.split()[0]), split)
    return found


def _stem(name: str) -> str:
    return folded(name.rpartition("/")[2].rpartition(".")[0])


def _folders(read: Mapping[str, VocFile]) -> str:
    return ", ".join(sorted({plain(nfc(name.rpartition("/")[0])) or "." for name in read})[:5])
