"""Plots of what is in a data set. Heavy: imports matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from agropest import files
from agropest.data.anchors.coverage import DatasetCoverage
from agropest.data.inspection.statistics import Boxes, ClassStatistics

COLOURS = {"train": "#35618f", "valid": "#e08a2d", "test": "#5a9e5a"}


def plot_classes(path: Path, splits: Sequence[ClassStatistics]) -> None:
    """Writes bars of boxes by class and split."""
    figure = Figure(figsize=(8, 0.32 * len(splits[0].rows) + 1.6), layout="constrained")
    axes = figure.subplots()
    names = [row.name for row in splits[0].rows]
    height = 0.8 / len(splits)
    for i, split in enumerate(splits):
        at = np.arange(len(names)) + i * height
        axes.barh(at, [row.instances for row in split.rows], height, label=split.split, color=COLOURS[split.split])
    axes.set_yticks(np.arange(len(names)) + 0.4 - height / 2, [_plain(name) for name in names])
    axes.invert_yaxis()
    axes.set_xlabel("boxes")
    axes.legend()
    _write(figure, path)


def plot_boxes(path: Path, boxes: Boxes, wh_at_input: np.ndarray) -> None:
    """Writes box sizes at the network's input scale and aspect ratios.

    Args:
        boxes: of one split.
        wh_at_input: shape (scales, boxes, 2).
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    sides = np.sqrt(wh_at_input.prod(axis=2)).ravel()
    left.hist(sides, bins=np.geomspace(max(sides.min(), 1), sides.max() + 1, 40).tolist(), color=COLOURS["train"])
    left.set_xscale("log", base=2)
    left.xaxis.set_major_formatter("{x:g}")
    left.set_xlabel("square root of the area at the input scale (px)")
    left.set_ylabel("boxes")
    ratios = boxes.wh[:, 1] / boxes.wh[:, 0]
    right.hist(ratios, bins=np.geomspace(ratios.min() * 0.99, ratios.max() * 1.01, 40).tolist(), color=COLOURS["valid"])
    right.set_xscale("log", base=2)
    right.xaxis.set_major_formatter("{x:g}")
    right.set_xlabel("height / width")
    _write(figure, path)


def plot_coverage(path: Path, coverages: Mapping[str, DatasetCoverage]) -> None:
    """Writes, for each set of anchors, the share of boxes whose best anchor reaches an IoU."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, coverage in coverages.items():
        iou = np.sort(coverage.best_iou.ravel())
        axes.plot(iou, 100 * (1 - np.arange(len(iou)) / len(iou)), label=name)
    for threshold in (0.5, 0.7):
        axes.axvline(threshold, color="grey", linewidth=0.8, linestyle=":")
    axes.set(xlabel="IoU of the best anchor", ylabel="boxes that reach it (%)", xlim=(0, 1), ylim=(0, 102))
    axes.legend()
    _write(figure, path)


def _plain(name: str) -> str:
    return name.replace("$", r"\$")  # matplotlib would set mathematics


def _write(figure: Figure, path: Path) -> None:
    files.write_with(path, lambda file: figure.savefig(file, format="png", dpi=130))
