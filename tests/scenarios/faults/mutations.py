"""Seeded ways to spoil a YAML or JSON file: its bytes, its lines, its structure, its types and values."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ODD_VALUES = (
    None, True, -1, 0, 10**30, 1.5, -0.0, float("nan"), float("inf"), "", " ", "auto", "1e-3", "../../etc", "a" * 5000,
    "\u202e", "null", [], {}, [[]], [None], [1, "a"], {"a": 1}, {1: 2}, {"a": {"b": {"c": []}}}, [[[[1]]]], "(1, 2",
)  # fmt: skip
ODD_TEXTS = (
    "!!python/object/apply:os.system ['true']", "&a [*a]", "*nowhere", "<<: 3", "? [a, b]\n: c", "- x\n  - y: z",
    "\t- tab",
    "2026-13-45", "2026-11-23", "0o17", "0x1F", "1_000", "12:30:45", "'unclosed", '"\\x"', "{unclosed", "[1, 2",
    "|\n  text",
    "%TAG ! x", "---\n---", "...", "\u0000", "\u0085", "key: value: more", "@at", "`tick", "~: ~", ".nan", "-.inf", "=",
    "[" * 2000, "{a: " * 300,
)  # fmt: skip


def spoilt(path: Path, draw: random.Random) -> tuple[bytes, tuple[str, ...]]:
    """Returns the content of a YAML or JSON file with one fault, and the keys that lead to it where that is known."""
    kind = draw.choice((_of_bytes, _of_lines, _of_values, _of_values, _of_keys))
    return kind(path, draw)


def _of_bytes(path: Path, draw: random.Random) -> tuple[bytes, tuple[str, ...]]:
    content = bytearray(path.read_bytes())
    for _ in range(draw.randint(1, 4)):
        if not content:
            break
        place = draw.randrange(len(content))
        match draw.randrange(4):
            case 0:
                content[place] ^= 1 << draw.randrange(8)
            case 1:
                content[place:place] = bytes(draw.randrange(256) for _ in range(draw.randint(1, 4)))
            case 2:
                del content[place : place + draw.randint(1, 60)]
            case _:
                content = content[: max(1, place)]
    return bytes(content), ()


def _of_lines(path: Path, draw: random.Random) -> tuple[bytes, tuple[str, ...]]:
    lines = path.read_text().splitlines()
    place = draw.randrange(len(lines))
    match draw.randrange(5):
        case 0:
            lines[place] = " " * draw.randint(1, 3) + lines[place]
        case 1:
            lines[place] = lines[place].lstrip()
        case 2:
            lines.insert(place, lines[draw.randrange(len(lines))])
        case 3:
            lines.insert(place, draw.choice(ODD_TEXTS))
        case _:
            lines[place] = lines[place].split(":")[0] + ": " + draw.choice(ODD_TEXTS)
    return "\n".join(lines).encode("utf-8", "surrogatepass"), ()


def _of_values(path: Path, draw: random.Random) -> tuple[bytes, tuple[str, ...]]:
    content = _load(path)
    keys = draw.choice(list(_places(content)))
    node = content
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = copy.deepcopy(draw.choice(ODD_VALUES))
    return _dump(content, path), tuple(str(key) for key in keys)


def _of_keys(path: Path, draw: random.Random) -> tuple[bytes, tuple[str, ...]]:
    content = _load(path)
    keys = draw.choice([keys for keys in _places(content) if isinstance(keys[-1], str)])
    node = content
    for key in keys[:-1]:
        node = node[key]
    value = node.pop(keys[-1])
    renamed: Any = draw.choice(
        (keys[-1] + "X", keys[-1].upper(), keys[-1].lower(), keys[-1][1:], 7, None, True, "a.b.c", "")
    )
    node[renamed] = value
    return _dump(content, path), (*map(str, keys[:-1]), str(renamed))


def _places(content: Any, keys: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the way to every value, at any depth."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield (*keys, key)
        yield from _places(value, (*keys, key))


def _load(path: Path) -> Any:
    return json.loads(path.read_text()) if path.suffix == ".json" else yaml.safe_load(path.read_text())


def _dump(content: Any, path: Path) -> bytes:
    if path.suffix == ".json":
        return json.dumps(content).encode()
    return yaml.safe_dump(content, allow_unicode=True, sort_keys=False).encode("utf-8", "surrogatepass")
