"""YOLO label lines: what each says, or which rule it breaks. One bad line costs that line.

A line is ``class cx cy w h`` (detection; a sixth number is a confidence), or ``class x1 y1 x2 y2 x3 y3 ...`` (a
polygon, whose hull becomes the box); all but the class in shares of the displayed image. In a set with key
points their columns follow the box.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from agropest.data.health import CLIPPED, DROPPED, KEPT

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)
# Beyond this, a coordinate is no share of the image that slipped over the border, but pixels.
PIXELS_ABOVE = 2.0
MIN_SIDE_PX = 1.0
# What rounded coordinates may reach over the border without being remarkable; it is cut off all the same.
ROUNDING_PX = 1.0
MAX_LINE_LENGTH = 1_000_000


@dataclass(frozen=True)
class Remark:
    """A rule that a line breaks, what was done, and the values."""

    rule: str
    action: str
    detail: str


@dataclass(frozen=True)
class LabelledBox:
    """A box as annotated: class index, and xywh in pixels inside the image."""

    class_index: int
    bbox_xywh: tuple[float, float, float, float]
    iscrowd: int = 0


def read_lines(content: bytes) -> Iterator[tuple[int, str]]:
    """Yields ``(line number from 1, text)`` of every line that is not blank.

    A byte-order mark, CRLF and tabs are taken as editors write them; bytes that are no UTF-8 stay visible as U+FFFD, so
    that the line breaks a rule instead of the file.
    """
    text = content.decode("utf-8-sig", errors="replace")
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        if line.strip():
            yield number, line.strip()


def read_label_line(
    line: str, num_classes: int, width: int, height: int, key_point_columns: int = 0
) -> tuple[LabelledBox | None, list[Remark], tuple[float, ...]]:
    """Returns the box a line means (None where it is dropped), what was remarkable, and the numbers after the class.

    Args:
        line: not blank.
        num_classes: of data.yaml.
        width: of the displayed image in pixels.
        height: likewise.
        key_point_columns: that follow the box and are left out; 0: the set has no key points.
    """
    words = line.split() if len(line) <= MAX_LINE_LENGTH else []
    if key_point_columns and len(words) == 5 + key_point_columns:
        words = words[:5]
    if len(words) < 5 or (len(words) > (5 if key_point_columns else 6) and (len(words) % 2 == 0 or key_point_columns)):
        numbers = _numbers(words[1:])[0]
        return None, [Remark("columns", DROPPED, f"{len(words)} columns: {_cut(line)}")], tuple(numbers)
    index, remarks = _class_index(words[0], num_classes)
    values, broken = _numbers(words[1:])
    if index is None or broken:
        return None, [*remarks, *broken], tuple(values)
    if len(words) == 6:
        remarks.append(Remark("sixth-column", KEPT, f"confidence {words[5]} ignored"))
        values = values[:4]
    if len(words) > 6:
        remarks.append(Remark("polygon", KEPT, f"{len(values) // 2} points; its hull is the box"))
    if any(abs(value) > PIXELS_ABOVE for value in values):
        return None, [*remarks, Remark("not-normalised", DROPPED, _cut(line))], tuple(values)
    corners = _hull(values) if len(words) > 6 else _corners(values)
    box, more = fit_box(tuple(c * side for c, side in zip(corners, (width, height) * 2, strict=True)), width, height)
    return (LabelledBox(index, box) if box else None), [*remarks, *more], tuple(values)


def fit_box(
    corners_px: tuple[float, ...], width: int, height: int
) -> tuple[tuple[float, float, float, float] | None, list[Remark]]:
    """Returns a box as xywh clipped to the image (None where nothing is left), and what was remarkable.

    Args:
        corners_px: x1, y1, x2, y2.
        width: of the displayed image in pixels.
        height: likewise.
    """
    x1, y1, x2, y2 = corners_px

    def remark(rule: str, action: str) -> Remark:
        return Remark(rule, action, _shown(corners_px, width, height))

    if x2 <= x1 or y2 <= y1:
        return None, [remark("no-size", DROPPED)]
    left, top, right, bottom = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    if right <= left or bottom <= top:
        return None, [remark("outside", DROPPED)]
    box = _rounded(left, top, right, bottom)
    if min(right - left, bottom - top) < MIN_SIDE_PX:
        return None, [remark("sub-pixel", DROPPED)]
    over = max(left - x1, top - y1, x2 - right, y2 - bottom)
    return box, [remark("over-border", CLIPPED)] if over > ROUNDING_PX else []


def _shown(corners_px: tuple[float, ...], width: int, height: int) -> str:
    x1, y1, x2, y2 = corners_px
    return f"x {x1:.2f} to {x2:.2f}, y {y1:.2f} to {y2:.2f} in {width}x{height}"


def corners_in(detail: str) -> tuple[float, float, float, float] | None:
    """Returns the corners x1, y1, x2, y2 in pixels that a remark's detail tells, None where it tells none."""
    found = re.search(r"x (\S+) to (\S+), y (\S+) to (\S+) in \d+x\d+$", detail)
    if found is None:
        return None
    x1, x2, y1, y2 = map(float, found.groups())
    return x1, y1, x2, y2


def _rounded(left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
    """Returns xywh to 0.0001 px. The corners are rounded, not the size: the far border stays inside the image."""
    left, top, right, bottom = (round(value, 4) for value in (left, top, right, bottom))
    return left, top, round(right - left, 4), round(bottom - top, 4)


def _class_index(word: str, num_classes: int) -> tuple[int | None, list[Remark]]:
    if not NUMBER.fullmatch(word):
        return None, [Remark("class-not-a-number", DROPPED, _cut(word))]
    value = float(word)
    if not math.isfinite(value) or value != int(value):
        return None, [Remark("class-fractional", DROPPED, _cut(word))]
    if not 0 <= value < num_classes:
        return None, [Remark("class-out-of-range", DROPPED, f"{_cut(word)}; data.yaml has 0 to {num_classes - 1}")]
    as_written = word.isdecimal()
    return int(value), [] if as_written else [Remark("class-as-decimal", KEPT, f"{_cut(word)} taken as {int(value)}")]


def _numbers(words: list[str]) -> tuple[list[float], list[Remark]]:
    strange = [word for word in words if not NUMBER.fullmatch(word)]
    if strange:
        rule = "not-finite" if all(NOT_FINITE.fullmatch(word) for word in strange) else "not-a-number"
        return [], [Remark(rule, DROPPED, _cut(strange[0]))]
    values = [float(word) for word in words]
    if not all(math.isfinite(value) for value in values):  # 1e999
        return [], [Remark("not-finite", DROPPED, _cut(" ".join(words)))]
    return values, []


def _corners(values: list[float]) -> tuple[float, float, float, float]:
    x, y, w, h = values
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def _hull(values: list[float]) -> tuple[float, float, float, float]:
    xs, ys = values[0::2], values[1::2]
    return min(xs), min(ys), max(xs), max(ys)


def _cut(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
