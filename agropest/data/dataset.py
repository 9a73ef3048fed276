"""A checked data set that everything else reads: COCO JSON per split, converted once and kept.

The cache holds, for each data set, ``<name>-<fingerprint>/`` with ``annotations/<split>.json``, ``health.json`` and
``dataset.json``, and in ``seen/`` which state of a folder (names, sizes, times) has which fingerprint. Every file is
written whole and means the same whoever writes it, so that two processes may convert the same set at once. What is no
longer as it was written, by its hash, is converted again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agropest import files
from agropest.data.convert import CONVERTER_VERSION, Conversion, convert
from agropest.data.formats.folder import stat_key
from agropest.data.health import write_findings
from agropest.data.picture import SplitFault
from agropest.data.place import DataPlace, data_place
from agropest.data.set_apart import SetApart, set_apart
from agropest.data.source import find_source
from agropest.errors import DataError, fault


@dataclass(frozen=True)
class Split:
    """One split.

    Attributes:
        name: "train", "valid" or "test".
        annotations: its COCO JSON.
        image_root: what ``file_name`` in the JSON is relative to.
    """

    name: str
    annotations: Path
    image_root: Path
    num_images: int
    num_boxes: int


@dataclass(frozen=True)
class Dataset:
    """A converted data set.

    Attributes:
        root: the folder it came from.
        fingerprint: hex SHA-256 of converted annotations and image bytes; the same on every machine.
        class_names: in the order of category ids.
        splits: those that exist, of "train", "valid", "test".
        health: health.json.
        split_faults: of whole splits: the set can be looked at, but must not be trained on.
        data_yaml: the file that was named in place of the folder, if one was.
    """

    root: Path
    fingerprint: str
    class_names: tuple[str, ...]
    splits: Mapping[str, Split]
    health: Path
    split_faults: tuple[SplitFault, ...] = ()
    data_yaml: Path | None = None

    @property
    def faults(self) -> tuple[str, ...]:
        """What keeps the set from being trained on, a sentence each."""
        place = f"data set {self.data_yaml or self.root}"
        return tuple(
            fault(f"{place}: {split}" if split else place, rule, value, fix)
            for split, rule, value, fix in self.split_faults
        )

    def split(self, name: str) -> Split:
        """Returns a split.

        Raises:
            DataError: the data set has none of this name.
        """
        if name not in self.splits:
            rule, fix = f"expected a split '{name}'", f"add {name}/images and {name}/labels, and name them in data.yaml"
            raise DataError(fault(f"data set {self.root}", rule, sorted(self.splits), fix))
        return self.splits[name]

    @property
    def num_images(self) -> dict[str, int]:
        """Split name to its number of images."""
        return {name: split.num_images for name, split in self.splits.items()}

    @property
    def paths(self) -> dict[str, tuple[Path, Path]]:
        """Split name to its COCO JSON and the folder that the file names in it are relative to."""
        return {name: (split.annotations, split.image_root) for name, split in self.splits.items()}


def load_dataset(
    root: Path,
    cache_root: Path,
    processes: int | None = None,
    on_image: Callable[[int], Callable[[], object]] | None = None,
    split: SetApart | None = None,
) -> Dataset:
    """Returns the data set in ``root``; converts it unless it is unchanged since it was converted last.

    Args:
        root: a YOLO export, a COCO or a Pascal VOC folder, or a data.yaml in it; never written to.
        cache_root: where conversions are kept, such as results/data.
        processes: that decode images; None: one a core.
        on_image: called with the number of images; returns what is called after each; not called for an unchanged set.
        split: what of the training pictures is validated on, where the set has no validation split.

    Raises:
        DataError: the folder is missing, is no data set, or cannot be used.
    """
    place = data_place(root)
    cache_root = Path(cache_root).absolute()
    refuse_inside(cache_root, place.root)
    seen = cache_root / "seen" / f"{_state(place, split)}.json"
    kept = _read_kept(seen, cache_root, place)
    if kept is not None:
        return kept
    source = find_source(place.root, place.data_yaml, "train" if split else None)
    conversion = convert(source, processes, on_image(len(source.pictures)) if on_image else None)
    conversion = set_apart(conversion, split) if split else conversion
    folder = cache_root / f"{_plain_name(source.root.name)}-{conversion.fingerprint[:12]}"
    dataset = write_conversion(conversion, folder, place.data_yaml)
    content = {"folder": folder.name, "fingerprint": conversion.fingerprint, "sha256": _sha256(folder / "dataset.json")}
    files.write_json(seen, content | {"inner": source.root.relative_to(place.root).as_posix()})
    return dataset


def _state(place: DataPlace, split: SetApart | None) -> str:
    """Returns hex digits for a folder as it is now and what is read of it."""
    named = place.data_yaml.name if place.data_yaml else ""
    apart = split.in_words() if split else ""
    identity = f"{CONVERTER_VERSION}\0{place.root}\0{named}\0{apart}\0{stat_key(place.root)}"
    return hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()[:32]


def write_conversion(conversion: Conversion, folder: Path, data_yaml: Path | None = None) -> Dataset:
    """Writes a conversion into ``folder`` and returns it as a data set.

    Args:
        data_yaml: the file that was named in place of the data set's folder.

    Raises:
        DataError: ``folder`` lies in the data set, which is never written to.
    """
    folder = Path(folder).absolute()
    refuse_inside(folder, conversion.root)
    splits = {}
    for name, content in conversion.contents.items():
        path = folder / "annotations" / f"{name}.json"
        known = conversion.pictures
        images = [{**image, "sha256": known.get(image["file_name"], "")} for image in content["images"]]
        files.write_json(path, {**content, "images": images}, indent=None)
        splits[name] = Split(name, path, conversion.root, len(content["images"]), len(content["annotations"]))
    write_findings(folder / "health.json", conversion.findings)
    categories = next(iter(conversion.contents.values()))["categories"]
    names = tuple(category["name"] for category in categories)
    health = folder / "health.json"
    dataset = Dataset(conversion.root, conversion.fingerprint, names, splits, health, conversion.faults, data_yaml)
    files.write_json(folder / "dataset.json", _described(dataset))
    return dataset


def _described(dataset: Dataset) -> dict[str, Any]:
    splits = {
        name: {
            "num_images": split.num_images,
            "num_boxes": split.num_boxes,
            "sha256": _sha256(split.annotations),
        }
        for name, split in dataset.splits.items()
    }
    return {
        "name": dataset.root.name,
        "fingerprint": dataset.fingerprint,
        "class_names": list(dataset.class_names),
        "splits": splits,
        "health": _sha256(dataset.health),
        "split_faults": [list(entry) for entry in dataset.split_faults],
        "converter_version": CONVERTER_VERSION,
    }


def _read_kept(seen: Path, cache_root: Path, place: DataPlace) -> Dataset | None:
    """Returns the kept conversion, None where there is none or it is damaged."""
    try:
        content = files.read_json(seen)
        folder, root = cache_root / content["folder"], place.root / content["inner"]
        if _sha256(folder / "dataset.json") != content["sha256"]:
            return None
        described = files.read_json(folder / "dataset.json")
        splits = {}
        for name, split in described["splits"].items():
            path = folder / "annotations" / f"{name}.json"
            if _sha256(path) != split["sha256"]:
                return None
            splits[name] = Split(name, path, root, split["num_images"], split["num_boxes"])
        health = folder / "health.json"
        whole = _sha256(health) == described["health"] and described["fingerprint"] == content["fingerprint"]
        if not whole or described["converter_version"] != CONVERTER_VERSION:
            return None
        faults = tuple((split, rule, value, fix) for split, rule, value, fix in described["split_faults"])
        names = tuple(described["class_names"])
        return Dataset(root, described["fingerprint"], names, splits, health, faults, place.data_yaml)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_inside(folder: Path, root: Path) -> None:
    """Raises DataError where ``folder`` lies in the data set."""
    if Path(folder).resolve().is_relative_to(root):
        fix = "name a folder outside the data set, which is never written to"
        raise DataError(fault(f"output {folder}", f"expected a folder outside {root}", str(folder), fix))


def _plain_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII).strip("._") or "data"
