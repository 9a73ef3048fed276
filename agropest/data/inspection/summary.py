"""All that ``stats`` tells of a data set: computed first, then as tables, files and plots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from agropest import files
from agropest.data.anchors.config import AnchorConfig
from agropest.data.anchors.coverage import (
    CoverageRow,
    DatasetCoverage,
    anchor_snippet,
    dataset_coverage,
    fitted_grid,
    input_scale_wh,
)
from agropest.data.anchors.fit import AnchorGrid
from agropest.data.dataset import Dataset
from agropest.data.inspection.statistics import (
    Boxes,
    ClassStatistics,
    RepeatFactors,
    class_statistics,
    read_boxes,
    repeat_factors,
)
from agropest.data.inspection.tables import row_table, write_csv

THRESHOLDS = (0.001, 0.01, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True)
class SplitRow:
    """One split; sizes by COCO's limits, in pixels of the stored image."""

    split: str
    images: int
    boxes: int
    empty_images: int
    small: int
    medium: int
    large: int


@dataclass(frozen=True)
class ClassOfSplitRow:
    """One class in one split; ``repeat_factor`` in the training split alone."""

    split: str
    category: str
    instances: int
    images: int
    percent_of_boxes: float
    percent_of_images: float
    repeat_factor: float | None


@dataclass(frozen=True)
class SizeRow:
    """How a measure of the training boxes is spread.

    Attributes:
        measure: "side" (square root of the area), "width", "height" (in px), or "height / width".
        scale: "stored", or the shorter side the images are resized to.
    """

    measure: str
    scale: str
    min: float
    p5: float
    median: float
    p95: float
    max: float


@dataclass(frozen=True)
class RepeatRow:
    """What repeat-factor sampling does at a threshold.

    Attributes:
        images: with boxes.
        repeated_images: of them, those whose factor is above 1; 0 means that the sampler does nothing.
        epoch_size: expected number of images an epoch shows.
        largest_factor: of any class.
    """

    threshold: float
    images: int
    repeated_images: int
    epoch_size: float
    largest_factor: float


@dataclass(frozen=True)
class Summary:
    """What is in a data set.

    Attributes:
        repeats: of the training split at ``threshold`` and at some others.
        coverage: of the training split by the config's anchors; None without a config, as all that follows.
        fitted: anchors fitted to the training boxes.
        fitted_coverage: by these.
    """

    dataset: Dataset
    threshold: float
    statistics: tuple[ClassStatistics, ...]
    splits: tuple[SplitRow, ...]
    classes: tuple[ClassOfSplitRow, ...]
    sizes: tuple[SizeRow, ...]
    repeats: tuple[RepeatRow, ...]
    boxes: Boxes
    config: AnchorConfig | None
    coverage: DatasetCoverage | None
    fitted: AnchorGrid | None
    fitted_coverage: DatasetCoverage | None

    @property
    def snippet(self) -> str:
        """YAML of the fitted anchors; empty without a config."""
        return anchor_snippet(self.fitted) if self.fitted else ""


def summarize(dataset: Dataset, config: AnchorConfig | None, threshold: float) -> Summary:
    """Returns what is in a data set.

    Args:
        dataset: with a training split.
        config: whose training scales and anchors are looked at; None leaves anchors out.
        threshold: of the repeat factors.

    Raises:
        DataError: there is no training split.
    """
    dataset.split("train")
    statistics = tuple(class_statistics(dataset, name) for name in dataset.splits)
    train = next(s for s in statistics if s.split == "train")
    factors = _factors(train, threshold)
    boxes = read_boxes(dataset, "train")
    has_boxes = len(boxes.wh) > 0
    fitted = fitted_grid(boxes, config) if config and has_boxes else None
    return Summary(
        dataset=dataset,
        threshold=threshold,
        statistics=statistics,
        splits=tuple(_split_row(s) for s in statistics),
        classes=tuple(row for s in statistics for row in _class_rows(s, factors)),
        sizes=tuple(_size_rows(boxes, config)) if has_boxes else (),
        repeats=tuple(_repeat_row(t, _factors(train, t)) for t in sorted({*THRESHOLDS, threshold})),
        boxes=boxes,
        config=config,
        coverage=dataset_coverage(boxes, dataset.class_names, config) if config and has_boxes else None,
        fitted=fitted,
        fitted_coverage=dataset_coverage(boxes, dataset.class_names, config, fitted) if config and fitted else None,
    )


def _factors(train: ClassStatistics, threshold: float) -> RepeatFactors:
    """Returns repeat factors among images with boxes: Detectron2 filters the others before it counts."""
    return repeat_factors([held for held in train.image_class_sets if held], threshold, len(train.rows))


def _repeat_row(threshold: float, factors: RepeatFactors) -> RepeatRow:
    repeated, most = int((factors.images > 1).sum()), float(max(factors.classes, default=1.0))
    return RepeatRow(threshold, len(factors.images), repeated, factors.epoch_size, most)


