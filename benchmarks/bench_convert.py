"""Conversion with full decoding against what Pillow alone decodes, side by side in one run.

    python -m benchmarks.bench_convert [--images 13143] [--processes N] [--rounds 2]

Draws a set of 640x640 JPEGs in AgroPest-12's layout into a temporary folder, then takes turns: a bare loop of
``PIL.Image.open(path).load()`` in a pool, and the whole conversion (decode, hash, check labels, write) with
as many processes. Prints images per second of both, the time to recognise the unchanged set, and peak memory.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from agropest.data.dataset import load_dataset
from agropest.data.demo.draw import data_yaml, label_lines
from agropest.data.demo.insects import CLASS_NAMES
from agropest.data.demo.scene import draw_scene

# AgroPest-12: 11,502 + 1,095 + 546 images.
SHARES = {"train": 11502 / 13143, "valid": 1095 / 13143, "test": 546 / 13143}
NUM_DRAWN = 24


def write_set(root: Path, num_images: int) -> float:
    """Writes the set and returns the mean bytes of an image. Few pictures are drawn; each file differs in its end."""
    drawn = []
    for i in range(NUM_DRAWN):
        rng = np.random.default_rng(i)
        picture, boxes = draw_scene(rng.integers(0, len(CLASS_NAMES), rng.integers(1, 4)).tolist(), 640, rng)
        path = root / "drawn.jpg"
        root.mkdir(parents=True, exist_ok=True)
        picture.save(path, quality=90)
        drawn.append((path.read_bytes(), label_lines(boxes, 640)))
    path.unlink()
    (root / "data.yaml").write_text(data_yaml())
    number, size = 0, 0
    for split, share in SHARES.items():
        for kind in ("images", "labels"):
            (root / split / kind).mkdir(parents=True)
        for _ in range(round(share * num_images)):
            content, label = drawn[number % NUM_DRAWN]
            content += number.to_bytes(8)  # after the end of the picture: decoders stop before it
            stem = f"insect-{number}-_jpg.rf.{hashlib.md5(content).hexdigest()}"
            (root / split / "images" / f"{stem}.jpg").write_bytes(content)
            (root / split / "labels" / f"{stem}.txt").write_text(label)
            number, size = number + 1, size + len(content)
    return size / number


def decode(path: Path) -> int:
    """Decodes one image with Pillow and nothing else."""
    with Image.open(path) as image:
        image.load()
        return image.width


def decode_all(paths: list[Path], processes: int) -> None:
    with ProcessPoolExecutor(processes, mp_context=get_context("forkserver")) as pool:
        assert sum(pool.map(decode, paths, chunksize=64)) == 640 * len(paths)


@contextmanager
def peak_memory() -> Iterator[list[float]]:
    """Yields a list that then holds the peak MiB of this process and its pool (shared pages counted once for each)."""
    peak, over = [0.0], threading.Event()
    group = os.getpgrp()

    def look() -> None:
        while not over.wait(0.25):
            pages = 0
            for status in Path("/proc").glob("[0-9]*/statm"):
                try:
                    if os.getpgid(int(status.parent.name)) == group:
                        pages += int(status.read_text().split()[1])
                except OSError:  # it has ended
                    continue
            peak[0] = max(peak[0], pages * os.sysconf("SC_PAGE_SIZE") / 2**20)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=13143, metavar="N")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)), metavar="N")
    parser.add_argument("--rounds", type=int, default=2, metavar="N")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name, "set")
        size = write_set(root, arguments.images)
        paths = sorted(root.glob("*/images/*.jpg"))
        print(f"{len(paths)} images of 640x640, {size / 1024:.0f} KiB each, {arguments.processes} processes")
        pillow, ours, peaks = [], [], []
        for turn in range(arguments.rounds):
            pillow.append(timed(lambda: decode_all(paths, arguments.processes)))
            cache = Path(name, f"cache{turn}")
            with peak_memory() as peak_mib:
                ours.append(timed(lambda cache=cache: load_dataset(root, cache, arguments.processes)))
            peaks.append(peak_mib[0])
            rates = len(paths) / pillow[-1], len(paths) / ours[-1]
            print(f"round {turn + 1}: Pillow {rates[0]:.0f} images/s, conversion {rates[1]:.0f} images/s")
        again = timed(lambda: load_dataset(root, cache, arguments.processes))
        share = 100 * statistics.median(p / o for p, o in zip(pillow, ours, strict=True))
        print(f"conversion runs at {share:.0f} % of Pillow's rate (median of {arguments.rounds})")
        print(f"the unchanged set is recognised in {again:.2f} s")
        print(f"peak memory of the conversion: {max(peaks):.0f} MiB, all processes together")


if __name__ == "__main__":
    main()
