"""Inline SVG, made by hand: elements with escaped text, and axes with round ticks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

WIDE, NARROW = 760, 360  # pixels of a drawing: on a screen or on paper, and on a telephone


def for_both_widths(draw: Callable[[int], str]) -> str:
    """Returns a chart drawn twice; the style sheet shows the one that fits. A small copy of one could not be read."""
    wide, narrow = draw(WIDE), draw(NARROW)
    return f'<div class="wide">{wide}</div><div class="narrow">{narrow}</div>' if wide else ""


def element(name: str, *children: str, **attributes: str | float) -> str:
    """Returns an SVG element; ``class_`` is ``class``, ``stroke_width`` is ``stroke-width``.

    Children are taken as they are: they come from this module. Attribute values are escaped.
    """
    attribute_text = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_plain(value), quote=True)}"'
        for key, value in attributes.items()
    )
    return f"<{name}{attribute_text}>{''.join(children)}</{name}>" if children else f"<{name}{attribute_text}/>"


def text(content: str, x: float, y: float, **attributes: str | float) -> str:
    """Returns a text element with escaped content."""
    return element("text", escape(content), x=x, y=y, **attributes)


def drawing(width: float, height: float, label: str, *children: str) -> str:
    """Returns the SVG; ``label`` is what a screen reader says."""
    return element(
        "svg",
        *children,
        viewBox=f"0 0 {_plain(width)} {_plain(height)}",
        width=width,
        height=height,
        role="img",
        aria_label=label,
    )


def path(points: list[tuple[float, float]], **attributes: str | float) -> str:
    """Returns a polyline."""
    coordinates = " ".join(f"{_plain(x)},{_plain(y)}" for x, y in points)
    return element("polyline", points=coordinates, fill="none", **attributes)


def marker(shape: str, x: float, y: float, class_: str, size: float = 3.5) -> str:
    """Returns a mark of one of ``SHAPES``, so that colour is never the only difference."""
    r = size
    corners = {
        "square": [(-r, -r), (r, -r), (r, r), (-r, r)],
        "diamond": [(0, -1.4 * r), (1.4 * r, 0), (0, 1.4 * r), (-1.4 * r, 0)],
        "up": [(0, -1.3 * r), (1.2 * r, r), (-1.2 * r, r)],
        "down": [(0, 1.3 * r), (1.2 * r, -r), (-1.2 * r, -r)],
    }
    if shape == "circle":
        return element("circle", cx=x, cy=y, r=r, class_=class_)
    if shape == "cross":
        outline = f"M{_plain(x - r)} {_plain(y - r)}l{2 * r:g} {2 * r:g}m0 {-2 * r:g}l{-2 * r:g} {2 * r:g}"
        return element("path", d=outline, class_=f"{class_} stroked")
    points = " ".join(f"{_plain(x + dx)},{_plain(y + dy)}" for dx, dy in corners[shape])
    return element("polygon", points=points, class_=class_)


SHAPES = ("square", "circle", "diamond", "up", "down")


@dataclass(frozen=True)
class Axis:
    """A linear axis from ``low`` to ``high`` drawn from ``start`` to ``end`` pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Returns the pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Returns round values within the axis, at most ``most`` + 1."""
        step = _round_step((self.high - self.low) / most)
        first = math.ceil(self.low / step - 1e-9)
        count = math.floor(self.high / step + 1e-9) - first + 1
        return [round((first + number) * step, 10) for number in range(count)]


def axis_around(values: list[float], start: float, end: float, include: float | None = None) -> Axis:
    """Returns an axis that holds all values, with a margin, and ``include``."""
    known = [*values, *([] if include is None else [include])] or [0.0, 1.0]
    low, high = min(known), max(known)
    margin = (high - low) * 0.06 or max(abs(high) * 0.05, 0.5)
    return Axis(low - margin, high + margin, start, end)


def tick_text(value: float, ticks: list[float]) -> str:
    """Returns a tick's label with as many digits as its neighbours need."""
    digits = next((n for n in range(8) if all(abs(round(tick, n) - tick) < 1e-9 for tick in ticks)), 8)
    return f"{value:.{digits}f}"


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    return next((factor * power for factor in (1, 2, 2.5, 5) if factor * power >= rough), 10 * power)


def _plain(value: str | float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
