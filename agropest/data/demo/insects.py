"""Drawn insects: each of the twelve AgroPest-12 classes as strokes in its own frame (head to +x, length about 1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

CLASS_NAMES = (
    "Ants",
    "Bees",
    "Beetles",
    "Caterpillars",
    "Earthworms",
    "Earwigs",
    "Grasshoppers",
    "Moths",
    "Slugs",
    "Snails",
    "Wasps",
    "Weevils",
)

Colour: TypeAlias = tuple[int, ...]
Points: TypeAlias = np.ndarray

BLACK: Colour = (24, 20, 18)
YELLOW: Colour = (240, 190, 30)
WING: Colour = (225, 235, 245, 150)

_TURN = np.linspace(0, 2 * np.pi, 20, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)


@dataclass(frozen=True)
class Stroke:
    """A filled polygon (``width`` 0) or a line of ``width``; points (N, 2) and width in the insect's own unit."""

    points: Points
    colour: Colour
    width: float = 0.0


def draw_insect(class_index: int, rng: np.random.Generator) -> list[Stroke]:
    """Returns the strokes of one insect of a class, back to front, with its own pose and tint."""
    tint = rng.uniform(0.8, 1.15) * rng.uniform(0.93, 1.07, 3)
    return [_tinted(stroke, tint) for stroke in _DRAWERS[class_index](rng)]


def _tinted(stroke: Stroke, tint: np.ndarray) -> Stroke:
    rgb = tuple(int(min(255, channel * t)) for channel, t in zip(stroke.colour[:3], tint, strict=True))
    return Stroke(stroke.points, rgb + stroke.colour[3:], stroke.width)


def ellipse(x: float, y: float, rx: float, ry: float, colour: Colour, turn: float = 0.0) -> Stroke:
    """Returns an ellipse around (x, y), turned by ``turn`` radians."""
    points = _CIRCLE * (rx, ry)
    if turn:
        c, s = np.cos(turn), np.sin(turn)
        points = points @ np.array([[c, s], [-s, c]])
    return Stroke(points + np.array((x, y)), colour)


def line(points: Sequence[tuple[float, float]], width: float, colour: Colour) -> Stroke:
    """Returns an open stroke of ``width`` through ``points``, in the insect's own units."""
    return Stroke(np.array(points, float), colour, width)


def polygon(points: Sequence[tuple[float, float]], colour: Colour) -> Stroke:
    """Returns a filled area with these corners, in the insect's own units."""
    return Stroke(np.array(points, float), colour)


def _legs(
    xs: Sequence[float], reach: float, colour: Colour, rng: np.random.Generator, width: float = 0.03
) -> list[Stroke]:
    """Returns pairs of two-jointed legs at ``xs``, reaching ``reach`` to either side, front ones forward."""
    strokes = []
    for i, x in enumerate(xs):
        lean = (0.14, 0.0, -0.16)[i] if len(xs) == 3 else 0.0
        for side in (-1, 1):
            swing = rng.uniform(-0.05, 0.05)
            knee = (x + lean * 0.6 + swing, side * reach * 0.6)
            foot = (x + lean * 1.5 + swing, side * reach)
            strokes.append(line([(x, 0.0), knee, foot], width, colour))
    return strokes


def _stripes(x: float, y: float, rx: float, ry: float, count: int, colours: tuple[Colour, Colour]) -> list[Stroke]:
    """Returns an ellipse banded across its length in two colours, tail first."""
    strokes = []
    edges = np.linspace(-1, 1, count + 1)
    for i, (a, b) in enumerate(pairwise(edges.tolist())):
        u = np.linspace(a, b, 5)
        half = np.sqrt(np.maximum(0, 1 - u**2))
        upper = np.stack([x + u * rx, y + half * ry], axis=1)
        lower = np.stack([x + u[::-1] * rx, y - half[::-1] * ry], axis=1)
        strokes.append(Stroke(np.concatenate([upper, lower]), colours[i % 2]))
    return strokes


def _tube(
    rng: np.random.Generator, bend: tuple[float, float], halves: Sequence[float], n: int = 24
) -> tuple[Points, Points]:
    """Returns a curved spine (n, 2) from tail to head, and the outline of a tube of half-widths ``halves`` about it."""
    x = np.linspace(-0.5, 0.5, n)
    spine = np.stack([x, rng.uniform(*bend) * np.sin(2 * np.pi * (x * rng.uniform(0.8, 1.3)) + rng.uniform(0, 6))], 1)
    along = np.gradient(spine, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], 1) / np.linalg.norm(along, axis=1, keepdims=True)
    half = np.interp(np.linspace(0, 1, n), np.linspace(0, 1, len(halves)), halves)[:, None]
    return spine, np.concatenate([spine + normal * half, (spine - normal * half)[::-1]])


