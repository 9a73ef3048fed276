"""Atomic files: a reader sees the old content or the new one, never a part."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from agropest.readable import escaped_json


def write_with(path: Path, write: Callable[[IO[bytes]], object], durable: bool = True) -> None:
    """Writes a file atomically: temporary name in the same folder, fsync, rename.

    Args:
        path: the file; its folder is made when missing.
        write: is handed the open binary file.
        durable: whether it must survive a power cut; without, the write does not wait for the disk.

    Raises:
        OSError: disk full, no permission. The file at ``path`` is then as it was, and no temporary file stays.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The name holds a random part: two processes may write the same file at once, and the later rename wins whole.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def link(source: Path, target: Path) -> None:
    """Gives a file a second name, atomically; where the file system has no links, it is copied.

    Raises:
        FileNotFoundError: ``source`` is not there.
        OSError: disk full, no permission.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        try:
            os.link(source, temporary)
        except FileNotFoundError:
            raise
        except OSError:
            shutil.copyfile(source, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)  # it stays where both were names of one file already


def write_bytes(path: Path, content: bytes) -> None:
    """Writes ``content`` atomically (see :func:`write_with`)."""
    write_with(path, lambda file: file.write(content))


def write_text(path: Path, text: str) -> None:
    """Writes ``text`` as UTF-8 with LF line ends, atomically (see :func:`write_with`)."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any, indent: int | None = 1) -> None:
    """Writes ``value`` as JSON, atomically. NaN and infinity are refused: what is not there is ``None``.

    Raises:
        ValueError: ``value`` holds NaN or infinity.
    """
    text = json.dumps(value, indent=indent, allow_nan=False, ensure_ascii=False)
    write_text(path, escaped_json(text) + "\n")


def read_json(path: Path) -> Any:
    """Returns the parsed content of a JSON file.

    Raises:
        OSError: it cannot be read.
        json.JSONDecodeError: it is not JSON (a ValueError).
    """
    return json.loads(Path(path).read_text(encoding="utf-8"))


def from_here(path: Path) -> Path:
    """Returns a path as a person in the current folder would write it: relative where it lies in it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def without_tilde(path: str | Path) -> Path:
    """Returns a path with the home folder in place of ``~``; as it stands where there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def is_file(path: Path) -> bool:
    """Returns whether there is such a file; a name that no file can have names none."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # too long; a zero byte in it
        return False


def is_folder(path: Path) -> bool:
    """Returns whether there is such a folder; a name that no folder can have names none."""
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False
