"""One mapping of a sweep file, read key by key: every key checked, every fault kept, unknown keys refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agropest.errors import fault, nearest
from agropest.sweep.other_names import nearest_setting


class Section:
    """Reads the keys of one mapping and remembers which were asked for.

    Args:
        content: the mapping as YAML gave it; anything else is a fault, and reads as empty.
        where: how the place is named in faults, for example ``sweeps/a.yaml: resources``.
        faults: is extended with one line for every key that does not hold.
    """

    def __init__(self, content: Any, where: str, faults: list[str]) -> None:
        self.where, self.faults = where, faults
        self.known: set[str] = set()
        if content is not None and not isinstance(content, Mapping):
            self.faults.append(fault(where, "expected keys with values", content, "write it as `key: value` lines"))
            content = None
        self.content: Mapping[Any, Any] = content or {}

    def fault(self, key: str, rule: str, value: object, fix: str) -> None:
        """Adds the fault of one key."""
        place = f"{self.where}.{key}" if not self.where.endswith(":") else f"{self.where} {key}"
        self.faults.append(fault(place, rule, value, fix))

    def raw(self, key: str, default: Any = None) -> Any:
        """Returns the value as it stands, or ``default`` when the key is absent."""
        self.known.add(key)
        value = self.content.get(key)
        return default if value is None else value

    def text(self, key: str, default: str = "") -> str:
        """Returns a string."""
        value = self.raw(key, default)
        if isinstance(value, str):
            return value
        self.fault(key, "expected text", value, "put it in quotes")
        return default

    def choice(self, key: str, words: Sequence[str], default: str) -> str:
        """Returns one of ``words``."""
        value = self.raw(key, default)
        if value in words:
            return str(value)
        self.fault(key, f"expected one of {', '.join(words)}", value, nearest(str(value), words))
        return default

    def flag(self, key: str, default: bool) -> bool:
        """Returns true or false."""
        value = self.raw(key, default)
        if isinstance(value, bool):
            return value
        self.fault(key, "expected true or false", value, f"the default is {str(default).lower()}")
        return default

    def integer(self, key: str, default: int, low: int = 0, high: int = 10**9) -> int:
        """Returns a whole number in [low, high]."""
        value = self.raw(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.fault(key, f"expected a whole number from {low} to {high}", value, f"the default is {default}")
        return default

    def number(self, key: str, default: float, low: float = 0.0, high: float = 1e9) -> float:
        """Returns a number in [low, high]."""
        value = self.raw(key, default)
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        self.fault(key, f"expected a number from {low:g} to {high:g}", value, f"the default is {default:g}")
        return default

    def section(self, key: str) -> Section:
        """Returns the mapping under ``key`` as a section of its own."""
        place = f"{self.where}.{key}" if not self.where.endswith(":") else f"{self.where} {key}"
        return Section(self.raw(key), place, self.faults)

    def refuse_unknown(self) -> None:
        """Adds a fault for every key that was not read, with the nearest known one."""
        for key in self.content:
            if key not in self.known:
                self.fault(str(key), "unknown key", key, nearest_setting(str(key), self.known))
