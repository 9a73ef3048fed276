"""A YAML file of a sweep as plain values, or one clear error."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from agropest import plain_yaml
from agropest.errors import SweepFileError, fault

MOST_NAMED = 20  # files of a folder, in a message


def read_yaml(path: Path, load: Callable[[str], Any] = plain_yaml.load) -> Any:
    """Returns the content of a YAML file.

    Args:
        load: returns what a text means.

    Raises:
        SweepFileError: it is missing, not readable, not UTF-8, or not plain YAML; says file and line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SweepFileError(fault(str(path), "expected a YAML file", "no such file", _beside(path))) from None
    except UnicodeDecodeError as error:
        raise SweepFileError(fault(str(path), "expected UTF-8 text", error.reason, "save it as UTF-8")) from None
    except IsADirectoryError:
        fix = f"give a sweep file; `python -m agropest start {path}` writes one for a data set"
        raise SweepFileError(fault(str(path), "expected a YAML file", "a folder", fix)) from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise SweepFileError(fault(str(path), "expected a readable YAML file", reason, "check the path")) from None
    return parse_yaml(text, str(path), load)


def parse_yaml(text: str, where: str, load: Callable[[str], Any] = plain_yaml.load) -> Any:
    """Returns the parsed ``text``; ``where`` names it in errors (see :func:`read_yaml`)."""
    try:
        return load(text)
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
    found = path.parent.glob("[!.]*.y*ml") if path.parent.is_dir() else []
    names = sorted(one.name for one in found)
    if not names:
        return f"there is no YAML file in {path.parent}"
    if close := difflib.get_close_matches(path.stem, [Path(name).stem for name in names], n=1):
        return f"did you mean '{path.parent / next(name for name in names if Path(name).stem == close[0])}'?"
    return f"in {path.parent} there are: {', '.join(names[:MOST_NAMED])}{', ...' if len(names) > MOST_NAMED else ''}"
