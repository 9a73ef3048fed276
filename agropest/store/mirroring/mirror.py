"""A results folder mirrored to object storage while a sweep runs, and brought back before a launch on a new machine.

    <address>/objects/<sha256>   the content of a file, whatever it is called; never changed
    <address>/manifest.json      path to hash, size and time of every file; written last, so that it names what is there

A round that breaks off leaves the manifest of the round before, and all that it names. Contents that several trials
share are there once. What is brought back is compared with its hash; what does not have it is left out, and the store
makes it again, as it does with damaged files.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agropest import files
from agropest.errors import EnvironmentFault, StoreError, fault

MANIFEST, OBJECTS, FORMAT = "manifest.json", "objects", 1
# Caches of one machine, trials that were set aside, and files of no consequence.
LEFT_OUT = ("data/decoded", "data/seen", "aside")
LEFT_OUT_NAMES = ("heartbeat.json", "writer.json")
# Smaller files are read once, for hash and upload: some grow meanwhile. Larger ones are checkpoints and never change.
IN_MEMORY_BYTES = 64 << 20


@dataclass(frozen=True)
class Entry:
    """A file as the manifest names it; ``mtime_ns`` is when it was written, in nanoseconds since 1970."""

    sha256: str
    size: int
    mtime_ns: int


@dataclass
class BroughtBack:
    """What came from the far side.

    Attributes:
        num_files: that were not here, or were older.
        lost: paths whose content is not there, or has another hash.
    """

    num_files: int = 0
    lost: list[str] = field(default_factory=list)


class Mirror:
    """A results folder and its mirror.

    Args:
        root: the results folder.
        address: of a folder, as fsspec takes it: ``s3://bucket/path``, ``gs://...``, ``/mnt/path``.

    Raises:
        EnvironmentFault: there is no such kind of address, or its package is missing.
    """

    def __init__(self, root: Path, address: str) -> None:
        self.root, self.address = Path(root), address
        self._fs, self._base = _file_system(address)
        self._token, self._generation = uuid.uuid4().hex, 0
        self._manifest: dict[str, Entry] = {}
        self._states: dict[str, tuple[tuple[int, int, int], Entry]] = {}  # path to (inode, size, time) and entry
        self._objects: set[str] = set()  # whole on the far side
        self._orphans: set[str] = set()

    def bring_back(self) -> BroughtBack:
        """Fetches every file that is not here, or is older here than there.

        Raises:
            EnvironmentFault: the far side cannot be read: a launch would begin all over again.
            StoreError: a file cannot be written here.
        """
        try:
            self._read_manifest()
            there = set(self._listed())
        except Exception as error:  # also botocore's and google's own, which are no OSErrors
            fix = "see that it can be reached, and that the keys in the environment may read it; or leave mirror out"
            raise EnvironmentFault(fault("mirror", f"expected to read {self.address}", _text(error), fix)) from None
        self._objects = {entry.sha256 for entry in self._manifest.values()} & there
        self._orphans = there - self._objects
        found = BroughtBack()
        here: dict[str, Path] = {}
        for name, entry in sorted(self._manifest.items()):
            path = self.root / name
            if not _is_inside(name) or (path.is_file() and path.stat().st_mtime_ns >= entry.mtime_ns):
                continue
            if self._fetch(entry, path, here):
                found.num_files += 1
            else:
                found.lost.append(name)
                self._objects.discard(entry.sha256)
        return found

    def upload(self) -> int:
        """Copies what has changed since the last time; returns the number of files.

        Raises:
            OSError: of the far side, and of whatever its package raises besides; the next call tries again.
            MirrorTaken: another launch writes there.
        """
        try:
            return self._upload()
        except (OSError, MirrorTaken):
            raise
        except Exception as error:  # botocore's and google's own are no OSErrors
            raise OSError(_text(error)) from error

    def _upload(self) -> int:
        entries, changed = {}, 0
        for name, path in self._local():
            entry = self._sent(name, path)
            if entry is not None:
                entries[name] = entry
                changed += self._manifest.get(name) != entry
        if entries == self._manifest and not self._orphans:
            return 0
        self._require_ours()
        self._generation += 1
        content = {"format": FORMAT, "token": self._token, "generation": self._generation}
        listed = {name: asdict(entry) for name, entry in sorted(entries.items())}
        self._fs.pipe_file(self._path(MANIFEST), json.dumps({**content, "files": listed}).encode())
        self._manifest = entries
        named = {entry.sha256 for entry in entries.values()}
        for digest in (self._objects | self._orphans) - named:
            self._fs.rm_file(self._object(digest))
            self._objects.discard(digest)
            self._orphans.discard(digest)
        self._orphans.clear()
        return changed

    def _sent(self, name: str, path: Path) -> Entry | None:
        """Returns the entry of a file whose content is on the far side now; None where the file has gone meanwhile."""
        try:
            before = path.stat()
            state = before.st_ino, before.st_size, before.st_mtime_ns
            known = self._states.get(name)
            if known is not None and known[0] == state and known[1].sha256 in self._objects:
                return known[1]
            content = path.read_bytes() if before.st_size <= IN_MEMORY_BYTES else None
            if content is None:
                with open(path, "rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
            else:
                digest = hashlib.sha256(content).hexdigest()
        except FileNotFoundError:
            return None
        if digest not in self._objects:
            if content is None:
                self._fs.put_file(str(path), self._object(digest))
            else:
                self._fs.pipe_file(self._object(digest), content)
            self._objects.add(digest)
        size = before.st_size if content is None else len(content)
        entry = Entry(digest, size, before.st_mtime_ns)
        self._states[name] = state, entry
        return entry

    def _fetch(self, entry: Entry, path: Path, here: dict[str, Path]) -> bool:
        """Writes a file from its object, or from one that has the same content; returns whether it could be had."""
        try:
            if entry.sha256 in here:
                files.link(here[entry.sha256], path)
                return True
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _not_written(path, error) from None
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
        try:
            try:
                self._fs.get_file(self._object(entry.sha256), str(temporary))
                with open(temporary, "rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
            except Exception:  # not there, or cut off: fsspec's packages raise what they like
                return False
            if digest != entry.sha256:
                return False
            os.utime(temporary, ns=(entry.mtime_ns, entry.mtime_ns))
            temporary.replace(path)
        except OSError as error:
            raise _not_written(path, error) from None
        finally:
            temporary.unlink(missing_ok=True)
        here[entry.sha256] = path
        return True

    def _read_manifest(self) -> None:
        content = self._stored_manifest()
        if content is None:
            return
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r}, not {FORMAT}")
        self._generation = int(content["generation"])
        self._manifest = {str(name): Entry(**entry) for name, entry in content["files"].items()}

    def _stored_manifest(self) -> dict[str, Any] | None:
        try:
            content: dict[str, Any] = json.loads(self._fs.cat_file(self._path(MANIFEST)))
            return content
        except FileNotFoundError:
            return None

    def _require_ours(self) -> None:
        """Refuses to write over what another launch has written since this one read or wrote the manifest."""
        content = self._stored_manifest()
        if content is not None and content["generation"] != self._generation and content["token"] != self._token:
            raise MirrorTaken

    def _listed(self) -> Iterator[str]:
        """Yields the hashes of the objects that are there."""
        self._fs.invalidate_cache()
        try:
            yield from (str(path).rpartition("/")[2] for path in self._fs.find(self._path(OBJECTS)))
        except FileNotFoundError:
            return

    def _local(self) -> Iterator[tuple[str, Path]]:
        """Yields the files that are mirrored, by name."""
        for folder, folders, names in os.walk(self.root):
            inside = Path(folder).relative_to(self.root)
            folders[:] = sorted(name for name in folders if (inside / name).as_posix() not in LEFT_OUT)
            for name in sorted(names):
                if not name.startswith(".") and name not in LEFT_OUT_NAMES:
                    yield (inside / name).as_posix(), Path(folder, name)

    def _path(self, name: str) -> str:
        return f"{self._base}/{name}"

    def _object(self, digest: str) -> str:
        return self._path(f"{OBJECTS}/{digest}")


class MirrorTaken(Exception):
    """Another launch mirrors to the same address."""


def _file_system(address: str) -> tuple[Any, str]:
    import fsspec
    import fsspec.implementations.local

    fix = "write e.g. s3://bucket/path, gs://bucket/path or a folder that is mounted"
    try:
        found, base = fsspec.core.url_to_fs(address, use_listings_cache=False)
    except ImportError as error:
        rule = f"expected the package that reads {address}"
        raise EnvironmentFault(fault("mirror", rule, str(error), "install it")) from None
    except Exception as error:  # an unknown kind, or one that needs more than an address
        raise EnvironmentFault(fault("mirror", "expected an address", f"{address}: {_text(error)}", fix)) from None
    if isinstance(found, fsspec.implementations.local.LocalFileSystem):
        found.auto_mkdir = True  # object storage has no folders to be made
    return found, str(base).rstrip("/")


def _is_inside(name: str) -> bool:
    """Returns whether a name of the manifest is one of a file in the results folder."""
    path = Path(name)
    return not path.is_absolute() and ".." not in path.parts and not path.name.startswith(".")


def _not_written(path: Path, error: OSError) -> StoreError:
    return StoreError(fault(str(path), "expected a file to write to", error.strerror, "make room there"))


def _text(error: Exception) -> str:
    first: str = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return first[:300]
