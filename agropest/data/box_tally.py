"""How a split's boxes are written, counted line by line: what makes most of them wrong has one cause.

N numbers of a line are a box (4), a polygon's corners, or a box and key points (more).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from agropest.data.formats.labels import PIXELS_ABOVE
from agropest.data.health import DROPPED
from agropest.data.picture import ReadLine

FORMATS = {
    "xywh": "the left upper corner and the size",
    "cxcywh": "the centre and the size",
    "corners": "two corners (x1, y1, x2, y2)",
}
# How far a box may reach over the border, and how small it may be, and still be a box that was meant so.
SLACK_PX, LEAST_PX = 1.0, 1.0
FOUR_CORNERS = 8
# Of a rotated rectangle: the cosine of its corners, and of the turn that makes it one.
RIGHT_ANGLE, TURNED = 0.05, 0.035


@dataclass
class BoxTally:
    """What the lines of a split say.

    Attributes:
        box_format: of the source, "xywh", "cxcywh" or "corners".
        lines: of annotations that were read.
        boxes: that were taken and are no crowds.
        crowds: that were taken.
        dropped: rule to number of lines.
        example: rule to the detail of its first line.
        classes: class or category id as it stands to number of lines.
        fits: format to how many boxes lie inside their image if their numbers are read so.
        four: lines of four numbers.
        shares: of them, those with no number above 1.
        pixels: of them, those with a number that no share of an image can be.
        columns: number of numbers to number of lines, where there are more than five.
        turned: lines of four corners that are those of a turned rectangle.
        posed: lines of a box with points in it.
    """

    box_format: str
    lines: int = 0
    boxes: int = 0
    crowds: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    example: dict[str, str] = field(default_factory=dict)
    classes: Counter[int] = field(default_factory=Counter)
    fits: Counter[str] = field(default_factory=Counter)
    four: int = 0
    shares: int = 0
    pixels: int = 0
    columns: Counter[int] = field(default_factory=Counter)
    turned: int = 0
    posed: int = 0

    def add(self, line: ReadLine, width: int, height: int) -> None:
        """Counts a line of an image of this displayed size."""
        drops = [remark for remark in line.remarks if remark.action == DROPPED]
        if line.box is None and not drops and not line.written:
            return  # a remark on the image
        self.lines += 1
        if line.class_index is not None:
            self.classes[line.class_index] += 1
        if line.box is not None:
            self.crowds += line.box.iscrowd
            self.boxes += not line.box.iscrowd
        for remark in drops[:1]:
            self.dropped[remark.rule] += 1
            self.example.setdefault(remark.rule, remark.detail)
        numbers = line.written
        if len(numbers) == 4 and all(map(math.isfinite, numbers)):
            self._add_box(numbers, width, height)
        elif len(numbers) > 5:
            self.columns[len(numbers)] += 1
            self.posed += is_posed(numbers)
            self.turned += len(numbers) == FOUR_CORNERS and is_turned(numbers, width, height)

    def _add_box(self, numbers: Sequence[float], width: int, height: int) -> None:
        self.four += 1
        self.shares += max(numbers) <= 1
        self.pixels += max(numbers) > PIXELS_ABOVE
        scale = (width, height) * 2 if self.box_format == "cxcywh" else (1, 1, 1, 1)
        a, b, c, d = (number * side for number, side in zip(numbers, scale, strict=True))
        for name, corners in (
            ("xywh", (a, b, a + c, b + d)),
            ("cxcywh", (a - c / 2, b - d / 2, a + c / 2, b + d / 2)),
            ("corners", (a, b, c, d)),
        ):
            self.fits[name] += _fits(corners, width, height)

    @property
    def unusable(self) -> int:
        """Boxes that reach over the border by more than a pixel, or are smaller than one."""
        return self.four - self.fits[self.box_format]


def _fits(corners: tuple[float, float, float, float], width: int, height: int) -> bool:
    x1, y1, x2, y2 = corners
    inside = min(x1, y1) >= -SLACK_PX and x2 <= width + SLACK_PX and y2 <= height + SLACK_PX
    return inside and x2 - x1 >= LEAST_PX and y2 - y1 >= LEAST_PX


def is_turned(numbers: Sequence[float], width: int, height: int) -> bool:
    """Returns whether four corners (in shares) are those of a rectangle that is turned against the axes."""
    points = [(x * width, y * height) for x, y in zip(numbers[0::2], numbers[1::2], strict=True)]
    sides = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(points, [*points[1:], points[0]], strict=True)]
    lengths = [math.hypot(*side) for side in sides]
    if min(lengths) < LEAST_PX:
        return False
    units = [(x / length, y / length) for (x, y), length in zip(sides, lengths, strict=True)]
    corners = [a[0] * b[0] + a[1] * b[1] for a, b in zip(units, [*units[1:], units[0]], strict=True)]
    slack = RIGHT_ANGLE + 1.5 / min(lengths)  # rounded to pixels
    return max(map(abs, corners)) < slack and min(map(abs, units[0])) > max(TURNED, 1.5 / lengths[0])


def is_posed(numbers: Sequence[float]) -> bool:
    """Returns whether numbers (shares) are a box and points inside it, two or three numbers a point."""
    cx, cy, w, h = numbers[:4]
    rest = numbers[4:]
    for step in (2, 3):
        if len(rest) % step:
            continue
        points = [rest[i : i + step] for i in range(0, len(rest), step)]
        if step == 3 and any(point[2] not in (0, 1, 2) for point in points):
            continue
        inside = [abs(p[0] - cx) <= w * 0.6 and abs(p[1] - cy) <= h * 0.6 for p in points if p[0] or p[1]]
        if inside and all(inside):
            return True
    return False