def _ant(rng: np.random.Generator) -> list[Stroke]:
    red, dark = (122, 44, 24), (74, 24, 14)
    strokes = _legs((0.12, 0.04, -0.03), 0.34, dark, rng, 0.028)
    for side in (-1, 1):
        strokes.append(line([(0.36, side * 0.04), (0.46, side * 0.17), (0.58, side * 0.15)], 0.026, dark))
    strokes += [ellipse(-0.3, 0, 0.2, 0.14, dark), ellipse(-0.25, 0.03, 0.1, 0.05, (150, 80, 60))]
    return [
        *strokes,
        ellipse(-0.08, 0, 0.05, 0.045, red),
        ellipse(0.06, 0, 0.12, 0.075, red),
        ellipse(0.3, 0, 0.11, 0.105, red),
    ]


def _bee(rng: np.random.Generator) -> list[Stroke]:
    spread = rng.uniform(0.5, 0.9)
    strokes = _legs((0.2, 0.08, -0.04), 0.26, BLACK, rng, 0.035)
    strokes += _stripes(-0.2, 0, 0.32, 0.22, 7, (BLACK, YELLOW))
    strokes += [ellipse(0.14, 0, 0.18, 0.19, (190, 125, 30)), ellipse(0.36, 0, 0.11, 0.13, BLACK)]
    for side in (-1, 1):
        strokes.append(ellipse(-0.06, side * 0.27, 0.27, 0.1, WING, -side * spread * 0.6))
        strokes.append(line([(0.42, side * 0.05), (0.54, side * 0.13)], 0.03, BLACK))
    return strokes


def _beetle(rng: np.random.Generator) -> list[Stroke]:
    shell, shine = (20, 92, 150), (120, 190, 230)
    strokes = _legs((0.22, 0.0, -0.2), 0.42, BLACK, rng, 0.05)
    strokes += [ellipse(0.42, 0, 0.1, 0.13, BLACK), ellipse(0.26, 0, 0.15, 0.25, (12, 52, 96))]
    strokes += [ellipse(-0.12, 0, 0.38, 0.31, shell), line([(-0.5, 0), (0.2, 0)], 0.025, BLACK)]
    strokes += [ellipse(-0.05, side * 0.15, 0.2, 0.05, shine) for side in (-1, 1)]
    return [*strokes, *(line([(0.48, s * 0.05), (0.6, s * 0.14)], 0.03, BLACK) for s in (-1, 1))]


def _caterpillar(rng: np.random.Generator) -> list[Stroke]:
    x = np.linspace(-0.44, 0.38, 9)
    y = rng.uniform(0.06, 0.14) * np.sin(x * rng.uniform(5, 8) + rng.uniform(0, 6))
    strokes = [
        line([(a, b), (a, b + side * 0.15)], 0.03, (40, 80, 20)) for a, b in zip(x, y, strict=True) for side in (-1, 1)
    ]
    for i, (a, b) in enumerate(zip(x, y, strict=True)):
        green = (126, 196, 60) if i % 2 else (92, 164, 40)
        strokes += [ellipse(a, b, 0.075, 0.105, green), ellipse(a, b, 0.025, 0.03, (250, 220, 60))]
    return [*strokes, ellipse(0.46, float(y[-1]), 0.075, 0.085, (150, 50, 20))]


def _earthworm(rng: np.random.Generator) -> list[Stroke]:
    spine, outline = _tube(rng, (0.12, 0.24), (0.012, 0.042, 0.045, 0.045, 0.045, 0.04, 0.015))
    strokes = [Stroke(outline, (206, 120, 120))]
    for i in range(2, len(spine) - 1, 2):
        side = outline[[i, len(outline) - 1 - i]]
        strokes.append(Stroke(side, (164, 84, 90), 0.012))
    saddle = np.concatenate([outline[15:19], outline[len(outline) - 19 : len(outline) - 15]])
    return [*strokes, Stroke(saddle, (240, 178, 168))]


