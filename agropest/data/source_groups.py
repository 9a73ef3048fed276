"""Pictures of one source (augmented copies of one photograph) as what is never divided, and parts of a split."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SourceGroup:
    """The pictures of one source, by id, and how often a class is in them."""

    images: tuple[int, ...]
    classes: Counter[int]


def source_groups(content: dict[str, Any]) -> list[SourceGroup]:
    """Returns the groups of a split's COCO content, by the names of their sources."""
    images: dict[str, list[int]] = defaultdict(list)
    source = {image["id"]: image["source"] for image in content["images"]}
    for image in content["images"]:
        images[image["source"]].append(image["id"])
    classes: dict[str, Counter[int]] = defaultdict(Counter)
    for annotation in content["annotations"]:
        classes[source[annotation["image_id"]]][annotation["category_id"]] += 1
    return [SourceGroup(tuple(ids), classes[name]) for name, ids in sorted(images.items())]


def part_of(content: dict[str, Any], holds: Callable[[int], bool]) -> dict[str, Any]:
    """Returns the images for whose ids ``holds`` and their annotations, numbered anew."""
    kept = [image for image in content["images"] if holds(image["id"])]
    ids = {image["id"]: number for number, image in enumerate(kept, start=1)}
    annotations = [a for a in content["annotations"] if a["image_id"] in ids]
    return {
        "images": [{**image, "id": ids[image["id"]]} for image in kept],
        "annotations": [{**a, "id": n, "image_id": ids[a["image_id"]]} for n, a in enumerate(annotations, start=1)],
        "categories": content["categories"],
    }
