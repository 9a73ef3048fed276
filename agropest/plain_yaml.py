"""YAML as a person writes it, read safely: no tags, no key twice, nothing that holds itself or unfolds without end."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

# Values of one file, each counted as often as it is meant: nine lines of aliases can mean a billion.
MOST_VALUES = 200_000
MOST_DIGITS = 60
STANDARD = "tag:yaml.org,2002:"
MERGE = f"{STANDARD}merge"
# The others that PyYAML knows make sets, pairs and bytes.
PLAIN = ("null", "bool", "int", "float", "str", "timestamp", "seq", "map", "merge")


def load(text: str) -> Any:
    """Returns what a text means.

    Raises:
        yaml.YAMLError: it is not plain YAML; of the marked ones the problem names the key where there is one.
        ValueError: it holds a value that is none, such as a 13th month.
        RecursionError: it is nested too deeply.
    """
    return yaml.load(text, Loader=PlainLoader)


class PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader, and what it leaves out: YAML forbids a key twice, PyYAML keeps the last."""

    def get_single_node(self) -> yaml.Node | None:
        """Returns the document's node once it is found to be plain."""
        node: yaml.Node | None = super().get_single_node()
        if node is not None:
            _Measured(node).check()
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Returns a mapping in which no key is given twice."""
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag == MERGE:  # `<<: *name`
                continue
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise _error(f"key '{key}' is given twice", key_node)
            seen.add(key)
        return super().construct_mapping(node, deep)


class _Measured:
    """How many values a node means, its aliases unfolded."""

    def __init__(self, root: yaml.Node) -> None:
        self.root = root
        self._sizes: dict[int, int] = {}
        self._open: set[int] = set()

    def check(self) -> None:
        """Raises yaml.YAMLError where that is without end, or too many, or where a value is none."""
        self._size(self.root, ())

    def _size(self, node: yaml.Node, keys: tuple[str, ...]) -> int:
        if id(node) in self._open:
            raise _error(_at(keys, "it holds itself (an alias refers to what contains it)"), node)
        if id(node) in self._sizes:
            return self._sizes[id(node)]
        self._open.add(id(node))
        size = 1
        if node.tag.removeprefix(STANDARD) not in PLAIN:
            raise _error(_at(keys, f"a tag, {node.tag}"), node)
        if isinstance(node, yaml.ScalarNode):
            _check_scalar(node, keys)
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise _error(_at(keys, "a key must be a word"), key)
                below = (*keys, key.value)
                size += self._size(key, below) + self._size(value, below)
        else:
            size += sum(self._size(item, keys) for item in node.value)
        self._open.remove(id(node))
        if size > MOST_VALUES:
            raise _error(_at(keys, f"more than {MOST_VALUES} values, aliases unfolded"), node)
        self._sizes[id(node)] = size
        return size


def _check_scalar(node: yaml.ScalarNode, keys: tuple[str, ...]) -> None:
    if node.tag == f"{STANDARD}int" and len(node.value) > MOST_DIGITS:
        raise _error(_at(keys, f"a number of more than {MOST_DIGITS} digits"), node)
    if any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in node.value):
        raise _error(_at(keys, "a character that no text holds (half a surrogate pair, or a zero byte)"), node)


def _at(keys: tuple[str, ...], problem: str) -> str:
    return f"{'.'.join(keys)}: {problem}" if keys else problem


def _error(problem: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
