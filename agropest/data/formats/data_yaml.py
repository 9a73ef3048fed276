"""``data.yaml`` of a YOLO export: class names, and where the splits are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from agropest import plain_yaml
from agropest.data.formats.folder import inside, nfc
from agropest.data.formats.named_path import as_it_stands
from agropest.data.formats.yaml_places import KEYS, find_places, refuse_shared
from agropest.data.health import KEPT, Finding
from agropest.errors import DataError, fault
from agropest.readable import one_line

FILE_NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
SPLIT_KEYS = tuple(key for keys in KEYS.values() for key in keys)
KNOWN_KEYS = {"path", "nc", "names", "roboflow", "download", "yaml_file", "kpt_shape", "flip_idx", *SPLIT_KEYS}
HIGHEST_CLASS = 99_999


@dataclass(frozen=True)
class DataYaml:
    """What data.yaml says, once its paths are found.

    Attributes:
        names: class index to name, by index; an index without a name is missing.
        folders: split to its image folders, inside the data set.
        lists: split to its text files that list images, inside the data set.
        base: ``path``, which the lists may be relative to; None where data.yaml has none that is in the data set.
        key_point_columns: that follow the box in every label line; 0 where the set has no key points.
    """

    file: Path
    names: dict[int, str]
    folders: dict[str, tuple[Path, ...]]
    lists: dict[str, tuple[Path, ...]]
    base: Path | None
    key_point_columns: int
    findings: tuple[Finding, ...]

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have a folder or a list."""
        return tuple(split for split in KEYS if split in self.folders or split in self.lists)


def find_data_yaml(root: Path) -> Path | None:
    """Returns the data.yaml of a folder, None where there is none.

    Raises:
        DataError: several files could be it, or it leads out of the data set.
    """
    named = [root / name for name in FILE_NAMES if (root / name).is_file()]
    found = named[:1] or [path for path in _others(root) if _describes_data(path)]
    if len(found) > 1:
        fix = "name the one that is meant in place of the folder"
        names = [path.name for path in found]
        raise DataError(fault(f"data set {root}", "expected one file that describes it", names, fix))
    if found and not inside(root, found[0]):
        fix = "copy the file into the data set's folder; nothing outside that folder is read"
        raise DataError(fault(str(found[0]), "expected a file of the data set", f"a link to {found[0].resolve()}", fix))
    return found[0] if found else None


def _others(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("*.y*ml") if path.is_file() and inside(root, path))


def _describes_data(file: Path) -> bool:
    """Returns whether a YAML file has the keys of a data.yaml: other programs leave theirs in the folder, too."""
    try:
        content = _parse(file)
    except DataError:
        return False
    return "names" in content and any(key in content for key in SPLIT_KEYS)


def read_data_yaml(file: Path, root: Path) -> DataYaml:
    """Returns the checked content of ``file``.

    Raises:
        DataError: every fault of the file at once.
    """
    content = _parse(file)
    faults: list[str] = []
    findings: list[Finding] = []
    names = _names(content.get("names"), f"{file}: names", faults)
    _compare_nc(content.get("nc"), names, file, faults, findings)
    columns = _key_point_columns(content.get("kpt_shape"), f"{file}: kpt_shape", faults)
    if columns:
        detail = f"{columns} columns of key points follow each box and are left out"
        findings.append(Finding("", file.name, 0, "key-points", KEPT, detail))
    base = _base(content.get("path"), root)
    places = {}
    for split in KEYS:
        found = find_places(content, split, file, root, base, faults, findings)
        if found:
            places[split] = found
    refuse_shared(places, file, root, faults)
    if not places and not faults:
        fix = "write 'train: train/images', 'val: valid/images' and put the images there"
        faults.append(fault(str(file), f"expected image folders below {root}", _paths(content), fix))
    for key in sorted(str(key) for key in content if key not in KNOWN_KEYS):
        findings.append(Finding("", file.name, 0, "unknown-key", KEPT, f"{key} is not used"))
    if faults:
        raise DataError(*faults)
    folders = {split: tuple(p for p in found if p.is_dir()) for split, found in places.items()}
    lists = {split: tuple(p for p in found if not p.is_dir()) for split, found in places.items()}
    folders, lists = ({split: found for split, found in some.items() if found} for some in (folders, lists))
    return DataYaml(file, names, folders, lists, base, columns, tuple(findings))


def _base(path: object, root: Path) -> Path | None:
    return as_it_stands(path, [root], root) if isinstance(path, str) else None


def _key_point_columns(shape: object, where: str, faults: list[str]) -> int:
    if shape is None:
        return 0
    if isinstance(shape, list) and len(shape) == 2 and all(type(n) is int and n > 0 for n in shape):
        return int(shape[0] * shape[1])
    fix = "write the number of key points and 2 or 3 numbers for each, such as [17, 3]; or leave it out"
    faults.append(fault(where, "expected two whole numbers", shape, fix))
    return 0


def _parse(file: Path) -> dict[Any, Any]:
    fix = "see docs/data.md for what it must look like"
    try:
        content = plain_yaml.load(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(fault(str(file), "expected YAML in UTF-8", " ".join(str(error).split()), fix)) from None
    if not isinstance(content, dict):
        raise DataError(fault(str(file), "expected keys and values", content, fix))
    return content


def _names(value: Any, where: str, faults: list[str]) -> dict[int, str]:
    """Returns index to name of a list or a dict of names; adds what is wrong to ``faults``."""
    if isinstance(value, list):
        items: list[tuple[Any, Any]] = list(enumerate(value))
    elif isinstance(value, dict):
        items = list(value.items())
    else:
        items = []
    if not items:
        faults.append(fault(where, "expected a list of class names", value, "write names: [Ants, Bees, ...]"))
    names: dict[int, str] = {}
    seen: set[str] = set()
    for index, name in items:
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index <= HIGHEST_CLASS:
            rule = f"expected class numbers from 0 to {HIGHEST_CLASS}"
            faults.append(fault(where, rule, index, "number the classes 0, 1, 2, ..."))
        elif not isinstance(name, str):
            faults.append(fault(f"{where}[{index}]", "expected text", name, "put it into quotes"))
        elif not name.strip():
            faults.append(fault(f"{where}[{index}]", "expected a name", name, "give the class a name"))
        elif nfc(name.strip()) in seen:
            faults.append(fault(f"{where}[{index}]", "expected different names", name, "rename one of the two"))
        else:
            names[index] = one_line(nfc(name.strip()))
            seen.add(names[index])
    return dict(sorted(names.items()))


def _compare_nc(nc: Any, names: dict[int, str], file: Path, faults: list[str], findings: list[Finding]) -> None:
    if nc is not None and (not isinstance(nc, int) or isinstance(nc, bool)):
        faults.append(fault(f"{file}: nc", "expected the number of classes", nc, "write a number, or leave nc out"))
    elif nc is not None and nc != len(names):
        findings.append(
            Finding("", file.name, 0, "nc-differs", KEPT, f"nc is {nc}, but {len(names)} names; names count")
        )
    missing = sorted(set(range(max(names, default=-1) + 1)) - set(names))
    if missing:
        detail = f"no name for {', '.join(map(str, missing[:20]))}; labels of these classes are dropped"
        findings.append(Finding("", file.name, 0, "names-gap", KEPT, detail))


def _paths(content: dict[Any, Any]) -> dict[str, Any]:
    return {key: content[key] for keys in KEYS.values() for key in keys if key in content}
