"""What a user's path means: the data set's folder, and the data.yaml where one was named."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from agropest import files
from agropest.data.formats.folder import inside, is_junk
from agropest.errors import DataError, fault

WHERE_TO_GET = (
    "check the path; to get a set: AgroPest-12 is on Kaggle ('crop pests', the YOLOv8 export of AgroPest-12), and "
    "'python -m agropest draw-demo DIR' draws a demo set"
)
LAYOUT = (
    "a YOLO export (data.yaml, train/images, train/labels, valid/..., test/...), a COCO folder "
    "(annotations/train.json, ..., images) or Pascal VOC (Annotations/*.xml)"
)
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz")
YAML_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class DataPlace:
    """Where a data set is.

    Attributes:
        root: the resolved folder; nothing outside it is read.
        data_yaml: the file that was named; None: the folder was, and its own data.yaml counts.
    """

    root: Path
    data_yaml: Path | None = None


def data_place(folder: Path) -> DataPlace:
    """Returns what a user's ``folder``, or the data.yaml that was named in its place, means.

    Raises:
        DataError: there is no such folder, or the file leads out of its folder.
    """
    path = files.without_tilde(folder)
    where = f"data set {path.absolute()}"
    if files.is_file(path):
        if path.suffix.lower() not in YAML_SUFFIXES:
            packed = path.suffix.lower() in ARCHIVES
            fix = "unpack it and name the folder" if packed else "name the folder that it lies in, or a data.yaml"
            raise DataError(fault(where, f"expected {LAYOUT}", "a file", fix))
        root = path.parent.resolve()
        if not inside(root, path):
            fix = "copy the file into the data set's folder; nothing outside that folder is read"
            raise DataError(fault(where, "expected a file of the data set", f"a link to {path.resolve()}", fix))
        return DataPlace(root, root / path.name)
    if not files.is_folder(path):
        got = "neither a folder nor a file" if path.exists() else "no such folder"
        raise DataError(fault(where, f"expected {LAYOUT}", got, _like(path) or WHERE_TO_GET))
    return DataPlace(path.resolve())


def _like(path: Path) -> str:
    """Returns the folder of a like name beside a path that is none; empty where there is none."""
    try:
        names = [entry.name for entry in path.absolute().parent.iterdir() if entry.is_dir()]
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name.lower(), [name.lower() for name in names], n=1, cutoff=0.6)
    name = next((name for name in names if close and name.lower() == close[0]), "")
    return f"did you mean '{path.parent / name}'?" if name else ""


def only_folder(root: Path) -> Path | None:
    """Returns the one folder in a folder, as archives unpack; None where there is none, or several."""
    entries = [entry for entry in root.iterdir() if not is_junk(entry.name)]
    folders = [entry for entry in entries if entry.is_dir() and not entry.is_symlink()]
    return folders[0] if len(folders) == 1 else None
