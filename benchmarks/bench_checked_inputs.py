"""What it costs to compare every picture with its hash, and decoded pictures with their CRC when they are first read.

    python -m benchmarks.bench_checked_inputs

CPU time of this process, medians; a picture of 640 x 640 px with noise in it, as heavy as a photograph's JPEG.
"""

from __future__ import annotations

import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

import agropest.training  # noqa: F401  # Detectron2's surroundings
from agropest.training.input.image_cache import open_cache
from agropest.training.input.picture_file import read_image

REPEATS = 200


def milliseconds(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Returns the median CPU time of a call."""
    times = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        times.append((time.process_time() - started) * 1e3)
    return statistics.median(times)


def main() -> None:
    """Prints the costs."""
    draw = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "a.jpg")
        coarse = draw.integers(0, 256, (160, 160, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((640, 640), Image.Resampling.BICUBIC).save(path, quality=92)
        plain = {"file_name": str(path), "image_id": 1, "height": 640, "width": 640}
        checked = {**plain, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        without, with_hash = (milliseconds(lambda r=r: read_image(r, "BGR")) for r in (plain, checked))
        print(f"a JPEG of {path.stat().st_size / 1024:.0f} KB, decoded: {without:.2f} ms, checked: {with_hash:.2f} ms")

        def first_read() -> None:
            cache = open_cache(Path(name, "c"), "a", [plain], "BGR")
            assert cache is not None
            if cache.get(plain["file_name"]) is None:
                cache.put(plain["file_name"], read_image(plain, "BGR"))
            caches.append(cache)

        caches: list = []
        first_read()
        first, again = milliseconds(first_read), milliseconds(lambda: caches[-1].get(plain["file_name"]))
        print(f"decoded cache, opened and read first: {first:.2f} ms, then: {again:.3f} ms")


if __name__ == "__main__":
    main()
