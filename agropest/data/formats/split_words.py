"""Which split a folder's or file's name tells: train, valid or test, in the words that exporters use."""

from __future__ import annotations

import re
from collections.abc import Iterable

SPLIT_NAMES = ("train", "valid", "test")
SPLIT_WORDS = {
    "train": ("train", "training"),
    "valid": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
_SPLIT_OF = {word: split for split, words in SPLIT_WORDS.items() for word in words}
_JOINED = re.compile(r"(training|train|validation|valid|val|testing|test)+")


def splits_in(name: str) -> tuple[str, ...]:
    """Returns the splits that a name mentions, in its order: ``instances_val2017`` ("valid",), ``trainval`` two."""
    found: dict[str, None] = {}
    for token in re.findall(r"[a-z]+", name.casefold()):
        if _JOINED.fullmatch(token):
            words = re.findall(r"training|train|validation|valid|val|testing|test", token)
            found.update(dict.fromkeys(_SPLIT_OF[word] for word in words))
    return tuple(found)


def split_of(name: str) -> str | None:
    """Returns the one split that a name mentions; None where it mentions none, or several."""
    found = splits_in(name)
    return found[0] if len(found) == 1 else None


def split_of_parts(parts: Iterable[str]) -> str | None:
    """Returns the split that a path tells: that of its last part which tells one."""
    splits = [split for split in map(split_of, parts) if split]
    return splits[-1] if splits else None
