"""Decoded images that all trials of a node share: a memory-mapped file for each split; the page cache is the sharing.

    entries: 8 bytes for each image, up to the next page | image 0 | image 1 | ...

An entry is 0 until the image is there, then the CRC-32 of its pixels with a bit above it set. A process compares the
pixels with it when it first reads an image; one that differs (a byte has flipped on the disk) is decoded again.

Whoever needs an image first decodes it and writes it; two that do so at once write the same bytes. The file's space is
reserved when it is made, under a lock: a full disk later would kill the process (SIGBUS). It is named by the data's
fingerprint, by the host (mapped pages are not coherent between the clients of a network file system) and by the boot
(after a power failure an entry may be on the disk without its image). Pixels are those that are decoded, bit for bit.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import shutil
import socket
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

logger = logging.getLogger(__name__)

PAGE_BYTES, ENTRY_BYTES = 4096, 8
THERE = 1 << 32  # set in the entry of an image that is there, whatever its CRC
# Raise this when the file's layout changes.
LAYOUT = 2
# Of the disk's free space a cache may take this share, of the memory that one.
DISK_SHARE, MEMORY_SHARE = 0.25, 0.5


class ImageCache:
    """The decoded images of one split.

    Args:
        path: of the file, which is there and intact.
        offsets: image file name to (number, first byte, shape [H, W, C]).
    """

    def __init__(self, path: Path, offsets: dict[str, tuple[int, int, tuple[int, int, int]]]) -> None:
        self.path, self._offsets = path, offsets
        self._bytes = np.memmap(path, dtype=np.uint8, mode="r+")
        self._entries = self._bytes[: ENTRY_BYTES * len(offsets)].view(np.uint64)
        self._checked = np.zeros(len(offsets), dtype=bool)  # by this process

    def get(self, file_name: str) -> np.ndarray | None:
        """Returns an image, uint8 [H, W, C], not to be written to; None: it is not there yet, or is damaged."""
        number, start, shape = self._offsets.get(file_name, (-1, 0, (0, 0, 0)))
        if number < 0 or not self._entries[number]:
            return None
        image = self._bytes[start : start + shape[0] * shape[1] * shape[2]].reshape(shape)
        if not self._checked[number]:
            if self._entries[number] != _entry(image):
                logger.warning("the cache's copy of %s is damaged: it is decoded again", file_name)
                return None
            self._checked[number] = True
        image.flags.writeable = False
        return image.view(np.ndarray)

    def put(self, file_name: str, image: np.ndarray) -> None:
        """Adds an image as it was decoded; one of another split or size, or whose pixels are not bytes, is left out."""
        number, start, shape = self._offsets.get(file_name, (-1, 0, (0, 0, 0)))
        if number < 0 or image.shape != shape or image.dtype != np.uint8:
            return
        self._bytes[start : start + image.size] = image.ravel()
        self._entries[number] = _entry(image)  # after the pixels: whoever sees the entry sees them


def _entry(image: np.ndarray) -> np.uint64:
    return np.uint64(THERE | zlib.crc32(np.ascontiguousarray(image).data))


def open_cache(
    folder: Path,
    name: str,
    records: Sequence[dict[str, Any]],
    image_format: str,
    limit_bytes: int | None = None,
    place: str = "",
) -> ImageCache | None:
    """Returns the cache of a split, made when it is not there; None where it would not fit.

    Args:
        folder: where the files are; on a disk of this node, best.
        name: of the content, e.g. the data's fingerprint and the split.
        records: all images of the split, with ``file_name``, ``height`` and ``width``.
        image_format: ``INPUT.FORMAT``.
        limit_bytes: the most it may take; None: :func:`limit` says.
        place: where the content comes from, e.g. the images' folder and the split: when a cache is made, those of other
            content from the same place are removed. Empty: none is.
    """
    channels = 1 if image_format == "L" else 3
    shapes = [(int(r["height"]), int(r["width"]), channels) for r in records]
    start = -(-ENTRY_BYTES * len(records) // PAGE_BYTES) * PAGE_BYTES
    offsets = {}
    for number, (record, shape) in enumerate(zip(records, shapes, strict=True)):
        offsets[record["file_name"]] = (number, start, shape)
        start += shape[0] * shape[1] * shape[2]
    source = _digest([place, image_format] if place else [name, image_format])
    path = folder / f"{source}-{_key(name, shapes, [r['image_id'] for r in records], image_format)}.raw"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (path.is_file() and path.stat().st_size == start):
                _remove_of_other_boots(folder)
                _remove_others_of(source, folder)
                if start > (limit(folder) if limit_bytes is None else limit_bytes):
                    return None
                _reserve(path, start)
        return ImageCache(path, offsets)
    except OSError as error:  # read-only, full, no locks there: trials decode their images themselves
        logger.warning("no cache of decoded images in %s: %s", folder, error.strerror)
        return None


def open_split_cache(
    folder: Path | None, data: str, split: tuple[str, Path], records: Sequence[dict[str, Any]], image_format: str
) -> ImageCache | None:
    """Returns the cache of a split, which all trials of a machine share; None where there is none.

    Args:
        folder: as for :func:`open_cache`; None: there is none.
        data: fingerprint of the data.
        split: its name and the folder of its images.
        records: all images of the split.
        image_format: ``INPUT.FORMAT``.
    """
    if folder is None:
        return None
    name, images = split
    return open_cache(folder, f"{data} {name}", records, image_format, place=f"{images} {name}")


def limit(folder: Path) -> int:
    """Returns how many bytes a cache may take: a quarter of the free disk, and half of the memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(min(DISK_SHARE * shutil.disk_usage(folder).free, MEMORY_SHARE * memory))


def _reserve(path: Path, num_bytes: int) -> None:
    temporary = path.with_suffix(".tmp")
    try:
        with open(temporary, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, num_bytes)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _key(name: str, shapes: Sequence[tuple[int, ...]], ids: Sequence[int], image_format: str) -> str:
    return f"{_digest([LAYOUT, name, shapes, ids, image_format])}-{_boot()}"


def _digest(content: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _boot() -> str:
    """Returns what names this host since its last start."""
    boot = ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    host = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
    return f"{host}-{boot[:8]}"


def _remove_of_other_boots(folder: Path) -> None:
    host, _, boot = _boot().partition("-")
    for path in folder.glob(f"*-{host}-*.raw"):
        if not path.stem.endswith(f"-{boot}"):
            path.unlink(missing_ok=True)


def _remove_others_of(source: str, folder: Path) -> None:
    """Removes what is left of other content from the same place, e.g. of the images before some were replaced.

    A process that still reads one keeps its pages; the space is free when it ends.
    """
    for path in folder.glob(f"{source}-*-{_boot()}.raw"):
        path.unlink(missing_ok=True)
