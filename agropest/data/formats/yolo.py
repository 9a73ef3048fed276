"""A YOLO export (detection or segmentation labels) as pictures and their label lines."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path

from agropest.data.decoding import SUFFIXES
from agropest.data.formats.data_yaml import DataYaml, read_data_yaml
from agropest.data.formats.folder import FoundFile, is_junk, nfc, plain, walk
from agropest.data.formats.labels import LabelledBox, Remark, read_label_line, read_lines
from agropest.data.health import DROPPED, KEPT, Finding
from agropest.data.picture import Picture, ReadLine, Source


def read_yolo(file: Path, root: Path) -> Source:
    """Returns the data set that ``data.yaml`` describes; reads no image and no label yet.

    Args:
        file: data.yaml.
        root: the data set's folder, resolved.

    Raises:
        DataError: data.yaml cannot be used.
    """
    said = read_data_yaml(file, root)
    findings = list(said.findings)
    if any((root / "annotations").glob("*.json")):
        findings.append(Finding("", "annotations", 0, "other-format", DROPPED, f"{file.name} is read instead"))
    categories = {index + 1: name for index, name in said.names.items()}
    pictures: list[Picture] = []
    for split, folders in said.folders.items():
        _report_shared(split, folders, said, root, findings)
        for folder in folders:
            pictures += _read_folder(split, folder, root, said.names, findings)
    _report_unread(root, {folder for folders in said.folders.values() for folder in folders}, findings)
    pictures.sort(key=lambda picture: picture.file)
    return Source(root, categories, tuple(said.folders), tuple(pictures), findings)


def _report_shared(split: str, folders: tuple[Path, ...], said: DataYaml, root: Path, findings: list[Finding]) -> None:
    for other in said.folders:
        for folder in set(folders) & set(said.folders[other]) if other < split else ():
            name = folder.relative_to(root).as_posix()
            findings.append(Finding(split, name, 0, "folder-in-two-splits", KEPT, f"{other} reads it too"))


def _report_unread(root: Path, read: set[Path], findings: list[Finding]) -> None:
    """Reports folders with images that belong to no split."""
    done = read | {label_folder(folder) for folder in read}
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if Path(place, name) not in done and not is_junk(name))
        images = sum(name[name.rfind(".") :].lower() in SUFFIXES for name in names if not is_junk(name))
        if images:
            name = plain(Path(place).relative_to(root).as_posix())
            findings.append(Finding("", name, 0, "folder-not-read", DROPPED, f"{images} images of no split"))


@lru_cache(maxsize=1024)
def label_folder(images: Path) -> Path:
    """Returns where the labels of a folder of images are: beside it, ``images`` exchanged for ``labels``."""
    parts = images.parts
    for i in range(len(parts) - 1, 0, -1):
        if parts[i] == "images":
            return Path(*parts[:i], "labels", *parts[i + 1 :])
    return images


def _read_folder(
    split: str, folder: Path, root: Path, names: Mapping[int, str], findings: list[Finding]
) -> Iterator[Picture]:
    files = list(walk(root, folder, split, findings))
    images = [file for file in files if file.suffix in SUFFIXES]
    labels = {file.name: file for file in files if file.suffix == ".txt"}
    for other in sorted({label_folder(image.path.parent) for image in images} | {label_folder(folder)}):
        if other != folder and other.is_dir() and not other.is_relative_to(folder):
            found = walk(root, other, split, findings)
            labels.update((file.name, file) for file in found)
    by_stem = _by_stem(labels.values())
    used: set[str] = set()
    for image in _one_per_stem(images, split, findings):
        label = _find_label(image, root, by_stem, split, findings)
        if label is not None:
            used.add(label.name)
        yield Picture(split, image.path, image.name, partial(_read_label, label, names))
    for file in ({file.name: file for file in files} | labels).values():
        if file.suffix not in SUFFIXES and file.name not in used:
            rule = "orphan-label" if file.suffix == ".txt" else "not-an-image"
            detail = "no image of this name" if file.suffix == ".txt" else "neither an image nor a label"
            findings.append(Finding(split, file.name, 0, rule, DROPPED, detail))


def _key(name: str) -> str:
    """Returns a file name without its suffix, the same for NFC and NFD."""
    return nfc(name.rsplit(".", 1)[0])


def _by_stem(labels: Iterable[FoundFile]) -> dict[str, list[FoundFile]]:
    stems: dict[str, list[FoundFile]] = defaultdict(list)
    for label in labels:
        if label.suffix == ".txt":
            stems[_key(label.name)].append(label)
    return stems


def _one_per_stem(images: list[FoundFile], split: str, findings: list[Finding]) -> Iterator[FoundFile]:
    """Yields the images, of several with one stem the first alone: one label file cannot be right for two pictures."""
    seen: dict[str, str] = {}
    for image in images:
        first = seen.setdefault(_key(image.name), image.name)
        if first == image.name:
            yield image
        else:
            findings.append(Finding(split, image.name, 0, "same-stem", DROPPED, f"{first} has the same label file"))


@lru_cache(maxsize=1024)
def _label_prefix(folder: Path, root: Path) -> str:
    """Returns what the names of the labels of a folder's images start with."""
    labels = label_folder(folder)
    return "" if labels == root else f"{labels.relative_to(root).as_posix()}/"


def _find_label(
    image: FoundFile, root: Path, by_stem: Mapping[str, list[FoundFile]], split: str, findings: list[Finding]
) -> FoundFile | None:
    stem = f"{_label_prefix(image.path.parent, root)}{image.path.stem}"
    found = by_stem.get(nfc(stem), [])
    if not found:
        findings.append(Finding(split, image.name, 0, "label-missing", KEPT, f"no {stem}.txt; taken as background"))
        return None
    label = min(found, key=lambda label: (label.name != f"{stem}.txt", label.path.stem != image.path.stem, label.name))
    if label.path.stem != image.path.stem or label.path.suffix != ".txt":
        findings.append(
            Finding(split, label.name, 0, "label-name-differs", KEPT, f"taken as the label of {image.name}")
        )
    return label


def _read_label(label: FoundFile | None, names: Mapping[int, str], width: int, height: int) -> Iterator[ReadLine]:
    """Yields what each line of a label file says.

    Raises:
        OSError: the file cannot be read; without its label the image must not become background.
    """
    if label is None:
        return
    num_classes = max(names) + 1
    for number, line in read_lines(label.path.read_bytes()):
        box, remarks = read_label_line(line, num_classes, width, height)
        if box is not None and box.class_index not in names:
            remarks.append(Remark("class-without-name", DROPPED, f"class {box.class_index}"))
            box = None
        if box is not None:
            box = LabelledBox(box.class_index + 1, box.bbox_xywh)
        yield ReadLine(label.name, number, box, tuple(remarks))
