"""Pictures that are the same, or nearly: within a split they weigh twice, across splits they leak.

Exact: the same bytes. Near: perceptual hashes (64 bits, of the lowest frequencies) that differ in a few bits, also when
one picture is mirrored or turned by quarter turns, as augmentation does. Same source: the stem before ``.rf.``.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.fft import dctn

from agropest.data.dataset import Dataset
from agropest.data.decoding import FORMATS, IMAGES_PER_TASK, IN_PROCESS_BELOW, checked_processes
from agropest.data.inspection.statistics import read_split

NEAR_BITS = 6
# The hash of an even surface is noise: such pictures are compared byte by byte alone.
LEAST_CONTRAST = 3.0
HASHED_SIDE_PX = 64
PAIRS_PER_STEP = 4_000_000


@dataclass(frozen=True, order=True)
class Pair:
    """Two pictures that are too much alike.

    Attributes:
        kind: "exact", "near" or "same-source".
        bits: of 64, in which the hashes differ; 0 for exact, None where only the source is the same.
    """

    kind: str
    split_a: str
    file_a: str
    split_b: str
    file_b: str
    bits: int | None

    @property
    def leaks(self) -> bool:
        """Whether the two are in different splits."""
        return self.split_a != self.split_b


@dataclass(frozen=True)
class HashedPicture:
    """A picture and what it is recognised by.

    Attributes:
        hashes: of the picture and its 7 mirrored and turned versions; empty for an even surface.
    """

    split: str
    file: str
    source: str
    sha256: str
    hashes: tuple[int, ...]


def hash_pictures(dataset: Dataset, processes: int | None = None) -> list[HashedPicture]:
    """Returns every image of a data set with its hashes, by split and file."""
    listed = [
        (name, image["file_name"], image["source"])
        for name in dataset.splits
        for image in read_split(dataset, name)["images"]
    ]
    hashed = _hash_all([dataset.root / file for _, file, _ in listed], processes)
    return [HashedPicture(*about, *found) for about, found in zip(listed, hashed, strict=True)]


def _hash_all(paths: list[Path], processes: int | None) -> Iterator[tuple[str, tuple[int, ...]]]:
    processes = checked_processes(processes)
    if processes == 1 or len(paths) < IN_PROCESS_BELOW:
        yield from map(hash_file, paths)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("forkserver")) as pool:
        yield from pool.map(hash_file, paths, chunksize=IMAGES_PER_TASK)


def hash_file(path: Path) -> tuple[str, tuple[int, ...]]:
    """Returns the SHA-256 of a file and the hashes of the picture in it (see :class:`HashedPicture`)."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with Image.open(path, formats=FORMATS) as image:
        image.draft("L", (HASHED_SIDE_PX * 2, HASHED_SIDE_PX * 2))  # JPEG decodes to about this size at once
        grey = image.convert("RGB").convert("L").resize((HASHED_SIDE_PX,) * 2, Image.Resampling.BOX)
    pixels = np.asarray(grey)
    if pixels.std() < LEAST_CONTRAST:
        return digest, ()
    return digest, hashes_of_views(grey)


def hashes_of_views(grey: Image.Image) -> tuple[int, ...]:
    """Returns the perceptual hashes (64 bits) of a grey picture and of its 7 mirrored and turned versions, it first.

    A bit says whether one of the 64 lowest frequencies of the cosine transform of 32 x 32 pixels is above their median,
    as ``imagehash.phash`` has it. Mirroring changes the sign of every second frequency, and turning also exchanges
    rows and columns, so that one transform serves all eight.
    """
    low = dctn(np.asarray(grey.resize((32, 32), Image.Resampling.LANCZOS), float))[:8, :8]
    plain, mirrored = np.ones(8), (-1.0) ** np.arange(8)
    signs = [np.outer(rows, columns) for rows in (plain, mirrored) for columns in (plain, mirrored)]
    views = np.stack([face * sign for face in (low, low.T) for sign in signs]).reshape(8, 64)
    bits = np.packbits(views > np.median(views, axis=1, keepdims=True), axis=1)
    return tuple(bits.view(">u8").ravel().tolist())


