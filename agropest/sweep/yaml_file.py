"""YAML as a person writes it, read safely: no tags, no key twice, one clear error."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from agropest.errors import SweepFileError, fault


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which also refuses a key given twice (YAML itself forbids it; PyYAML keeps the last)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":  # `<<: *name`
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key '{key}' stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Returns the content of a YAML file.

    Raises:
        SweepFileError: it is missing, not readable, not UTF-8, or not plain YAML; says file and line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SweepFileError(fault(str(path), "expected a YAML file", "no such file", _beside(path))) from None
    except UnicodeDecodeError as error:
        raise SweepFileError(fault(str(path), "expected UTF-8 text", error.reason, "save it as UTF-8")) from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise SweepFileError(fault(str(path), "expected a readable YAML file", reason, "check the path")) from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> Any:
    """Returns the parsed ``text``; ``where`` names it in errors (see :func:`read_yaml`)."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise SweepFileError(fault(where + line, "expected YAML", error.problem, "mend that line")) from None
    except yaml.YAMLError as error:  # a control character, say
        raise SweepFileError(fault(where, "expected YAML", str(error), "mend that character")) from None
    except (ValueError, RecursionError) as error:  # a date that is none; nesting without end
        raise SweepFileError(fault(where, "expected YAML", str(error), "quote or mend that value")) from None


def _beside(path: Path) -> str:
    """Returns what could have been meant: the YAML files in the same folder."""
    names = sorted(p.name for p in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
    return f"in {path.parent} there are: {', '.join(names)}" if names else f"there is no YAML file in {path.parent}"
