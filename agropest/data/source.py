"""Which format a data set has, and where it is: the folder that was named, or the only one in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from agropest.data.formats.coco.layout import CocoFiles, find_coco_files
from agropest.data.formats.coco.source import read_coco
from agropest.data.formats.data_yaml import find_data_yaml
from agropest.data.formats.folder import is_junk, plain
from agropest.data.formats.voc import has_voc_files, read_voc
from agropest.data.formats.yolo import read_yolo
from agropest.data.picture import Source
from agropest.data.place import ARCHIVES, LAYOUT, WHERE_TO_GET, only_folder
from agropest.errors import DataError, fault

DEEPEST = 3  # folders in folders, as archives unpack


def find_source(root: Path, data_yaml: Path | None = None, unsplit: str | None = None) -> Source:
    """Returns the data set in a folder: YOLO, COCO or Pascal VOC.

    Args:
        root: resolved.
        data_yaml: the file that was named; None: the folder's own counts.
        unsplit: the split of annotations that tell none; None: these are a fault.

    Raises:
        DataError: it is none of these, or it cannot be used.
    """
    data_yaml = data_yaml or find_data_yaml(root)
    if data_yaml is not None:
        return read_yolo(data_yaml, root)
    found = find_coco_files(root)
    if found.faults:
        raise DataError(*found.faults)
    if unsplit and not found.by_split and len(found.unsplit) == 1:
        found = replace(found, by_split={unsplit: found.unsplit[0]})
    if found.by_split:
        return read_coco(found.by_split, root, found.findings)
    voc = read_voc(root, unsplit) if has_voc_files(root) and not found.unsplit else None
    if voc is not None:
        return voc
    inner: Path | None = root
    for _ in range(DEEPEST):
        inner = only_folder(inner) if inner else None
        if inner is not None and is_data_set(inner):
            return find_source(inner, unsplit=unsplit)
    raise DataError(_unknown(root, found))


def is_data_set(folder: Path) -> bool:
    """Returns whether a folder is a data set by what describes it; reads no image."""
    return find_data_yaml(folder) is not None or bool(find_coco_files(folder).by_split)


def _unknown(root: Path, found: CocoFiles) -> str:
    """Returns the fault of a folder that is no data set, and what to do about what is there."""
    names = sorted(plain(path.name) for path in root.iterdir() if not path.name.startswith("."))
    where = f"data set {root}"
    if not names:
        return fault(where, f"expected {LAYOUT}", "an empty folder", WHERE_TO_GET)
    sets = [name for name in names if (root / name).is_dir() and not is_junk(name) and is_data_set(root / name)]
    if sets:
        return fault(where, "expected one data set", sets[:12], "name one of these folders")
    if found.unsplit:
        files = [plain(file.relative_to(root).as_posix()) for file in found.unsplit]
        fix = (
            "its name tells no split: rename it to annotations/train.json and give a valid.json as well, or write "
            "`split: {valid: 0.15, seed: 0}` into the sweep file (--split-valid 0.15 of convert, check and stats)"
            if len(files) == 1
            else "their names tell no split: rename them to annotations/train.json and annotations/valid.json"
        )
        return fault(where, "expected annotation files named after their splits", files, fix)
    class_files = [name for name in names if name in ("classes.txt", "obj.names", "obj.data")]
    if class_files:
        fix = f"write a data.yaml: names: [...] as in {class_files[0]}, train: and val: with folders or lists of images"
        return fault(where, "expected a data.yaml beside the YOLO labels", names[:12], fix)
    if labels := next(iter(sorted(root.glob("**/labels/*.txt"))), None):
        fix = "write a data.yaml: names: [...] with the classes' names, train: and val: with folders of images"
        return fault(where, "expected a data.yaml beside the YOLO labels", str(labels.relative_to(root)), fix)
    if any(name.lower().endswith(ARCHIVES) for name in names):
        return fault(where, f"expected {LAYOUT}", names[:12], "unpack the archive, and name the folder that it gives")
    if any(name.lower().endswith((".json", ".xml", ".csv")) for name in names):
        return fault(where, f"expected {LAYOUT}", names[:12], "export it as YOLO, COCO or Pascal VOC")
    return fault(where, f"expected {LAYOUT}", names[:12], "put what describes the set there, or name its own folder")