def find_pairs(pictures: Sequence[HashedPicture], near_bits: int = NEAR_BITS) -> list[Pair]:
    """Returns all pairs that are exactly or nearly the same, and those of one source that are in different splits.

    Copies of one source within a split are what augmentation makes; they are not listed. A pair is listed once, under
    the first of exact, near, same-source that holds.
    """
    pairs: dict[tuple[int, int], Pair] = {}
    for a, b in _exact(pictures):
        pairs[a, b] = _pair("exact", pictures, a, b, 0)
    for a, b, bits in _near(pictures, near_bits):
        one, two = pictures[a], pictures[b]
        if (a, b) not in pairs and not (one.split == two.split and one.source == two.source):
            pairs[a, b] = _pair("near", pictures, a, b, bits)
    for a, b in _same_source(pictures):
        pairs.setdefault((a, b), _pair("same-source", pictures, a, b, None))
    return sorted(pairs.values(), key=lambda p: (not p.leaks, p.kind, p.split_a, p.file_a, p.split_b, p.file_b))


def _pair(kind: str, pictures: Sequence[HashedPicture], a: int, b: int, bits: int | None) -> Pair:
    return Pair(kind, pictures[a].split, pictures[a].file, pictures[b].split, pictures[b].file, bits)


def _exact(pictures: Sequence[HashedPicture]) -> Iterator[tuple[int, int]]:
    groups: dict[str, list[int]] = defaultdict(list)
    for i, picture in enumerate(pictures):
        groups[picture.sha256].append(i)
    for group in groups.values():
        yield from ((group[0], other) for other in group[1:])


def _same_source(pictures: Sequence[HashedPicture]) -> Iterator[tuple[int, int]]:
    """Yields, for each source in several splits, its first picture in one split with its first in another."""
    groups: dict[str, dict[str, int]] = defaultdict(dict)
    for i, picture in enumerate(pictures):
        if ".rf." in picture.file:
            groups[picture.source].setdefault(picture.split, i)
    for group in groups.values():
        first, *others = group.values()
        yield from ((first, other) for other in others)


def _near(pictures: Sequence[HashedPicture], near_bits: int) -> Iterator[tuple[int, int, int]]:
    """Yields pairs (a < b) whose hashes differ in at most ``near_bits``, over all views of b.

    Two hashes that differ in k bits are equal in one of k + 1 blocks of bits at least, so only those that share a block
    are compared (Norouzi, Punjani and Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", 2012): of 100,000
    pictures and 6 bits, one pair in 73.
    """
    index = np.array([i for i, picture in enumerate(pictures) if picture.hashes], int)
    if len(index) < 2:
        return
    views = np.array([pictures[i].hashes for i in index], np.uint64)
    found: dict[tuple[int, int], int] = {}
    for low, high in itertools.pairwise(np.linspace(0, 64, max(near_bits + 2, 1)).round().astype(int).tolist()):
        mask = np.uint64((1 << (high - low)) - 1)
        keys = (views >> np.uint64(low)) & mask
        for rows, columns, which in _buckets(keys):
            for some in np.array_split(rows, max(1, len(rows) * len(columns) // PAIRS_PER_STEP)):
                bits = np.bitwise_count(views[some, 0][:, None] ^ views[columns, which][None])
                close = (bits <= near_bits) & (some[:, None] < columns[None])
                for row, column in np.argwhere(close):
                    pair = int(index[some[row]]), int(index[columns[column]])
                    found[pair] = min(int(bits[row, column]), found.get(pair, near_bits))
    yield from ((a, b, bits) for (a, b), bits in found.items())


def _buckets(keys: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields, for each value of keys [pictures, views], the pictures that have it plain, and all that have it."""
    plain = np.argsort(keys[:, 0], kind="stable")
    values, starts = np.unique(keys[plain, 0], return_index=True)
    flat = np.argsort(keys, axis=None, kind="stable")
    in_order = keys.ravel()[flat]
    for value, rows in zip(values, np.split(plain, starts[1:]), strict=True):
        first, last = (np.searchsorted(in_order, value, side=side) for side in ("left", "right"))
        columns, which = np.divmod(flat[first:last], keys.shape[1])
        yield rows, columns, which
