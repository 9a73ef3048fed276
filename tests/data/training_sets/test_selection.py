from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest

from agropest.data.training_sets.selection import TrainingSelection, chosen_part


def content(sources: int = 200, copies: int = 3) -> dict[str, Any]:
    """Returns three copies of each source: class 1 in all, 2 in a tenth of the sources, 3 in eight of them."""
    images, annotations = [], []
    for i in range(sources * copies):
        source = i // copies
        images.append({"id": i + 1, "file_name": f"{i}.jpg", "source": f"s{source:03d}"})
        for category in [1] + [2] * (source % 10 == 0) + [3] * (source % 25 == 3):
            annotations.append({"id": len(annotations) + 1, "image_id": i + 1, "category_id": category})
    return {"images": images, "annotations": annotations, "categories": [{"id": c, "name": str(c)} for c in (1, 2, 3)]}


def names(part: dict[str, Any]) -> set[str]:
    return {image["file_name"] for image in part["images"]}


@pytest.mark.parametrize("seed", range(3))
def test_a_smaller_share_is_part_of_a_larger_one(seed: int) -> None:
    shares = [chosen_part(content(), share, seed) for share in (0.001, 0.1, 0.25, 0.5, 1.0)]
    assert [len(part["images"]) for part in shares] == [3, 60, 150, 300, 600]  # one source at least
    for smaller, larger in itertools.pairwise(shares):
        assert names(smaller) < names(larger)


@pytest.mark.parametrize("seed", range(3))
def test_sources_stay_together_and_every_class_has_its_share(seed: int) -> None:
    part = chosen_part(content(), 0.25, seed)
    assert set(Counter(image["source"] for image in part["images"]).values()) == {3}
    counts = Counter(annotation["category_id"] for annotation in part["annotations"])
    assert counts[1] == 150
    assert 12 <= counts[2] <= 18  # 15 of 60
    assert counts[3] == 6  # of 24: two sources of eight
    assert [image["id"] for image in part["images"]] == list(range(1, 151))
    assert {a["image_id"] for a in part["annotations"]} <= set(range(1, 151))


def test_the_seed_decides() -> None:
    assert chosen_part(content(), 0.25, 1) == chosen_part(content(), 0.25, 1)
    assert names(chosen_part(content(), 0.25, 1)) != names(chosen_part(content(), 0.25, 2))


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        (TrainingSelection(), "train"),
        (TrainingSelection(share=0.125), "train (12.5 %)"),
        (TrainingSelection("v2"), "train (v2)"),
        (TrainingSelection("v2", 0.5, 3), "train (50 % of v2, seed 3)"),
        (TrainingSelection(seed=3), "train"),  # of nothing that is chosen
    ],
)
def test_in_words(selection: TrainingSelection, words: str) -> None:
    assert selection.in_words() == words
