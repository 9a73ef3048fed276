"""``--set KEY=VALUE``: the command line over the file."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from agropest.errors import SweepFileError, fault
from agropest.sweep.detectron2_keys import FlatConfig
from agropest.sweep.yaml_file import parse_yaml


def apply_settings(
    content: dict[Any, Any], settings: Sequence[str], faults: list[str]
) -> tuple[dict[Any, Any], FlatConfig]:
    """Returns the sweep file's content with the settings in it, and the Detectron2 keys among them.

    A key that starts with an upper-case letter is Detectron2's and is pinned for every trial
    (``SOLVER.MAX_ITER=100``). Any other is a key of the sweep file (``resources.cpus=2``,
    ``variants.focal.SOLVER.BASE_LR=0.01``).

    Args:
        content: is not changed.
        settings: ``KEY=VALUE`` words; VALUE is YAML.
        faults: is extended.
    """
    content, pinned = copy.deepcopy(content), {}
    for word in settings:
        key, equals, text = word.partition("=")
        if not equals or not key.strip():
            faults.append(fault("--set", "expected KEY=VALUE", word, "write e.g. --set SOLVER.MAX_ITER=100"))
            continue
        try:
            value = parse_yaml(text, f"--set {key}")
        except SweepFileError as error:
            faults.extend(error.faults)
            continue
        if key[0].isupper():
            pinned[key] = value
        else:
            _place(content, key, value, faults)
    return content, pinned


def _place(content: dict[Any, Any], key: str, value: Any, faults: list[str]) -> None:
    node: Any = content
    parts = _parts(content, key)
    if not all(parts):
        faults.append(fault(f"--set {key}", "expected words with a dot between them", key, "check the key"))
        return
    for number, part in enumerate(parts):
        part = next((known for known in node if str(known) == part), part)  # 1 in a file is a number, here a word
        if number == len(parts) - 1:
            node[part] = value
            return
        if not isinstance(node.get(part), dict):
            if node.get(part) is not None:
                faults.append(fault(f"--set {key}", f"expected {part} to hold keys", node[part], "check the key"))
                return
            node[part] = {}
        node = node[part]


def _parts(content: dict[Any, Any], key: str) -> list[str]:
    """Splits a key at its dots, but not inside a variant's name nor inside a Detectron2 key."""
    first, _, rest = key.partition(".")
    if not rest:
        return [first]
    if first in ("variants", "factors") and isinstance(content.get(first), dict):
        names = sorted((str(name) for name in content[first]), key=len, reverse=True)
        for name in names:
            if rest.startswith(name + "."):
                return [first, name, *_parts({}, rest[len(name) + 1 :])]
    if first[:1].isupper():
        return [key]
    return [first, *_parts({}, rest)]
