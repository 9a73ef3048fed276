"""A YOLO export (detection, segmentation or key-point labels) as pictures and their label lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agropest.data.decoding import SUFFIXES
from agropest.data.formats.data_yaml import DataYaml, read_data_yaml
from agropest.data.formats.folder import FoundFile, nfc, plain, walk
from agropest.data.formats.image_list import read_image_list
from agropest.data.formats.label_files import LabelFiles, labels_elsewhere
from agropest.data.formats.labels import LabelledBox, Remark, read_label_line, read_lines
from agropest.data.formats.named_path import FilesByName
from agropest.data.health import DROPPED, Finding
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
    reader = _Reader(said, root, findings)
    pictures = [picture for split in said.splits for picture in reader.read(split)]
    reader.labels.report_unused()
    _report_unread(root, reader.seen, findings)
    pictures.sort(key=lambda picture: picture.file)
    categories = {index + 1: name for index, name in said.names.items()}
    splits = said.splits
    return Source(root, categories, splits, tuple(pictures), findings, "cxcywh", reader.hints, first_class=0)


class _Reader:
    """Reads the splits of a data set, one after the other."""

    def __init__(self, said: DataYaml, root: Path, findings: list[Finding]) -> None:
        self.said, self.root, self.findings = said, root, findings
        self.labels = LabelFiles(root, findings)
        self.seen: set[str] = set()
        self.hints: dict[str, str] = {}
        self._line = LineReader(said.names, said.key_point_columns)

    def read(self, split: str) -> Iterator[Picture]:
        """Yields the pictures of a split."""
        images = self._images(split)
        folders = {tuple(image.name.split("/")[:-1]) for image in images}
        folders |= {folder.relative_to(self.root).parts for folder in self.said.folders.get(split, ())}
        self.labels.look_beside(sorted(folders), split)
        self.seen |= {image.name for image in images}
        without: list[FoundFile] = []
        images = list(_one_per_stem(images, split, self.findings))
        for image in images:
            label = self.labels.of(image, split)
            if label is None:
                without.append(image)
            yield Picture(split, image.path, image.name, partial(self._line.read, label))
        if images and len(without) == len(images):
            self.hints[split] = self._no_labels(split, without)

    def _images(self, split: str) -> list[FoundFile]:
        found: dict[str, FoundFile] = {}
        for folder in self.said.folders.get(split, ()):
            files = list(walk(self.root, folder, split, self.findings))
            self.labels.add(files, split)
            found |= {file.name: file for file in files if file.suffix in SUFFIXES}
        lists = self.said.lists.get(split, ())
        if lists:
            by_name = FilesByName(_all_images(self.root))
            for file in lists:
                listed = read_image_list(file, split, self.root, self.said.base, by_name, self.findings)
                found |= {image.name: image for image in listed}
            folders = {image.path.parent for image in found.values()}
            for folder in sorted(folders):
                beside = (file for file in walk(self.root, folder, split, []) if file.path.parent == folder)
                self.labels.add((file for file in beside if file.suffix == ".txt"), split)
        return list(found.values())

    def _no_labels(self, split: str, images: list[FoundFile]) -> str:
        """Returns what is known of a split of which no image has a label file."""
        detail = f"no label file for any of its {len(images)} images"
        folders = sorted({file.name.rpartition("/")[0] or "." for file in labels_elsewhere(self.root, images)})
        return detail + (f", but files of these names in {', '.join(folders[:3])}" if folders else "")


def _all_images(root: Path) -> Iterator[FoundFile]:
    return (file for file in walk(root, root, "", []) if file.suffix in SUFFIXES)


def _report_unread(root: Path, seen: set[str], findings: list[Finding]) -> None:
    """Reports folders with images that belong to no split."""
    unread: dict[str, int] = defaultdict(int)
    for file in _all_images(root):
        if file.name not in seen:
            unread[file.name.rpartition("/")[0] or "."] += 1
    for name, number in sorted(unread.items()):
        findings.append(Finding("", plain(name), 0, "folder-not-read", DROPPED, f"{number} images of no split"))


def _one_per_stem(images: list[FoundFile], split: str, findings: list[Finding]) -> Iterator[FoundFile]:
    """Yields the images, of several with one stem the first alone: one label file cannot be right for two pictures."""
    seen: dict[str, str] = {}
    for image in images:
        first = seen.setdefault(nfc(image.name.rsplit(".", 1)[0]), image.name)
        if first == image.name:
            yield image
        else:
            findings.append(Finding(split, image.name, 0, "same-stem", DROPPED, f"{first} has the same label file"))


@dataclass(frozen=True)
class LineReader:
    """Reads label files of a data set.

    Attributes:
        names: class index to name.
        key_point_columns: that follow each box.
    """

    names: Mapping[int, str]
    key_point_columns: int

    def read(self, label: FoundFile | None, width: int, height: int) -> Iterator[ReadLine]:
        """Yields what each line of a label file says.

        Raises:
            OSError: the file cannot be read; without its label the image must not become background.
        """
        if label is None:
            return
        num_classes = max(self.names) + 1
        for number, line in read_lines(label.path.read_bytes()):
            box, remarks, written = read_label_line(line, num_classes, width, height, self.key_point_columns)
            if box is not None and box.class_index not in self.names:
                remarks.append(Remark("class-without-name", DROPPED, f"class {box.class_index}"))
                box = None
            if box is not None:
                box = LabelledBox(box.class_index + 1, box.bbox_xywh)
            word = line.split(maxsplit=1)[0]
            index = int(word) if word.isdecimal() and len(word) < 10 else None
            yield ReadLine(label.name, number, box, tuple(remarks), written, index)
