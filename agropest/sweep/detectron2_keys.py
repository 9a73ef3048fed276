"""Detectron2's config keys as plain data, without importing torch.

``import detectron2`` imports torch, which takes seconds; checking a sweep file must not. Detectron2's defaults are one
module that needs nothing but ``CfgNode``, so that module alone is read. A config is held flat here: dotted key to plain
value (lists, never tuples), so that it compares, hashes and prints without surprises.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from agropest import detectron2_yaml, files
from agropest.errors import EnvironmentFault, SweepFileError, fault
from agropest.sweep.other_names import nearest_setting
from agropest.sweep.yaml_file import read_yaml

FlatConfig = dict[str, Any]
HIGHEST_INTEGER = 2**31 - 1  # what torch and OpenCV take everywhere


@cache
def detectron2_folder() -> Path:
    """Returns the folder of the installed ``detectron2`` package, without importing it.

    Raises:
        EnvironmentFault: Detectron2 is not installed.
    """
    spec = importlib.util.find_spec("detectron2")
    if spec is None or not spec.submodule_search_locations:
        fix = "python -m agropest install-detectron2 installs 0.6 from the package index; an official build works too"
        raise EnvironmentFault(fault("detectron2", "expected to be installed", None, fix))
    return Path(next(iter(spec.submodule_search_locations)))


@cache
def default_config() -> Mapping[str, Any]:
    """Returns every key with its default: Detectron2's own and those of ``agropest.modeling.config``."""
    from fvcore.common.config import CfgNode

    from agropest.modeling.config import add_agropest_config

    path = detectron2_folder() / "config" / "defaults.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if not isinstance(node, ast.ImportFrom)]  # `from .config import CfgNode`
    namespace: dict[str, Any] = {"CN": CfgNode}
    exec(compile(tree, str(path), "exec"), namespace)  # the installed package's own code
    config = namespace["_C"]
    add_agropest_config(config)
    return flatten(config)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> FlatConfig:
    """Returns a nested config as dotted keys; an empty mapping stays a value."""
    flat: FlatConfig = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, name + "."))
        else:
            flat[name] = plain(value)
    return flat


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the nested config of dotted keys: the inverse of :func:`flatten`."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *parents, last = name.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return tree


def plain(value: Any) -> Any:
    """Returns ``value`` with every tuple as a list and every mapping as a dict."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return value


def checked(flat: Mapping[str, Any], where: str, faults: list[str]) -> FlatConfig:
    """Returns the overrides that are known keys, each coerced to its key's type; adds a fault for each other.

    Args:
        flat: dotted Detectron2 keys to values.
        where: file and key under which they stand.
        faults: is extended.
    """
    result: FlatConfig = {}
    for key, value in flat.items():
        place = f"{where} {key}" if where.startswith("--") else f"{where}.{key}"
        if key not in default_config():
            faults.append(_unknown(key, place))
            continue
        try:
            result[key] = coerce(key, value)
        except ValueError as error:
            faults.append(fault(place, str(error), value, _instead(default_config()[key], value)))
    return result


def _instead(default: Any, value: Any) -> str:
    """Returns what to write in place of a value of another type than a key's default."""
    if isinstance(default, list) and isinstance(value, int | float):
        return f"write {[[value]] if default and isinstance(default[0], list) else [value]}"
    if isinstance(default, bool) and value in (0, 1):
        return f"write {str(bool(value)).lower()}"
    return f"Detectron2's default is {default!r}"


def coerce(key: str, value: Any) -> Any:
    """Returns ``value`` as the type of Detectron2's default for ``key``, by yacs' rules plus int where float is meant.

    Raises:
        ValueError: it has another type, or is outside the range of an added key; the message is the rule.
    """
    default = default_config()[key]
    value = plain(value)
    if isinstance(value, str) and not isinstance(default, str):
        value = _literal(value)  # yacs does so too: "(60000, 80000)", "1e-3" (which YAML 1.1 reads as a word)
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError("expected true or false")
    elif isinstance(default, int | float):
        value = _number(value, default)
    elif isinstance(default, str | list) and not isinstance(value, type(default)):
        raise ValueError("expected text" if isinstance(default, str) else "expected a list")
    if isinstance(default, list):
        _check_items(default, value)
    _check_choice(key, value)
    return value


