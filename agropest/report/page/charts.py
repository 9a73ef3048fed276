"""The page's charts: rows in, SVG out. Colours are classes (the page's style sheet has Okabe and Ito's), shapes and
dashes say the same again for those who see no colours, and on paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from agropest.report.long_names import broken, shortened
from agropest.report.page.svg import SHAPES, WIDE, Axis, axis_around, drawing, element, marker, path, text, tick_text

ABOVE = 500  # pixels: in a narrower drawing the labels stand above their intervals, not beside them
ROW, LINE = 22, 13
CHARACTERS, CHARACTERS_ABOVE, LONGEST = 30, 48, 120  # letters of a label: in a line, in all
TALLEST = 320  # pixels of rows in one drawing: two of them with their axes fit on a page of paper


@dataclass(frozen=True)
class IntervalRow:
    """A value with its interval; ``shape`` and ``class_`` say what it is, ``note`` is written at the right."""

    label: str
    value: float
    low: float | None
    high: float | None
    class_: str = "mark"
    shape: str = "circle"
    note: str = ""


@dataclass(frozen=True)
class Line:
    """A series of a line chart.

    Attributes:
        points: x and y; y is None where there is no value.
        style: 0 to 5 for a line that stands out; None for one in the background.
        stopped: whether a cross marks its end.
        group: what the legend calls it, once for all lines of the group; empty: its name.
    """

    name: str
    points: Sequence[tuple[float, float | None]]
    style: int | None = None
    stopped: bool = False
    group: str = ""


def interval_chart(
    rows: Sequence[IntervalRow],
    x_label: str,
    reference: float | None = None,
    reference_label: str = "",
    width: int = WIDE,
) -> str:
    """Returns values with intervals below one another, and a vertical line at ``reference``.

    Many rows become several drawings with the same axis: a browser does not break one between two pages.
    """
    edges = [v for row in rows for v in (row.value, row.low, row.high) if v is not None]
    left = right = 14.0
    if width >= ABOVE:
        left = 24 + 6.7 * max((len(line) for row in rows for line in _label(row, width)), default=0)
        right = 20 + 6.6 * max((len(row.note) for row in rows), default=0)
    axis = axis_around(edges, left, width - right, reference)
    parts = _drawings(rows, width)
    return "".join(_intervals(part, axis, x_label, reference, reference_label, width) for part in parts)


def _intervals(
    rows: Sequence[IntervalRow], axis: Axis, x_label: str, reference: float | None, reference_label: str, width: int
) -> str:
    top = 24
    bottom = top + sum(_height(row, width) for row in rows)
    parts = _x_axis(axis, top, bottom, x_label, width)
    if reference is not None:
        x = axis(reference)
        parts.append(element("line", x1=x, x2=x, y1=top - 4, y2=bottom, class_="reference"))
        label = shortened(reference_label, 40)
        anchor, at = _anchored(label, x, width)
        parts.append(text(label, at, top - 9, class_="small", text_anchor=anchor))
    end = float(top)
    for row in rows:
        parts.append(_interval(row, axis, end, width))
        end += _height(row, width)
    return drawing(width, bottom + _below(x_label, width), f"{x_label}: {len(rows)} intervals", *parts)


def _interval(row: IntervalRow, axis: Axis, top: float, width: int) -> str:
    """Returns a row: its label at the left of the interval, or in a narrow drawing above it."""
    lines, height = _label(row, width), _height(row, width)
    is_above = width < ABOVE
    y = top + LINE * len(lines) + 11 if is_above else top + height / 2
    title = f"{row.label}: {row.value:.2f}"
    whisker = ""
    if row.low is not None and row.high is not None:
        title += f" ({row.low:.2f} to {row.high:.2f})"
        whisker = element("line", x1=axis(row.low), x2=axis(row.high), y1=y, y2=y, class_=f"whisker {row.class_}")
    content = [element("title", escape(title)), whisker, marker(row.shape, axis(row.value), y, row.class_, 4.5)]
    first = top + LINE if is_above else y + 4 - LINE * (len(lines) - 1) / 2
    x, anchor = (2, "start") if is_above else (axis.start - 10, "end")
    for number, line in enumerate(lines):
        content.append(text(line, x, first + LINE * number, text_anchor=anchor))
    if row.note and not is_above:
        content.append(text(row.note, axis.end + 10, y + 4, class_="small"))
    return element("g", *content)


def _anchored(label: str, x: float, width: int) -> tuple[str, float]:
    """Returns how a text around ``x`` is anchored, and where, so that it is not cut at either side."""
    half = 3.1 * len(label)
    if x < half:
        return "start", 2
    return ("end", width - 2) if x + half > width else ("middle", x)


def _drawings(rows: Sequence[IntervalRow], width: int) -> Sequence[Sequence[IntervalRow]]:
    """Returns the rows in as few parts as fit on a page each, about as high as one another."""
    whole = sum(_height(row, width) for row in rows)
    wanted = whole / max(math.ceil(whole / TALLEST), 1)
    parts: list[list[IntervalRow]] = [[]]
    before = 0.0
    for row in rows:
        if before >= wanted * len(parts):
            parts.append([])
        parts[-1].append(row)
        before += _height(row, width)
    return parts


def _label(row: IntervalRow, width: int) -> list[str]:
    if width >= ABOVE:
        return broken(shortened(row.label, LONGEST), CHARACTERS)
    return broken(
        shortened(row.label, LONGEST) + (f": {row.note}" if row.note not in ("", row.label) else ""), CHARACTERS_ABOVE
    )


def _height(row: IntervalRow, width: int) -> float:
    lines = len(_label(row, width))
    return ROW + LINE * (lines - 1) + (LINE + 6 if width < ABOVE else 0)


def line_chart(
    lines: Sequence[Line],
    x_label: str,
    y_label: str,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    marks: bool = True,
    height: int = 320,
    width: int = WIDE,
) -> str:
    """Returns a line chart with its legend; background lines are drawn first and have no legend."""
    left, right, top, bottom = 56, width - 16, 12, height - _below(x_label, width) - 4
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points if y is not None]
    x_axis = (
        Axis(*(x_range or (min(xs, default=0), max(xs, default=1))), left, right) if xs else Axis(0, 1, left, right)
    )
    if x_axis.low == x_axis.high:
        x_axis = axis_around([x_axis.low], left, right)
    y_axis = Axis(*y_range, bottom, top) if y_range else axis_around(ys, bottom, top)
    parts = [*_x_axis(x_axis, top, bottom, x_label, width), *_y_axis(y_axis, left, right, y_label)]
    for line in sorted(lines, key=lambda one: (one.style is not None, -(one.style or 0))):
        parts.append(_line(line, x_axis, y_axis, marks))
    named = {line.group or line.name: line for line in reversed(lines) if line.style is not None}
    legend = "".join(_legend(name, line, marks) for name, line in reversed(named.items()))
    others = sum(line.style is None for line in lines)
    if others:
        legend += f'<li><span class="key"><svg width="30" height="12">{_stroke(None)}</svg></span> {others} others</li>'
    if any(line.stopped for line in lines):
        cross = f'<svg width="30" height="12">{marker("cross", 15, 6, "ink")}</svg>'
        legend += f'<li><span class="key">{cross}</span> stopped early</li>'
    return drawing(width, height, f"{y_label} over {x_label}", *parts) + f'<ul class="legend">{legend}</ul>'


def _line(line: Line, x_axis: Axis, y_axis: Axis, marks: bool) -> str:
    points = [(x_axis(x), y_axis(y)) for x, y in line.points if y is not None]
    class_ = "other" if line.style is None else f"s{line.style}"
    parts = [element("title", escape(line.name))]
    if len(points) > 1:
        parts.append(path(points, class_=f"line {class_}"))
    if (marks and line.style is not None) or len(points) == 1:
        parts += [marker(SHAPES[(line.style or 0) % len(SHAPES)], x, y, class_, 3) for x, y in points]
    if line.stopped and points:
        parts.append(marker("cross", *points[-1], class_ if line.style is not None else "ink", 5))
    return element("g", *parts)


def _legend(name: str, line: Line, marks: bool) -> str:
    style = line.style or 0
    mark = marker(SHAPES[style % len(SHAPES)], 15, 6, f"s{style}", 3) if marks or len(line.points) == 1 else ""
    key = f'<svg width="30" height="12">{_stroke(style)}{mark}</svg>'
    return f'<li><span class="key">{key}</span> {escape(name)}</li>'


def _stroke(style: int | None) -> str:
    return element("line", x1=0, x2=30, y1=6, y2=6, class_="line other" if style is None else f"line s{style}")


def _x_axis(axis: Axis, top: float, bottom: float, label: str, width: int) -> list[str]:
    ticks = axis.ticks(6 if width >= ABOVE else 4)
    parts = [element("line", x1=axis.start, x2=axis.end, y1=bottom, y2=bottom, class_="axis")]
    for tick in ticks:
        x = axis(tick)
        parts.append(element("line", x1=x, x2=x, y1=top, y2=bottom, class_="grid"))
        parts.append(text(tick_text(tick, ticks), x, bottom + 16, class_="small", text_anchor="middle"))
    middle = (axis.start + axis.end) / 2
    for number, line in enumerate(_axis_label(label, width)):
        anchor, x = _anchored(line, middle, width)
        parts.append(text(line, x, bottom + 34 + LINE * number, class_="small", text_anchor=anchor))
    return parts


def _axis_label(label: str, width: int) -> list[str]:
    return broken(label, width // 7)


def _below(x_label: str, width: int) -> int:
    """Returns the pixels that an axis with its ticks and label takes below the drawing."""
    return 40 + LINE * (len(_axis_label(x_label, width)) - 1)


def _y_axis(axis: Axis, left: float, right: float, label: str) -> list[str]:
    ticks = axis.ticks()
    parts = []
    for tick in ticks:
        y = axis(tick)
        parts.append(element("line", x1=left, x2=right, y1=y, y2=y, class_="grid"))
        parts.append(text(tick_text(tick, ticks), left - 6, y + 4, class_="small", text_anchor="end"))
    middle = (axis.start + axis.end) / 2
    turned = f"rotate(-90 14 {middle:.1f})"
    parts.append(text(label, 14, middle, class_="small", text_anchor="middle", transform=turned))
    return parts