def _earwig(rng: np.random.Generator) -> list[Stroke]:
    brown, dark = (132, 74, 30), (70, 34, 14)
    strokes = _legs((0.24, 0.14, 0.02), 0.25, (190, 140, 60), rng, 0.03)
    for side in (-1, 1):
        strokes.append(
            line([(-0.38, side * 0.03), (-0.5, side * 0.11), (-0.62, side * 0.08), (-0.68, side * 0.015)], 0.04, dark)
        )
        strokes.append(line([(0.42, side * 0.03), (0.56, side * 0.1), (0.68, side * 0.07)], 0.02, dark))
    strokes += [ellipse(x, 0, 0.07, 0.1, brown if i % 2 else dark) for i, x in enumerate(np.linspace(-0.36, 0.04, 7))]
    strokes += [polygon([(0.02, -0.09), (0.2, -0.1), (0.2, 0.1), (0.02, 0.09)], (170, 104, 44))]
    return [*strokes, ellipse(0.26, 0, 0.08, 0.1, dark), ellipse(0.38, 0, 0.075, 0.085, brown)]


def _grasshopper(rng: np.random.Generator) -> list[Stroke]:
    green, dark, knee_x = (112, 160, 40), (60, 96, 20), rng.uniform(-0.42, -0.3)
    strokes = [
        line([(0.4, -0.1), (0.58, -0.26), (0.72, -0.3)], 0.018, dark),
        line([(0.4, -0.08), (0.6, -0.18)], 0.018, dark),
    ]
    strokes += [line([(x, 0.06), (x + 0.05, 0.2), (x + 0.12, 0.3)], 0.028, dark) for x in (0.12, 0.26)]
    strokes += [polygon([(-0.55, -0.02), (-0.3, -0.12), (0.2, -0.12), (0.25, 0.1), (-0.2, 0.1)], green)]
    strokes += [polygon([(-0.62, -0.06), (-0.3, -0.16), (0.12, -0.13), (0.1, -0.02)], (150, 124, 60))]
    strokes += [
        polygon([(0.1, -0.15), (0.3, -0.17), (0.32, 0.1), (0.14, 0.12)], dark),
        ellipse(0.38, -0.03, 0.1, 0.13, green),
    ]
    strokes += [ellipse(0.41, -0.08, 0.03, 0.04, BLACK)]
    thigh = polygon([(0.08, 0.08), (0.02, -0.04), (knee_x, -0.36), (knee_x - 0.03, -0.32)], (140, 190, 60))
    return [*strokes, thigh, line([(knee_x, -0.34), (knee_x - 0.1, 0.28), (knee_x - 0.02, 0.3)], 0.03, (170, 70, 40))]


def _moth(rng: np.random.Generator) -> list[Stroke]:
    wing, edge, back = (206, 180, 140), (130, 92, 58), rng.uniform(-0.36, -0.26)
    strokes: list[Stroke] = []
    for side in (-1, 1):
        strokes.append(
            polygon(
                [(0.05, 0), (-0.08, side * 0.4), (-0.26, side * 0.4), (-0.42, side * 0.24), (-0.3, side * 0.05)],
                (228, 206, 172),
            )
        )
        strokes.append(
            polygon([(0.24, 0), (0.34, side * 0.36), (0.3, side * 0.64), (back + 0.2, side * 0.46), (-0.14, 0)], wing)
        )
        strokes.append(
            polygon(
                [(0.3, side * 0.64), (back + 0.2, side * 0.46), (back + 0.23, side * 0.38), (0.26, side * 0.54)], edge
            )
        )
        strokes += [
            ellipse(0.1, side * 0.32, 0.07, 0.07, (90, 40, 30)),
            ellipse(0.1, side * 0.32, 0.03, 0.03, (250, 240, 200)),
        ]
        strokes.append(line([(0.28, side * 0.03), (0.4, side * 0.16), (0.46, side * 0.2)], 0.03, edge))
    return [*strokes, ellipse(-0.08, 0, 0.3, 0.075, (150, 112, 76)), ellipse(0.24, 0, 0.07, 0.07, (96, 66, 40))]


def _slug(rng: np.random.Generator) -> list[Stroke]:
    spine, outline = _tube(rng, (0.04, 0.12), (0.01, 0.08, 0.12, 0.14, 0.14, 0.12, 0.05))
    head, mantle = spine[-1], spine[15]
    strokes = []
    for side in (-1, 1):
        tip = (head[0] + 0.13, head[1] + side * 0.1)
        strokes += [
            line([(head[0] - 0.03, head[1]), tip], 0.028, (110, 50, 16)),
            ellipse(tip[0], tip[1], 0.025, 0.025, BLACK),
        ]
    strokes += [Stroke(outline, (214, 104, 30)), ellipse(mantle[0], mantle[1], 0.19, 0.1, (160, 66, 16))]
    return [*strokes, ellipse(mantle[0] + 0.05, mantle[1] + 0.05, 0.025, 0.02, BLACK)]