def _check_items(default: list[Any], value: list[Any]) -> None:
    """Refuses a list whose items are not of the kind that the default's are: lists, numbers or words."""
    kinds = set(map(_kind, default))
    if kinds == {"list"}:
        if any(_kind(item) != "list" for item in value):
            raise ValueError("expected a list of lists")
        for item in value:
            _check_items(default[0], item)
    for kind, rule in (("number", "expected a list of finite numbers"), ("text", "expected a list of words")):
        if kinds == {kind} and any(_kind(item) != kind for item in value):
            raise ValueError(rule)


def _kind(value: Any) -> str:
    if isinstance(value, str | list):
        return "text" if isinstance(value, str) else "list"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number" if _is_finite(value) else "not finite"
    return "other"


def _number(value: Any, default: int | float) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("expected a number")
    if not _is_finite(value):
        raise ValueError("expected a finite number")
    if isinstance(default, float):
        return float(value)
    if value != int(value):
        raise ValueError("expected a whole number")
    if abs(value) > HIGHEST_INTEGER:
        raise ValueError(f"expected a whole number up to {HIGHEST_INTEGER}")
    return int(value)


def _is_finite(value: int | float) -> bool:
    """Returns whether a float can hold it, whole numbers of any length included."""
    return -sys.float_info.max <= value <= sys.float_info.max


def _literal(text: str) -> Any:
    try:
        return plain(ast.literal_eval(text))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _check_choice(key: str, value: Any) -> None:
    from agropest.modeling.config import CHOICES, RANGES

    if key in CHOICES and value not in CHOICES[key]:
        raise ValueError(f"expected one of {', '.join(map(str, CHOICES[key]))}")
    if key in RANGES and isinstance(value, int | float):
        low, high = RANGES[key]
        if not low <= value <= high:
            raise ValueError(f"expected a number from {low} to {high}")


def _unknown(key: str, place: str) -> str:
    inside = [known for known in default_config() if known.startswith(key + ".")]
    if inside:
        return fault(
            place, "expected a key with a value", key, f"it is a group; name one of its keys, e.g. {inside[0]}"
        )
    return fault(place, "expected a Detectron2 config key", key, nearest_setting(key, default_config()))


def read_config_file(path: Path, seen: tuple[Path, ...] = ()) -> FlatConfig:
    """Returns the flat overrides of a Detectron2 YAML config, its ``_BASE_`` files merged in first.

    Raises:
        SweepFileError: a file is missing or not plain YAML, a key is unknown, a value has the wrong type, or the
            ``_BASE_`` files go in a circle.
    """
    path = path.resolve()
    if path in seen:
        raise SweepFileError(fault(str(path), "expected _BASE_ to end", "a circle", "take one _BASE_ out"))
    content = read_yaml(path, detectron2_yaml.load)
    if not isinstance(content, dict):
        raise SweepFileError(fault(str(path), "expected a Detectron2 config (keys with values)", content, "mend it"))
    bases = content.pop("_BASE_", [])
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) and base for base in bases):
        rule = "expected the path of a Detectron2 config, or a list of such"
        raise SweepFileError(fault(f"{path}: _BASE_", rule, bases, "name a file, or take _BASE_ out"))
    flat: FlatConfig = {}
    for base in bases:
        flat.update(read_config_file(path.parent / files.without_tilde(base), (*seen, path)))
    faults: list[str] = []
    flat.update(checked(flatten(content), str(path), faults))
    if faults:
        raise SweepFileError(*faults)
    return flat
