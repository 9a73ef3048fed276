"""``reference:`` of a sweep file: published figures that the sweep's own are shown beside.

reference: ../results/reference/agropest12_study.yaml             # runs and variants have the same names, or
reference: {file: ..., runs: {baseline: run0, all_four: run1}}    # variant: run
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agropest.errors import SweepFileError, fault, nearest
from agropest.sweep.sections.section import Section
from agropest.sweep.yaml_file import read_yaml

SPLITS = ("test", "valid")

Figures = Mapping[str, float | None]


@dataclass(frozen=True)
class Reference:
    """Published figures.

    Attributes:
        note: how they came about, for people.
        threshold: lowest score of the boxes behind the figures; None where the file does not say.
        runs: variant name to split ("test", "valid") to COCO metric name to percent, None where there is no ground
            truth.
    """

    note: str = ""
    runs: Mapping[str, Mapping[str, Figures]] = field(default_factory=dict)
    threshold: float | None = None


def read_reference(top: Section, sweep_file: Path, variants: Sequence[str]) -> Reference:
    """Returns what ``reference:`` names, empty where the sweep has none; faults go to ``top``.

    Args:
        sweep_file: its path is relative to this file's folder.
        variants: names of the sweep's variants.
    """
    value = top.raw("reference")
    if value is None:
        return Reference()
    section = Section({"file": value} if isinstance(value, str) else value, top.where + " reference", top.faults)
    name, chosen = section.text("file"), section.raw("runs")
    section.refuse_unknown()
    try:
        path = (sweep_file.parent / Path(name).expanduser()).resolve()
    except (RuntimeError, ValueError) as error:  # ~nobody; a null character
        section.fault("file", f"expected a path ({error})", name, "correct it")
        return Reference()
    try:
        content = read_yaml(path)
    except SweepFileError as error:
        top.faults.extend(f"{section.where}: {line}" for line in error.faults)
        return Reference()
    where = f"{section.where}: {name}:"
    published = Section(content, where, top.faults)
    note, runs = published.text("note"), published.section("runs")
    threshold = None if published.raw("threshold") is None else published.number("threshold", 0.0, high=1.0)
    published.refuse_unknown()
    if chosen is None:
        chosen = {run: run for run in runs.content if run in variants}
    if not isinstance(chosen, Mapping) or not chosen:
        rule = "expected variant: run"
        section.fault("runs", rule, chosen, f"the file has the runs {', '.join(map(str, runs.content))}")
        return Reference(note)
    found = {}
    for variant, run in chosen.items():
        if variant not in variants:
            section.fault(f"runs.{variant}", "expected the name of a variant", variant, nearest(str(variant), variants))
        elif not isinstance(run, str | int) or run not in runs.content:
            section.fault(
                f"runs.{variant}", f"expected a run of {name}", run, nearest(str(run), list(map(str, runs.content)))
            )
        else:
            found[str(variant)] = _run(runs.section(str(run)))
    return Reference(note, found, threshold)


def _run(section: Section) -> dict[str, dict[str, float | None]]:
    splits = {split: _figures(section.section(split)) for split in SPLITS}
    section.refuse_unknown()
    return {split: figures for split, figures in splits.items() if figures}


def _figures(section: Section) -> dict[str, float | None]:
    figures: dict[str, float | None] = {}
    for name, value in section.content.items():
        if value is None or _is_percent(value):
            figures[str(name)] = None if value is None else float(value)
        else:
            rule = "expected percent from 0 to 100, or null for no ground truth"
            section.faults.append(fault(f"{section.where}.{name}", rule, value, "correct it"))
    return figures


def _is_percent(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100
