"""What COCO annotations of one image mean: boxes in pixels of the displayed picture, or which rule they break."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from agropest.data.formats.folder import plain
from agropest.data.formats.labels import LabelledBox, Remark, fit_box
from agropest.data.formats.mask_box import mask_box
from agropest.data.health import CHANGED, DROPPED, KEPT
from agropest.data.picture import ReadLine

# Two ratios of sides are the same picture scaled if they agree to this: sides are rounded to whole pixels.
ROUNDED_SIDE_PX = 1.0
# By how much boxes may reach over the size that they are of.
SLACK = 1.01


@dataclass(frozen=True)
class RecordReader:
    """Reads annotation records of one file.

    Attributes:
        name: of the file, relative to the data set.
        ids: category id in the file to category id after conversion.
    """

    name: str
    ids: Mapping[int, int]

    def read(
        self, records: list[dict[str, Any]], stated_size: tuple[Any, Any], width: int, height: int
    ) -> Iterator[ReadLine]:
        """Yields what each record of an image says.

        Args:
            records: the image's annotations.
            stated_size: width and height in the file.
            width: of the displayed picture in pixels.
            height: likewise.
        """
        written = [_written(record) for record in records]
        remark = size_remark(stated_size, (width, height), [numbers for numbers, _ in written if numbers])
        is_other = remark is not None and remark.action == DROPPED
        if remark is not None:
            yield ReadLine(self.name, 0, None, (remark,), drops_image=is_other)
        if is_other:
            return
        factors = (
            (width / stated_size[0], height / stated_size[1]) if remark and remark.action == CHANGED else (1.0, 1.0)
        )
        for record, (numbers, remarks) in zip(records, written, strict=True):
            box, more = self._box(record, numbers, factors, width, height)
            about = f"annotation {record.get('id')}: "
            named = (replace(r, detail=_shown(about + r.detail)) for r in (*remarks, *more))
            category = record.get("category_id")
            index = category if type(category) is int else None
            yield ReadLine(self.name, 0, box, tuple(named), numbers or (), index)

    def _box(
        self,
        record: dict[str, Any],
        numbers: tuple[float, float, float, float] | None,
        factors: tuple[float, float],
        width: int,
        height: int,
    ) -> tuple[LabelledBox | None, list[Remark]]:
        category = record.get("category_id")
        if isinstance(category, bool) or not isinstance(category, int) or category not in self.ids:
            return None, [Remark("class-out-of-range", DROPPED, f"category {category!r}")]
        if numbers is None:
            return None, []
        x, y, w, h = numbers
        if not all(map(math.isfinite, (x, y, x + w, y + h))):
            return None, [Remark("not-finite", DROPPED, f"bbox {list(numbers)!r}")]
        across, down = factors
        box, remarks = fit_box((x * across, y * down, (x + w) * across, (y + h) * down), width, height)
        return (LabelledBox(self.ids[category], box, int(record.get("iscrowd") == 1)) if box else None), remarks


def _written(record: dict[str, Any]) -> tuple[tuple[float, float, float, float] | None, list[Remark]]:
    """Returns a record's box as xywh, of its mask where it has no box, and what was remarkable."""
    bbox = record.get("bbox")
    if isinstance(bbox, list) and len(bbox) == 4 and all(_is_number(value) for value in bbox):
        x, y, w, h = map(float, bbox)
        return (x, y, w, h), []
    if bbox in (None, []):
        around = mask_box(record.get("segmentation"))
        if around is not None:
            return around, [Remark("box-from-mask", KEPT, "no bbox; the box is that around the mask")]
        detail = "no bbox, and no mask that could be read" if record.get("segmentation") else "no bbox and no mask"
        return None, [Remark("no-bbox", DROPPED, detail)]
    return None, [Remark("not-a-number", DROPPED, f"bbox {bbox!r}")]


def size_remark(
    stated: tuple[Any, Any], displayed: tuple[int, int], boxes: list[tuple[float, float, float, float]]
) -> Remark | None:
    """Returns what is to be said where the file tells another size than the picture has.

    Kept: the boxes are of the picture as it is. Changed: the picture was scaled after the export, and so are the boxes.
    Dropped: it was stretched, cropped or exchanged, and where the boxes belong cannot be known.
    """
    if stated == displayed:
        return None
    shown = f"the file says {stated[0]}x{stated[1]}, displayed it is {displayed[0]}x{displayed[1]}"
    if not all(_is_number(side) and side > 1 for side in stated):
        return Remark("size-differs", KEPT, _shown(f"{shown}; boxes are taken as they are"))
    across, down = (side / other for side, other in zip(displayed, stated, strict=True))
    over_stated = any(x + w > stated[0] * SLACK or y + h > stated[1] * SLACK for x, y, w, h in boxes)
    fits = all(x + w <= displayed[0] * SLACK and y + h <= displayed[1] * SLACK for x, y, w, h in boxes)
    if fits and (stated[1], stated[0]) == displayed:  # the stored size of a picture that is displayed turned
        return Remark("size-differs", KEPT, f"{shown}; boxes are taken as they are")
    if over_stated and fits:
        return Remark("size-differs", KEPT, f"{shown}; the boxes fit the picture alone, and are taken as they are")
    off = max(abs(stated[1] * across - displayed[1]), abs(stated[0] * down - displayed[0]))
    if off <= ROUNDED_SIDE_PX * max(1.0, across, down):
        return Remark("size-scaled", CHANGED, f"{shown}; the boxes are scaled with it, by {across:.4g}")
    return Remark("size-differs", DROPPED, f"{shown}: turned, stretched, cropped or another picture; it is left out")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _shown(text: str) -> str:
    return plain(text.encode(errors="replace").decode())[:300]
