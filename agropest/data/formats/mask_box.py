"""The box around a COCO mask: of polygons, or of a run-length encoded bitmap (COCO's ``maskApi.c``)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Any

# A run holds at most the pixels of an image that is decoded at all.
MOST_PIXELS = 1 << 28
MOST_RUNS = 1 << 22


def mask_box(segmentation: Any) -> tuple[float, float, float, float] | None:
    """Returns the box around a ``segmentation`` as xywh in pixels; None where it is no mask, or empty."""
    if isinstance(segmentation, list):
        return _around_polygons(segmentation)
    if isinstance(segmentation, dict):
        return _around_runs(segmentation.get("size"), segmentation.get("counts"))
    return None


def _around_polygons(polygons: list[Any]) -> tuple[float, float, float, float] | None:
    if polygons and all(_is_number(value) for value in polygons):  # one polygon that is not in a list
        polygons = [polygons]
    good = [p for p in polygons if isinstance(p, list) and len(p) >= 6 and len(p) % 2 == 0 and all(map(_is_number, p))]
    if not good or len(good) < len(polygons):
        return None
    xs = list(itertools.chain(*(polygon[0::2] for polygon in good)))
    ys = list(itertools.chain(*(polygon[1::2] for polygon in good)))
    return float(min(xs)), float(min(ys)), float(max(xs) - min(xs)), float(max(ys) - min(ys))


def _around_runs(size: Any, counts: Any) -> tuple[float, float, float, float] | None:
    if not isinstance(size, list) or len(size) != 2 or not all(type(n) is int and n > 0 for n in size):
        return None
    height, width = size
    if isinstance(counts, str):
        counts = _uncompressed(counts)
    if not isinstance(counts, list) or len(counts) > MOST_RUNS or height * width > MOST_PIXELS:
        return None
    if not all(type(n) is int and 0 <= n <= MOST_PIXELS for n in counts) or sum(counts) > height * width:
        return None
    return _runs_to_box(counts, height)


def _runs_to_box(counts: Iterable[int], height: int) -> tuple[float, float, float, float] | None:
    """Runs of background and object in turn, down the columns."""
    position, is_object = 0, False
    left, top, right, bottom = math.inf, math.inf, -1, -1
    for count in counts:
        if is_object and count:
            first, last = divmod(position, height), divmod(position + count - 1, height)
            left, right = min(left, first[0]), max(right, last[0])
            whole = last[0] > first[0]  # the run continues in the next column
            top = 0 if whole else min(top, first[1])
            bottom = height - 1 if whole else max(bottom, last[1])
        position += count
        is_object = not is_object
    if right < 0:
        return None
    return float(left), float(top), float(right - left + 1), float(bottom - top + 1)


def _uncompressed(text: str) -> list[int] | None:
    """Returns the runs of COCO's text form: 5 bits a letter, low ones first; from the third on, differences."""
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 60 or len(counts) > MOST_RUNS:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts if shift == 0 else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
