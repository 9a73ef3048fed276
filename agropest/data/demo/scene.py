"""One drawn picture: a cluttered ground with insects on it, and their boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from agropest.data.demo.insects import Stroke, draw_insect

# Everything is drawn at twice the size and scaled down once: that is what smooths the edges.
OVERSAMPLING = 2
# Longest side of an insect's box as a share of the picture's side, from the smallest to the largest.
SMALLEST, LARGEST = 0.1, 0.62

GROUNDS = ((96, 74, 52), (70, 92, 48), (134, 120, 88), (86, 104, 74), (150, 140, 120), (60, 56, 46))
LEAVES = ((70, 110, 44), (98, 128, 60), (52, 84, 40), (140, 130, 70), (120, 86, 50), (164, 150, 96))


@dataclass(frozen=True)
class DrawnBox:
    """An insect in a picture; left, top, right, bottom in pixels, inside the picture."""

    class_index: int
    left: float
    top: float
    right: float
    bottom: float


def draw_scene(classes: Sequence[int], size_px: int, rng: np.random.Generator) -> tuple[Image.Image, list[DrawnBox]]:
    """Returns an RGB picture of ``size_px`` squared with one insect for each entry of ``classes``, and their boxes."""
    canvas = _ground(size_px, rng)
    pen = ImageDraw.Draw(canvas, "RGBA")
    _clutter(pen, canvas.width, rng)
    boxes: list[DrawnBox] = []
    for class_index in classes:
        strokes, box = _place(class_index, boxes, size_px, rng)
        _paint(pen, strokes)
        boxes.append(box)
    picture = canvas.reduce(OVERSAMPLING)
    return _photograph(picture, rng), boxes


def _ground(size_px: int, rng: np.random.Generator) -> Image.Image:
    """Returns soil or moss on the oversampled canvas: one colour under blotches and grain."""
    size = (size_px, size_px)
    base = np.array(GROUNDS[rng.integers(len(GROUNDS))], float) * rng.uniform(0.85, 1.3)
    small = base + rng.normal(0, 20, (6, 6, 1)) + rng.normal(0, 6, (6, 6, 3))
    ground = Image.fromarray(np.clip(small, 0, 255).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    grain = Image.fromarray(rng.integers(0, 70, (size_px // 2, size_px // 2), dtype=np.uint8))
    ground.paste((30, 26, 20), (0, 0, *size), grain.resize(size, Image.Resampling.BILINEAR))
    return ground.resize((size_px * OVERSAMPLING,) * 2, Image.Resampling.NEAREST)


def _clutter(pen: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    """Draws leaves, grass blades, pebbles and twigs: things that are no insect."""
    for _ in range(rng.integers(2, 7)):
        _leaf(pen, rng.uniform(0, side, 2), side * rng.uniform(0.12, 0.5), rng)
    for _ in range(rng.integers(4, 18)):
        _blade(pen, rng.uniform(0, side, 2), side * rng.uniform(0.1, 0.5), rng)
    for _ in range(rng.integers(4, 16)):
        _pebble(pen, rng.uniform(0, side, 2), side * rng.uniform(0.008, 0.05), rng)


def _shade(colour: Sequence[int], rng: np.random.Generator, alpha: int = 255) -> tuple[int, ...]:
    return (*np.clip(np.array(colour) * rng.uniform(0.7, 1.2), 0, 255).astype(int).tolist(), alpha)


def _leaf(pen: ImageDraw.ImageDraw, at: np.ndarray, length: float, rng: np.random.Generator) -> None:
    colour = _shade(LEAVES[rng.integers(len(LEAVES))], rng, 235)
    t, turn = np.linspace(0, 1, 12), rng.uniform(0, 2 * np.pi)
    half = np.sin(np.pi * t) ** 0.8 * length * rng.uniform(0.12, 0.26)
    outline = np.concatenate([np.stack([t * length, half], 1), np.stack([t * length, -half], 1)[::-1]])
    turned = outline @ _rotation(turn) + at
    pen.polygon(turned.ravel().tolist(), fill=colour)
    vein = (*(int(channel * 0.75) for channel in colour[:3]), 255)
    pen.line([tuple(at), tuple(np.array([length, 0.0]) @ _rotation(turn) + at)], fill=vein, width=2)


def _blade(pen: ImageDraw.ImageDraw, at: np.ndarray, length: float, rng: np.random.Generator) -> None:
    colour = _shade(LEAVES[rng.integers(len(LEAVES))], rng)
    bend = rng.uniform(-0.3, 0.3) * length
    points = np.array([[0, 0], [length / 2, bend / 2], [length, bend * 1.6]]) @ _rotation(rng.uniform(0, 6.28)) + at
    pen.line([tuple(point) for point in points], fill=colour, width=int(rng.integers(1, 6)), joint="curve")


def _pebble(pen: ImageDraw.ImageDraw, at: np.ndarray, radius: float, rng: np.random.Generator) -> None:
    angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    points = at + np.stack([np.cos(angles), np.sin(angles)], 1) * radius * rng.uniform(0.6, 1.1, (8, 1))
    pen.polygon(points.ravel().tolist(), fill=_shade((140, 132, 122), rng))


def _place(
    class_index: int, others: Sequence[DrawnBox], size_px: int, rng: np.random.Generator
) -> tuple[list[Stroke], DrawnBox]:
    """Returns an insect's strokes on the oversampled canvas, where it hides none of the others, and its box."""
    strokes = draw_insect(class_index, rng)
    strokes = _moved(strokes, _rotation(rng.uniform(0, 2 * np.pi)) * (1, rng.choice((-1, 1))))
    low, high = _extent(strokes)
    longest = size_px * np.exp(np.log(SMALLEST) + np.log(LARGEST / SMALLEST) * rng.uniform() ** 0.6)
    while True:
        scale = longest / (high - low).max()
        room = size_px - 2 - (high - low) * scale
        for _ in range(20):
            corner = 1 + rng.uniform(0, 1, 2) * room
            box = DrawnBox(class_index, *corner.tolist(), *(corner + (high - low) * scale).tolist())
            if not any(_overlap(box, other) for other in others):
                return _moved(strokes, np.eye(2) * scale * OVERSAMPLING, (corner - low * scale) * OVERSAMPLING), box
        longest *= 0.85


