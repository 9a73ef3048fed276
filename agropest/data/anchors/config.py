"""What a Detectron2 config says of anchors and training scales, read without Detectron2."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from agropest import detectron2_yaml
from agropest.data.anchors.fit import AnchorGrid
from agropest.errors import DataError, fault

STRIDES = {"res2": 4, "res3": 8, "res4": 16, "res5": 32} | {f"p{level}": 2**level for level in range(2, 8)}
# Detectron2's defaults, where neither the file nor its _BASE_ says anything.
DEFAULTS: dict[str, Any] = {
    "MODEL.ANCHOR_GENERATOR.SIZES": [[32, 64, 128, 256, 512]],
    "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS": [[0.5, 1.0, 2.0]],
    "MODEL.ANCHOR_GENERATOR.OFFSET": 0.0,
    "MODEL.META_ARCHITECTURE": "GeneralizedRCNN",
    "MODEL.RPN.IN_FEATURES": ["res4"],
    "MODEL.RETINANET.IN_FEATURES": ["p3", "p4", "p5", "p6", "p7"],
    "INPUT.MIN_SIZE_TRAIN": [800],
    "INPUT.MIN_SIZE_TRAIN_SAMPLING": "choice",
    "INPUT.MAX_SIZE_TRAIN": 1333,
}
SCALES_OF_A_RANGE = 5


@dataclass(frozen=True)
class AnchorConfig:
    """Anchors and the scales they are trained at.

    Attributes:
        short_sides: ``INPUT.MIN_SIZE_TRAIN``, in pixels; of a range, some values between its ends.
        max_size: ``INPUT.MAX_SIZE_TRAIN``, in pixels.
    """

    grid: AnchorGrid
    short_sides: tuple[int, ...]
    max_size: int


def read_anchor_config(file: Path) -> AnchorConfig:
    """Returns what a Detectron2 YAML file (with its ``_BASE_``) says of anchors and training scales.

    Raises:
        DataError: the file cannot be read, or a value is not what Detectron2 takes.
    """
    flat = DEFAULTS | {key: value for key, value in _flat(_merged(Path(file), ())).items() if key in DEFAULTS}
    return anchor_config(flat, str(file))


def anchor_config(flat: dict[str, Any], where: str) -> AnchorConfig:
    """Returns the same of a flat config (``MODEL.ANCHOR_GENERATOR.SIZES: ...``); other keys are not looked at.

    Args:
        flat: must hold every key of ``DEFAULTS``.
        where: names the config in errors.

    Raises:
        DataError: all faults at once.
    """
    faults: list[str] = []
    is_retinanet = flat["MODEL.META_ARCHITECTURE"] == "RetinaNet"
    levels = "MODEL.RETINANET.IN_FEATURES" if is_retinanet else "MODEL.RPN.IN_FEATURES"
    features = _features(flat[levels], f"{where}: {levels}", faults)
    generator = "MODEL.ANCHOR_GENERATOR"
    sizes = _levels(flat[f"{generator}.SIZES"], len(features), f"{where}: {generator}.SIZES", faults)
    ratios = _levels(flat[f"{generator}.ASPECT_RATIOS"], len(features), f"{where}: {generator}.ASPECT_RATIOS", faults)
    sides = flat["INPUT.MIN_SIZE_TRAIN"]
    sides = [sides] if isinstance(sides, int) else list(sides) if isinstance(sides, (list, tuple)) else []
    if not sides or not all(isinstance(side, int) and side >= 0 for side in sides):
        faults.append(
            fault(f"{where}: INPUT.MIN_SIZE_TRAIN", "expected pixels", sides, "write a list such as [640, 800]")
        )
    max_size, offset = flat["INPUT.MAX_SIZE_TRAIN"], flat[f"{generator}.OFFSET"]
    if not isinstance(max_size, int) or max_size <= 0:
        faults.append(
            fault(f"{where}: INPUT.MAX_SIZE_TRAIN", "expected pixels", max_size, "write a number such as 1333")
        )
    if not isinstance(offset, (int, float)) or not 0 <= offset < 1:
        faults.append(fault(f"{where}: {generator}.OFFSET", "expected 0 up to 1", offset, "write 0.0 or 0.5"))
    if faults:
        raise DataError(*faults)
    if flat["INPUT.MIN_SIZE_TRAIN_SAMPLING"] == "range":
        sides = sorted({int(side) for side in np.linspace(min(sides), max(sides), SCALES_OF_A_RANGE)})
    grid = AnchorGrid(sizes, ratios, tuple(STRIDES[feature] for feature in features), float(offset))
    return AnchorConfig(grid, tuple(sides), max_size)


def _merged(file: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """Returns the content of a file over that of its ``_BASE_``."""
    if file.resolve() in above:
        raise DataError(fault(f"{file}: _BASE_", "expected no ring of files", str(file), "name another file"))
    try:
        content = detectron2_yaml.load(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        value = " ".join(str(error).split())
        raise DataError(fault(str(file), "expected a Detectron2 config in YAML", value, "check the path")) from None
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise DataError(fault(str(file), "expected keys and values", content, "give a Detectron2 config"))
    base = content.pop("_BASE_", None)
    if base is None:
        return content
    if not isinstance(base, str):
        raise DataError(fault(f"{file}: _BASE_", "expected a file", base, "name one file"))
    return _over(_merged(file.parent / Path(base).expanduser(), (*above, file.resolve())), content)


def _over(low: dict[str, Any], high: dict[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        below = merged.get(key)
        merged[key] = _over(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: _literal(value)}
    return flat


def _literal(value: Any) -> Any:
    """Returns what Detectron2 makes of a text such as ``(640, 800)``."""
    if isinstance(value, str):
        try:
            return ast.literal_eval(value)
        except (ValueError, SyntaxError):
            return value
    return value


def _features(value: Any, where: str, faults: list[str]) -> list[str]:
    features = list(value) if isinstance(value, (list, tuple)) else [value]
    unknown = [feature for feature in features if feature not in STRIDES]
    if unknown or not features:
        fix = f"known here: {', '.join(STRIDES)}"
        faults.append(fault(where, "expected levels of known stride", unknown, fix))
    return features


def _levels(value: Any, num_levels: int, where: str, faults: list[str]) -> tuple[tuple[float, ...], ...]:
    lists = list(value) if isinstance(value, (list, tuple)) else []
    if lists and all(isinstance(item, (int, float)) for item in lists):  # Detectron2 takes a flat list for all levels
        lists = [lists]
    good = bool(lists) and all(isinstance(row, (list, tuple)) and row for row in lists)
    good = good and all(isinstance(v, (int, float)) and not isinstance(v, bool) and v > 0 for row in lists for v in row)
    if not good or len(lists) not in (1, num_levels):
        rule = f"expected 1 or {num_levels} lists of numbers above 0"
        faults.append(fault(where, rule, value, "give one list for all levels, or one for each"))
        return ()
    return tuple(tuple(float(v) for v in row) for row in (lists * num_levels if len(lists) == 1 else lists))
