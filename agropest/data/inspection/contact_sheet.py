"""The worst of a data set on one page: findings and leaking pairs, with their boxes drawn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps

from agropest.data.dataset import Dataset
from agropest.data.decoding import FORMATS, SUFFIXES
from agropest.data.formats.folder import plain
from agropest.data.formats.labels import corners_in
from agropest.data.health import CLIPPED, DROPPED, Finding
from agropest.data.inspection.similarity import Pair
from agropest.data.inspection.statistics import read_split

TILE_PX, CAPTION_PX, COLUMNS = 300, 46, 4
MAX_TILES = 24
GOOD, BAD, PAPER, INK = (60, 200, 80), (235, 40, 40), (250, 250, 248), (20, 20, 20)
# What a finding weighs in choosing the worst images; rules that are rounding or mere notes weigh nothing.
WEIGHTS = {DROPPED: 3.0, CLIPPED: 1.0}
RULE_WEIGHTS = {"no-box-left": 3.0, "label-missing": 0.5, "exif-orientation": 0.2}


@dataclass(frozen=True)
class Offender:
    """An image and what is wrong with it.

    Attributes:
        good: boxes that were taken, as xywh in pixels, with their class names.
        bad: corners x1, y1, x2, y2 of boxes that were clipped or dropped.
    """

    file: str
    caption: str
    weight: float
    good: tuple[tuple[tuple[float, ...], str], ...]
    bad: tuple[tuple[float, ...], ...]


def worst_offenders(dataset: Dataset, findings: Sequence[Finding], most: int = MAX_TILES) -> list[Offender]:
    """Returns the images with the gravest findings, the gravest first."""
    taken = {name: _taken_boxes(read_split(dataset, name)) for name in dataset.splits}
    stems = {(split, _stem(file)): file for split, boxes in taken.items() for file in boxes}
    grouped: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        file = finding.file if finding.line == 0 else stems.get((finding.split, _stem(finding.file)), "")
        shown = Path(file).suffix.lower() in SUFFIXES and finding.rule != "junk-file"
        if shown and (dataset.root / file).is_file():
            grouped[finding.split, file].append(finding)
    offenders = [_offender(file, own, taken.get(split, {})) for (split, file), own in grouped.items()]
    grave = sorted((o for o in offenders if o.weight > 0), key=lambda o: (-o.weight, o.file))
    return grave[:most]


def _stem(file: str) -> str:
    """Returns what an image and its label file share."""
    return file.rsplit("/", 1)[-1].rsplit(".", 1)[0]


def _taken_boxes(content: dict[str, Any]) -> dict[str, list[tuple[tuple[float, ...], str]]]:
    names = {category["id"]: category["name"] for category in content["categories"]}
    files = {image["id"]: image["file_name"] for image in content["images"]}
    boxes: dict[str, list[tuple[tuple[float, ...], str]]] = {file: [] for file in files.values()}
    for a in content["annotations"]:
        boxes[files[a["image_id"]]].append((tuple(a["bbox"]), names[a["category_id"]]))
    return boxes


def _offender(
    file: str, findings: Sequence[Finding], taken: Mapping[str, list[tuple[tuple[float, ...], str]]]
) -> Offender:
    weight = sum(RULE_WEIGHTS.get(f.rule, WEIGHTS.get(f.action, 0.0)) for f in findings)
    counts: dict[str, int] = defaultdict(int)
    for finding in findings:
        counts[f"{finding.rule} {finding.action}"] += 1
    caption = ", ".join(f"{n}x {detail}" if n > 1 else detail for detail, n in sorted(counts.items()))
    corners = [corners_in(finding.detail) for finding in findings]
    return Offender(file, caption, weight, tuple(taken.get(file, ())), tuple(c for c in corners if c is not None))


def draw_contact_sheet(
    dataset: Dataset, offenders: Sequence[Offender], pairs: Sequence[Pair] = (), most: int = MAX_TILES
) -> Image.Image | None:
    """Returns a page of the leaking pairs (side by side) and the worst images, None where there is nothing to show.

    Green boxes were taken; red ones stand as annotated, before they were clipped or dropped.
    """
    leaks = [pair for pair in pairs if pair.leaks][: most // 4]
    tiles: list[Image.Image] = []
    for pair in leaks:
        detail = f"{pair.kind}: {pair.split_a} and {pair.split_b}"
        tiles += [_tile(dataset.root, Offender(file, detail, 0, (), ())) for file in (pair.file_a, pair.file_b)]
    tiles += [_tile(dataset.root, offender) for offender in offenders[: most - len(tiles)]]
    if not tiles:
        return None
    rows = -(-len(tiles) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * TILE_PX, rows * (TILE_PX + CAPTION_PX)), PAPER)
    for i, tile in enumerate(tiles):
        sheet.paste(tile, (i % COLUMNS * TILE_PX, i // COLUMNS * (TILE_PX + CAPTION_PX)))
    return sheet


def _tile(root: Path, offender: Offender) -> Image.Image:
    tile = Image.new("RGB", (TILE_PX, TILE_PX + CAPTION_PX), PAPER)
    pen = ImageDraw.Draw(tile)
    font = ImageFont.load_default(11)
    try:
        with Image.open(root / offender.file, formats=FORMATS) as image:
            picture = ImageOps.exif_transpose(image).convert("RGB")
    except Exception as error:  # the very images that do not decode are shown here
        pen.rectangle((4, 4, TILE_PX - 5, TILE_PX - 5), fill=(225, 220, 215))
        pen.text((14, TILE_PX // 2), f"does not decode: {type(error).__name__}", fill=BAD, font=font)
    else:
        _draw_picture(tile, picture, offender, font)
    name = offender.file if len(offender.file) < 50 else f"{offender.file[:34]}...{offender.file[-12:]}"
    pen.text((6, TILE_PX + 1), _shown(name), fill=INK, font=font)
    pen.text((6, TILE_PX + 15), _shown(offender.caption[:52]), fill=BAD, font=font)
    pen.text((6, TILE_PX + 29), _shown(offender.caption[52:104]), fill=BAD, font=font)
    return tile


def _draw_picture(tile: Image.Image, picture: Image.Image, offender: Offender, font: Any) -> None:
    """Draws the picture with a margin, in which what reaches over the border can be seen."""
    inner = TILE_PX - 40
    scale = inner / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    left, top = (TILE_PX - size[0]) // 2, (TILE_PX - size[1]) // 2
    tile.paste(picture.resize(size), (left, top))
    pen = ImageDraw.Draw(tile)
    for (x, y, w, h), name in offender.good:
        pen.rectangle((left + x * scale, top + y * scale, left + (x + w) * scale, top + (y + h) * scale), outline=GOOD)
        at = (left + x * scale + 2, top + y * scale + 1)
        pen.text(at, _shown(name), fill=GOOD, font=font, stroke_width=1, stroke_fill=INK)
    for x1, y1, x2, y2 in offender.bad:
        xs, ys = sorted((left + x1 * scale, left + x2 * scale)), sorted((top + y1 * scale, top + y2 * scale))
        low, high = ([min(max(v, 2), TILE_PX - 3) for v in end] for end in zip(xs, ys, strict=True))
        if high[0] - low[0] < 3 or high[1] - low[1] < 3:  # no size: shown as a ring
            pen.ellipse((low[0] - 5, low[1] - 5, high[0] + 5, high[1] + 5), outline=BAD, width=2)
        else:
            pen.rectangle((*low, *high), outline=BAD, width=2)


def _shown(text: str) -> str:
    """Returns the text as the built-in font can show it."""
    return plain(text).encode("latin-1", errors="replace").decode("latin-1")
