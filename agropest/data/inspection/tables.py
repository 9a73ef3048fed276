"""Rows of a data set's health and statistics as tables: console (rich) and CSV."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from agropest import files
from agropest.csv_text import to_csv
from agropest.data.dataset import Dataset
from agropest.data.formats.folder import plain
from agropest.data.health import RULES, Finding, count_rules
from agropest.data.inspection.similarity import Pair


def split_table(dataset: Dataset) -> Table:
    """Returns images and boxes of each split."""
    table = _table(f"{dataset.root.name}: {len(dataset.class_names)} classes", ["split"], ["images", "boxes"])
    for split in dataset.splits.values():
        table.add_row(split.name, str(split.num_images), str(split.num_boxes))
    return table


def health_table(findings: Sequence[Finding]) -> Table:
    """Returns how often which rule was broken."""
    table = Table(title=Text("Not read as it is"), title_justify="left")
    for name in ("rule", "split", "action"):
        table.add_column(name, no_wrap=True)
    table.add_column("number", justify="right", no_wrap=True)
    table.add_column("meaning")
    for split, rule, action, number in count_rules(findings):
        table.add_row(rule, split or "-", action, str(number), RULES[rule])
    return table


def pair_table(pairs: Sequence[Pair], most: int = 10) -> Table:
    """Returns how many pairs of which kind, and the first of those that leak."""
    table = _table("Pictures that appear twice", ["kind", "where", "example"], ["pairs"])
    counts = Counter((not p.leaks, p.kind, f"{p.split_a} and {p.split_b}" if p.leaks else p.split_a) for p in pairs)
    for (within, kind, where), number in sorted(counts.items())[:most]:
        first = next(p for p in pairs if (p.kind, p.leaks) == (kind, not within) and p.split_a in where)
        where += "" if within else " (leak)"
        example = f"{Path(first.file_a).name} = {Path(first.file_b).name}"
        table.add_row(kind, where, Text(plain(example)), str(number))
    return table


def row_table(title: str, rows: Sequence[Any], words: Sequence[str]) -> Table:
    """Returns a table of some dataclass rows; ``words`` are the columns, in order, the first left-aligned."""
    table = _table(title, [words[0].replace("_", " ")], [word.replace("_", " ") for word in words[1:]])
    for row in rows:
        table.add_row(*(Text(shown(getattr(row, word))) for word in words))
    return table


def _table(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(title=Text(title), title_justify="left")
    for name in left:
        table.add_column(name)
    for name in right:
        table.add_column(name, justify="right")
    return table


def shown(value: object) -> str:
    """Returns a cell: None as n/a, fractions with three digits."""
    if value is None:
        return "n/a"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def write_csv(path: Path, rows: Sequence[Any], columns: Sequence[str] | None = None) -> None:
    """Writes dataclass rows; None becomes an empty cell.

    Args:
        path: the CSV file.
        rows: of one dataclass.
        columns: needed where there may be no rows.
    """
    names = list(columns or [field.name for field in fields(rows[0])])
    files.write_text(path, to_csv([asdict(row) for row in rows], names))
