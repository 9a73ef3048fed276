"""The ``area`` of COCO annotations, by which sizes are distinguished: converters write 1.0, 0 or anything there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Annotations of at most this many tell nothing: they may happen to have one area.
FEWEST = 4
# Masks are smaller than their boxes; what is larger than its box by more than rounding is no area of it.
LARGER = 1.05


def stated_areas(annotations: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Puts width times height in the place of areas that cannot be meant, and yields a sentence where it did."""
    boxes = [one["bbox"][2] * one["bbox"][3] for one in annotations]
    areas = [one["area"] for one in annotations]
    if len(boxes) < FEWEST:
        return
    pairs = list(zip(areas, boxes, strict=True))
    other = sum(area > LARGER * box + 1 or box > LARGER * area + 1 for area, box in pairs)
    is_constant = len(set(areas)) == 1 and max(boxes) > LARGER * min(boxes) and other > len(boxes) / 2
    larger = sum(area > LARGER * box + 1 for area, box in pairs)
    if is_constant:
        detail = f"every annotation has the area {areas[0]:g}, whatever the size of its box"
    elif larger > len(boxes) / 2:
        detail = f"the area of {larger} of {len(boxes)} annotations is larger than their box"
    else:
        return
    for one, box in zip(annotations, boxes, strict=True):
        one["area"] = box
    yield f"{detail}: small, medium and large (APs, APm, APl) go by width times height instead"


def images_twice(images: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yields a sentence where files are listed under several ids: predictions can be on one of them alone."""
    counts = Counter(image["file_name"] for image in images if "file_name" in image)
    twice = [name for name, number in counts.items() if number > 1]
    if twice:
        yield f"{len(twice)} of {len(counts)} files are listed under several image ids ({twice[0]}, ...)"
