"""Walking a data set's folder: which files there are, without ever leaving it."""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agropest.data.health import DROPPED, Finding

# What operating systems and training programs leave behind.
JUNK_NAMES = frozenset(
    {"thumbs.db", "desktop.ini", "icon\r", "labels.cache", "classes.txt", "notes.json", "ehthumbs.db"}
)
JUNK_FOLDERS = frozenset({"__macosx", "@eadir", "$recycle.bin", "system volume information"})


@dataclass(frozen=True)
class FoundFile:
    """A regular file inside the data set.

    Attributes:
        path: absolute.
        name: relative to the data set, with forward slashes.
    """

    path: Path
    name: str

    @property
    def suffix(self) -> str:
        """Lower case, with the dot."""
        name = self.name.rpartition("/")[2]
        return name[name.rfind(".") :].lower() if "." in name else ""


def plain(value: object) -> str:
    """Returns a file name as text that UTF-8 can hold: bytes that are none become ``\\xNN``."""
    return os.fsencode(str(value)).decode("utf-8", errors="backslashreplace")


def nfc(text: str) -> str:
    """Returns the text as one sequence of code points for what reads the same (macOS stores NFD, others NFC)."""
    return unicodedata.normalize("NFC", text)


def is_junk(name: str) -> bool:
    """Returns whether a file or folder of this name is left over by an operating system or a program."""
    return name.startswith(".") or name.lower() in JUNK_NAMES or name.lower() in JUNK_FOLDERS


def walk(root: Path, folder: Path, split: str, findings: list[Finding]) -> Iterator[FoundFile]:
    """Yields the regular files below ``folder``, sorted by name; reports junk and whatever leaves the data set.

    Args:
        root: of the data set, resolved.
        folder: inside it.
        split: for the findings.
        findings: is added to.
    """
    found: list[FoundFile] = []
    for place, folders, names in os.walk(folder, onerror=lambda error: _report(findings, split, root, error)):
        for name in folders.copy():
            path = Path(place, name)
            if is_junk(name):
                _drop(findings, split, root, path, "junk-file", "a folder of the operating system or of a program")
                folders.remove(name)
            elif path.is_symlink():
                _drop(findings, split, root, path, "link-to-folder", f"to {plain(path.readlink())}; not followed")
        above = "" if Path(place) == root else f"{Path(place).relative_to(root).as_posix()}/"
        for name in names:
            rule, detail = _fault_of(root, f"{place}/{name}", name)
            if rule:
                _drop(findings, split, root, Path(place, name), rule, detail)
            else:
                found.append(FoundFile(Path(place, name), above + name))
    yield from sorted(found, key=lambda file: file.name)


def _fault_of(root: Path, path: str, name: str) -> tuple[str, str]:
    """Returns rule and detail of what keeps a file from being used; two empty texts where nothing does."""
    if is_junk(name):
        return "junk-file", "left by an operating system or a program"
    if plain(path) != path:
        return "name-not-utf8", "rename the file"
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        if not inside(root, Path(path)):
            return "link-leaves-data-set", f"to {plain(Path(path).readlink())}"
        return ("", "") if Path(path).is_file() else ("not-a-file", "a broken link")
    return ("", "") if stat.S_ISREG(status.st_mode) else ("not-a-file", "cannot be read like a file")


def inside(root: Path, path: Path) -> bool:
    """Returns whether ``path`` lies in ``root`` once every link is followed."""
    try:
        return path.resolve().is_relative_to(root)
    except (OSError, RuntimeError):  # a ring of links
        return False


def _drop(findings: list[Finding], split: str, root: Path, path: Path, rule: str, detail: str) -> None:
    findings.append(Finding(split, plain(path.relative_to(root).as_posix()), 0, rule, DROPPED, detail))


def _report(findings: list[Finding], split: str, root: Path, error: OSError) -> None:
    _drop(findings, split, root, Path(error.filename), "folder-unreadable", error.strerror or str(error))


def stat_key(root: Path) -> str:
    """Returns 64 hex digits that change when a file of the data set is added, removed, renamed or written.

    Reads no file: names, sizes and times alone. (The time of the last status change is one of them, so that a copy
    which keeps the old modification time is noticed too.)
    """
    digest = hashlib.sha256()
    pending = [str(root)]
    while pending:
        folder = pending.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
                continue
            try:
                status = entry.stat()
            except OSError:
                status = entry.stat(follow_symlinks=False)
            state = f"{entry.path[len(str(root)) :]}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}\n"
            digest.update(os.fsencode(state))
    return digest.hexdigest()
