"""``data.yaml`` of a YOLO export: class names, and where the splits are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import yaml

from agropest import files, plain_yaml
from agropest.data.formats.folder import inside, nfc
from agropest.data.health import KEPT, Finding
from agropest.errors import DataError, fault

FILE_NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
# Ours to theirs, first match counts.
KEYS = {"train": ("train",), "valid": ("val", "valid", "validation"), "test": ("test",)}
KNOWN_KEYS = {"path", "nc", "names", "roboflow", "download", "yaml_file"} | {
    key for keys in KEYS.values() for key in keys
}


HIGHEST_CLASS = 99_999


@dataclass(frozen=True)
class DataYaml:
    """What data.yaml says, once its paths are found.

    Attributes:
        names: class index to name, by index; an index without a name is missing.
        folders: split to its image folders, resolved, inside the data set.
    """

    file: Path
    names: dict[int, str]
    folders: dict[str, tuple[Path, ...]]
    findings: tuple[Finding, ...]


def find_data_yaml(root: Path) -> Path | None:
    """Returns the data.yaml of a folder, None where there is none."""
    named = [root / name for name in FILE_NAMES if (root / name).is_file()]
    if named:
        return named[0]
    others = sorted(path for path in root.glob("*.y*ml") if path.is_file())
    return others[0] if len(others) == 1 else None


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
    folders: dict[str, tuple[Path, ...]] = {}
    for split in KEYS:
        found = _split_folders(content, split, file, root, faults, findings)
        if found:
            folders[split] = found
    if not folders and not faults:
        fix = "write 'train: train/images', 'val: valid/images' and put the images there"
        faults.append(fault(str(file), f"expected image folders below {root}", _paths(content), fix))
    for key in sorted(str(key) for key in content if key not in KNOWN_KEYS):
        findings.append(Finding("", file.name, 0, "unknown-key", KEPT, f"{key} is not used"))
    if faults:
        raise DataError(*faults)
    return DataYaml(file, names, folders, tuple(findings))


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
            names[index] = nfc(name.strip())
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
        told = f"no name for {', '.join(map(str, missing[:20]))}; labels of these classes are dropped"
        findings.append(Finding("", file.name, 0, "names-gap", KEPT, told))


def _paths(content: dict[Any, Any]) -> dict[str, Any]:
    return {key: content[key] for keys in KEYS.values() for key in keys if key in content}


def _split_folders(
    content: dict[Any, Any], split: str, file: Path, root: Path, faults: list[str], findings: list[Finding]
) -> tuple[Path, ...]:
    """Returns the image folders of a split, found from what data.yaml says or from where they usually are."""
    given = [key for key in KEYS[split] if content.get(key) not in (None, "", [])]
    if not given:
        folder = next(
            (f for f in (root / key / "images" for key in KEYS[split]) if f.is_dir() and inside(root, f)), None
        )
        told = f"{folder.relative_to(root).as_posix()} is used" if folder else "there is none"
        findings.append(Finding(split, file.name, 0, "split-not-in-yaml", KEPT, f"no '{KEYS[split][0]}'; {told}"))
        return (folder.resolve(),) if folder else ()
    for other in given[1:]:
        findings.append(
            Finding(split, file.name, 0, "split-key-twice", KEPT, f"'{other}' is not used, '{given[0]}' is")
        )
    value = content[given[0]]
    where = f"{file}: {given[0]}"
    folders: list[Path] = []
    for text in value if isinstance(value, list) else [value]:
        if not isinstance(text, str):
            faults.append(fault(where, "expected a folder of images", text, "write a path such as train/images"))
            continue
        folder = _find_folder(text, content.get("path"), root)
        if folder is None and split == "train":
            fix = f"put the images into {root / 'train' / 'images'}, or name a folder inside {root}"
            faults.append(fault(where, f"expected a folder of images inside {root}", text, fix))
        elif folder is None:
            findings.append(Finding(split, file.name, 0, "split-missing", KEPT, f"no folder {text} in the data set"))
        elif folder in folders:
            findings.append(Finding(split, file.name, 0, "folder-twice", KEPT, f"{text} is read once"))
        else:
            folders.append(folder)
    return tuple(folders)


def _find_folder(text: str, base: Any, root: Path) -> Path | None:
    """Returns the folder that ``text`` means, inside the data set; None where there is none.

    Exports carry paths of the machine that wrote them (``path: /content/x``) or point beside the set (``../train``).
    What is not found as it stands is looked for by its last parts in the data set's own folder.
    """
    parts = [part for part in PureWindowsPath(text.replace("\\", "/")).parts if part not in ("..", ".")]
    parts = [part for part in parts if not part.endswith(("/", "\\"))]  # drive and root
    bases = [root / str(base)] if isinstance(base, str) else []
    tries = [folder / text for folder in (*bases, root)] + [root.joinpath(*parts[i:]) for i in range(len(parts))]
    for folder in tries:
        if files.is_folder(folder) and inside(root, folder) and folder.resolve() != root:
            return folder.resolve()
    return None