def _split_row(s: ClassStatistics) -> SplitRow:
    small, medium, large = (sum(getattr(row, size) for row in s.rows) for size in ("small", "medium", "large"))
    return SplitRow(s.split, s.num_images, s.num_boxes, s.num_empty_images, small, medium, large)


def _class_rows(s: ClassStatistics, repeats: RepeatFactors) -> Iterator[ClassOfSplitRow]:
    for row, factor in zip(s.rows, repeats.classes, strict=True):
        yield ClassOfSplitRow(
            split=s.split,
            category=row.name,
            instances=row.instances,
            images=row.images,
            percent_of_boxes=100 * row.instance_fraction,
            percent_of_images=100 * row.image_fraction,
            repeat_factor=factor if s.split == "train" else None,
        )


def _size_rows(boxes: Boxes, config: AnchorConfig | None) -> Iterator[SizeRow]:
    at_scales = {"stored": boxes.wh}
    if config is not None:
        at_scales |= {str(side): wh for side, wh in zip(config.short_sides, input_scale_wh(boxes, config), strict=True)}
    for scale, wh in at_scales.items():
        yield _size_row("side", scale, np.sqrt(wh.prod(axis=1)))
    yield _size_row("width", "stored", boxes.wh[:, 0])
    yield _size_row("height", "stored", boxes.wh[:, 1])
    yield _size_row("height / width", "stored", boxes.wh[:, 1] / boxes.wh[:, 0])


def _size_row(measure: str, scale: str, values: np.ndarray) -> SizeRow:
    low, p5, median, p95, high = (float(v) for v in np.percentile(values, [0, 5, 50, 95, 100]))
    return SizeRow(measure, scale, low, p5, median, p95, high)


def summary_tables(summary: Summary) -> Iterator[Table]:
    """Yields the console's tables."""
    yield row_table("Splits (small, medium, large: COCO's limits in stored pixels)", summary.splits, _words(SplitRow))
    for s in summary.statistics:
        rows = [row for row in summary.classes if row.split == s.split]
        words = ["category", "instances", "images", "percent_of_boxes", "percent_of_images"]
        yield row_table(f"Classes: {s.split}", rows, [*words, "repeat_factor"] if s.split == "train" else words)
    yield row_table(
        "Repeat factors: what an epoch of training images with boxes shows", summary.repeats, _words(RepeatRow)
    )
    yield row_table("Training boxes (px)", summary.sizes, _words(SizeRow))
    for title, coverage in (("config", summary.coverage), ("fitted", summary.fitted_coverage)):
        if coverage is not None:
            title = f"Anchor coverage: {title} anchors, over all training scales"
            yield row_table(title, coverage.rows, _words(CoverageRow))


def _words(row: Any) -> list[str]:
    return [field.name for field in fields(row)]


def write_summary(summary: Summary, out: Path) -> list[str]:
    """Writes tables as CSV, everything as JSON, and plots into ``out``; returns the files' names."""
    from agropest.data.inspection import plots  # matplotlib

    written = ["splits.csv", "classes.csv", "sizes.csv", "repeat_factors.csv"]
    write_csv(out / "splits.csv", summary.splits, _words(SplitRow))
    write_csv(out / "classes.csv", summary.classes, _words(ClassOfSplitRow))
    write_csv(out / "sizes.csv", summary.sizes, _words(SizeRow))
    write_csv(out / "repeat_factors.csv", summary.repeats, _words(RepeatRow))
    coverages = {"config": summary.coverage, "fitted": summary.fitted_coverage}
    there = {name: coverage for name, coverage in coverages.items() if coverage is not None}
    for name, coverage in there.items():
        write_csv(out / f"coverage_{name}.csv", coverage.rows, _words(CoverageRow))
        written.append(f"coverage_{name}.csv")
    files.write_json(out / "stats.json", _as_json(summary, there))
    plots.plot_classes(out / "classes.png", summary.statistics)
    written += ["stats.json", "classes.png"]
    if len(summary.boxes.wh):
        scales = input_scale_wh(summary.boxes, summary.config) if summary.config else summary.boxes.wh[None]
        plots.plot_boxes(out / "boxes.png", summary.boxes, scales)
        written.append("boxes.png")
    if there:
        plots.plot_coverage(out / "coverage.png", there)
        files.write_text(out / "anchors.yaml", summary.snippet)
        written += ["coverage.png", "anchors.yaml"]
    return written


def _as_json(summary: Summary, coverages: dict[str, DatasetCoverage]) -> dict[str, Any]:
    content: dict[str, Any] = {
        "splits": [asdict(row) for row in summary.splits],
        "classes": [asdict(row) for row in summary.classes],
        "sizes": [asdict(row) for row in summary.sizes],
        "repeats": [asdict(row) for row in summary.repeats],
    }
    content |= {"fingerprint": summary.dataset.fingerprint, "threshold": summary.threshold}
    content["coverage"] = {name: [asdict(row) for row in c.rows] for name, c in coverages.items()}
    content["fitted_anchors"] = asdict(summary.fitted) if summary.fitted else None
    return content
