"""Which label file belongs to an image: in ``labels`` where the image is in ``images``, else beside it, else nearby.

Only names below the data set's folder decide, without regard to capitals: what lies above, or what links lead to, does
not count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from agropest.data.decoding import SUFFIXES
from agropest.data.formats.folder import FoundFile, walk
from agropest.data.formats.named_path import folded, real_folder
from agropest.data.health import DROPPED, KEPT, Finding

LABEL_SUFFIX = ".txt"


def label_folders(parts: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Returns where the labels of a folder's images may be, the usual place first; all as parts below the root."""
    found = []
    for i in range(len(parts) - 1, -1, -1):
        if folded(parts[i]) == "images":
            found.append((*parts[:i], "labels", *parts[i + 1 :]))
    found += [(*place[: place.index("labels")], "labels") for place in found]
    found += [parts, (*parts, "labels"), (*parts[:-1], "labels"), ("labels", *parts)]
    return list(dict.fromkeys(found))


class LabelFiles:
    """The label files of a data set, as they are asked for; every folder is listed once."""

    def __init__(self, root: Path, findings: list[Finding]) -> None:
        self.root, self.findings = root, findings
        self._by_stem: dict[tuple[str, str], list[FoundFile]] = defaultdict(list)
        self._walked: list[Path] = []
        self._known: dict[str, tuple[FoundFile, str]] = {}
        self._used: set[str] = set()

    def add(self, files: Iterable[FoundFile], split: str) -> None:
        """Adds files that a walk has found."""
        for file in files:
            if file.name not in self._known and file.suffix not in SUFFIXES:
                self._known[file.name] = (file, split)
                if file.suffix == LABEL_SUFFIX:
                    folder, _, name = file.name.rpartition("/")
                    self._by_stem[folded(folder), _stem(name)].append(file)

    def look_beside(self, folders: Iterable[tuple[str, ...]], split: str) -> None:
        """Lists the label folders of some image folders (parts below the root)."""
        wanted = {place for parts in folders for place in label_folders(parts)[:-1] if place != parts}
        wanted |= {("labels", *parts) for parts in folders}
        found = {folder for parts in wanted if (folder := real_folder(self.root, parts)) is not None}
        for folder in sorted(found):
            if not any(folder.is_relative_to(done) for done in self._walked):
                self._walked.append(folder)
                self.add(walk(self.root, folder, split, self.findings), split)

    def of(self, image: FoundFile, split: str) -> FoundFile | None:
        """Returns an image's label file, None where there is none; tells where it is not where it should be."""
        parts = tuple(image.name.split("/")[:-1])
        places = label_folders(parts)
        wanted = "/".join((*places[0], image.path.stem)) + LABEL_SUFFIX
        for place in places:
            found = self._by_stem.get((folded("/".join(place)), _stem(image.path.name)), [])
            if place != places[0]:  # another image, of this stem in another folder, may have it
                found = [file for file in found if file.name not in self._used]
            if found:
                break
        else:
            self._tell(split, image.name, "label-missing", f"no {wanted}; taken as background")
            return None
        label = min(found, key=lambda f: (f.name != wanted, f.path.stem != image.path.stem, f.name))
        self._used.add(label.name)
        if place != places[0]:
            where = "beside the image" if place == parts else f"in {'/'.join(place)}"
            self._tell(split, label.name, "label-elsewhere", f"taken as the label of {image.name}: it lies {where}")
        elif label.path.stem != image.path.stem or label.path.suffix != LABEL_SUFFIX:
            self._tell(split, label.name, "label-name-differs", f"taken as the label of {image.name}")
        return label

    def _tell(self, split: str, file: str, rule: str, detail: str) -> None:
        self.findings.append(Finding(split, file, 0, rule, KEPT, detail))

    def report_unused(self) -> None:
        """Reports the listed files that are no picture's label."""
        for file, split in self._known.values():
            if file.name not in self._used:
                is_label = file.suffix == LABEL_SUFFIX
                rule = "orphan-label" if is_label else "not-an-image"
                detail = "no image of this name" if is_label else "neither an image nor a label"
                self.findings.append(Finding(split, file.name, 0, rule, DROPPED, detail))


def labels_elsewhere(root: Path, images: Iterable[FoundFile]) -> Iterator[FoundFile]:
    """Yields the text files anywhere in the data set that are named like one of some images."""
    stems = {_stem(image.path.name) for image in images}
    for file in walk(root, root, "", []):
        if file.suffix == LABEL_SUFFIX and _stem(file.path.name) in stems:
            yield file


def _stem(name: str) -> str:
    """Returns a file name without its suffix, the same for NFC and NFD and for any capitals."""
    return folded(name.rsplit(".", 1)[0])