def _overlap(one: DrawnBox, two: DrawnBox) -> bool:
    width = min(one.right, two.right) - max(one.left, two.left)
    height = min(one.bottom, two.bottom) - max(one.top, two.top)
    return width > 0 and height > 0


def _rotation(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, s], [-s, c]])


def _moved(strokes: Sequence[Stroke], matrix: np.ndarray, shift: np.ndarray | float = 0.0) -> list[Stroke]:
    scale = float(np.sqrt(abs(np.linalg.det(matrix))))
    return [Stroke(s.points @ matrix + shift, s.colour, s.width * scale) for s in strokes]


def _extent(strokes: Sequence[Stroke]) -> tuple[np.ndarray, np.ndarray]:
    low = np.min([stroke.points.min(0) - stroke.width / 2 for stroke in strokes], axis=0)
    return low, np.max([stroke.points.max(0) + stroke.width / 2 for stroke in strokes], axis=0)


def _paint(pen: ImageDraw.ImageDraw, strokes: Sequence[Stroke]) -> None:
    for stroke in strokes:
        points = stroke.points.ravel().tolist()
        if stroke.width:
            pen.line(points, fill=stroke.colour, width=max(2, round(stroke.width)), joint="curve")
        else:
            pen.polygon(points, fill=stroke.colour)


def _photograph(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Returns the picture under its own light, with a sensor's noise."""
    light = (rng.uniform(0.9, 1.2) * rng.uniform(0.95, 1.05, 3)).astype(np.float32)
    noise = rng.standard_normal((picture.height, picture.width, 1), np.float32) * 4
    pixels = np.asarray(picture) * light + noise
    return Image.fromarray(np.clip(pixels, 0, 255, out=pixels).astype(np.uint8))
