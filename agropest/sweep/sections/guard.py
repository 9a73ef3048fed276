"""Guards of a sweep file: a variant may not buy its AP with one class.

guard: {class: Ants, max_drop: 2}          # or a list of such
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agropest.errors import SweepFileError, fault, nearest
from agropest.sweep.sections.section import Section


@dataclass(frozen=True)
class Guard:
    """Marks variants whose AP of ``class_name`` is more than ``max_drop`` percentage points below the baseline's."""

    class_name: str
    max_drop: float


def read_guards(top: Section) -> tuple[Guard, ...]:
    """Returns the guards under ``guard:``, one mapping or a list of them."""
    value = top.raw("guard", [])
    guards = []
    for number, content in enumerate(value if isinstance(value, list) else [value]):
        where = f"{top.where} guard" + (f"[{number}]" if isinstance(value, list) else "")
        section = Section(content, where, top.faults)
        name = section.text("class")
        if not name:
            section.fault("class", "expected the name of a class", section.content.get("class"), "name one")
        drop = section.number("max_drop", 0.0, high=100.0)
        section.refuse_unknown()
        guards.append(Guard(name, drop))
    return tuple(guards)


def require_guards(guards: Sequence[Guard], class_names: Sequence[str], where: str) -> None:
    """Raises :class:`SweepFileError` unless every guard's class is one of the data set's.

    Args:
        where: the sweep file and key.
    """
    unknown = [guard.class_name for guard in guards if guard.class_name not in class_names]
    if unknown:
        rule = "expected a class of the data set"
        raise SweepFileError(*(fault(f"{where}.class", rule, name, nearest(name, class_names)) for name in unknown))