def _snail(rng: np.random.Generator) -> list[Stroke]:
    skin, shell, band = (196, 184, 146), (226, 196, 130), (96, 50, 26)
    strokes = [
        polygon([(-0.55, 0.3), (-0.1, 0.12), (0.3, 0.12), (0.46, 0.0), (0.58, 0.06), (0.54, 0.22), (0.34, 0.3)], skin)
    ]
    strokes += [line([(0.5, 0.04), (0.56 + d, -0.18)], 0.028, skin) for d in (-0.04, 0.08)]
    strokes += [ellipse(0.56 + d, -0.18, 0.026, 0.026, BLACK) for d in (-0.04, 0.08)]
    angle = np.linspace(0, 2 * np.pi * rng.uniform(2.2, 2.8), 34)
    radius = np.linspace(0.29, 0.03, 34)
    spiral = np.stack([-0.05 + radius * np.cos(angle), -0.06 + radius * np.sin(angle)], 1)
    return [
        *strokes,
        ellipse(-0.05, -0.06, 0.33, 0.32, band),
        ellipse(-0.05, -0.06, 0.3, 0.29, shell),
        Stroke(spiral, band, 0.05),
    ]


def _wasp(rng: np.random.Generator) -> list[Stroke]:
    lean = rng.uniform(0.25, 0.6)
    strokes = _legs((0.26, 0.18, 0.1), 0.36, (214, 130, 20), rng, 0.026)
    strokes += [line([(0.1, 0), (-0.08, 0)], 0.035, BLACK), polygon([(-0.5, -0.06), (-0.64, 0), (-0.5, 0.06)], BLACK)]
    strokes += _stripes(-0.3, 0, 0.25, 0.115, 8, (BLACK, (250, 214, 20)))
    strokes += [
        ellipse(0.2, 0, 0.13, 0.1, BLACK),
        ellipse(0.2, 0, 0.04, 0.07, YELLOW),
        ellipse(0.38, 0, 0.07, 0.1, YELLOW),
    ]
    for side in (-1, 1):
        strokes.append(ellipse(-0.1, side * 0.22, 0.34, 0.055, (200, 150, 70, 170), -side * lean))
        strokes += [
            ellipse(0.41, side * 0.06, 0.03, 0.035, BLACK),
            line([(0.43, side * 0.03), (0.62, side * 0.14)], 0.028, BLACK),
        ]
    return strokes


def _weevil(rng: np.random.Generator) -> list[Stroke]:
    grey, dark = (150, 140, 128), (74, 66, 60)
    strokes = _legs((0.1, -0.06, -0.24), 0.36, dark, rng, 0.045)
    droop = rng.uniform(-0.12, 0.12)
    strokes += [line([(0.3, 0), (0.48, droop * 0.4), (0.68, droop)], 0.055, dark)]
    strokes += [
        line([(0.5, droop * 0.4), (0.56, droop * 0.4 + s * 0.12), (0.64, droop * 0.4 + s * 0.14)], 0.022, dark)
        for s in (-1, 1)
    ]
    strokes += [
        ellipse(0.3, 0, 0.1, 0.09, dark),
        ellipse(0.14, 0, 0.14, 0.17, (120, 108, 98)),
        ellipse(-0.2, 0, 0.32, 0.245, grey),
    ]
    strokes += [line([(-0.52, 0), (0.08, 0)], 0.02, dark)]
    spots = rng.uniform((-0.42, -0.16), (0.02, 0.16), (9, 2))
    return [
        *strokes,
        *(ellipse(x, y, 0.035, 0.03, (70, 56, 50) if i % 2 else (226, 220, 206)) for i, (x, y) in enumerate(spots)),
    ]


_DRAWERS: tuple[Callable[[np.random.Generator], list[Stroke]], ...] = (
    _ant,
    _bee,
    _beetle,
    _caterpillar,
    _earthworm,
    _earwig,
    _grasshopper,
    _moth,
    _slug,
    _snail,
    _wasp,
    _weevil,
)
