"""Rows through declared columns: as cells for files, as texts for a console and for Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from agropest.report.columns.column import FILES, NO_TRUTH, Cell, Column, Format, Row, View
from agropest.report.verdicts import NOTHING

FOR_NOBODY = ("", "-", "–", "--")  # what a cell shows that has nothing to show


@dataclass(frozen=True)
class TextTable:
    """A table of texts: headings, whether each column is of numbers, rows, and what each heading means."""

    headings: Sequence[str]
    numeric: Sequence[bool]
    rows: Sequence[Sequence[str]]
    meanings: Sequence[str] = ()

    @property
    def legend(self) -> str:
        """What headings mean that not everybody knows, in a line."""
        return "; ".join(
            f"{heading.partition(' [')[0]}: {meaning}"
            for heading, meaning in zip(self.headings, self.meanings, strict=True)
            if meaning
        )


def file_rows(columns: Sequence[Column[Row]], rows: Sequence[Row]) -> list[dict[str, Cell]]:
    """Returns each row as files have it: equal keys in all, None for what was not measured."""
    there = [column for column in columns if FILES in column.shown]
    return [{key: cell for column in there for key, cell in _file_cells(column, row).items()} for row in rows]


def _file_cells(column: Column[Row], row: Row) -> dict[str, Cell]:
    cells = {column.key: _stored(column.middle(row), column.format)}
    if column.spread:
        low, high = column.edges or (f"{column.key}_low", f"{column.key}_high")
        interval = column.interval(row)
        cells[low] = _stored(interval.low if interval else None, column.format)
        cells[high] = _stored(interval.high if interval else None, column.format)
    return cells


def _stored(value: Any, format: Format) -> Cell:
    return format.file(value) if value is not None and value != NO_TRUTH else value


def text_table(
    columns: Sequence[Column[Row]], rows: Sequence[Row], view: View, words: Mapping[str, str], width: int | None = None
) -> TextTable:
    """Returns what people read: a value and its interval in one cell.

    Args:
        words: that headings are filled with.
        width: characters there are; columns that matter less are left out until the rest fits. None: any number.
    """
    cells = {column.key: [_text(column, row, view) for row in rows] for column in columns}
    kept = [c for c in shown_columns(columns, view) if c.always or any(t not in FOR_NOBODY for t in cells[c.key])]
    headings = {column.key: _heading(column, view, words) for column in kept}
    while width is not None and _width([(headings[c.key], *cells[c.key]) for c in kept]) > width:
        away = min((column for column in kept if column.folds), key=lambda column: column.folds, default=None)
        if away is None:
            break
        kept.remove(away)
    body = list(zip(*(cells[column.key] for column in kept), strict=True)) if rows else []
    numeric, meanings = [column.format.is_number for column in kept], [column.meaning for column in kept]
    return TextTable([headings[column.key] for column in kept], numeric, body, meanings)


def shown_columns(columns: Sequence[Column[Row]], view: View) -> list[Column[Row]]:
    """Returns the columns that are shown there."""
    return [column for column in columns if view in column.shown]


def console_table(content: TextTable, title: str = "") -> Table:
    """Returns the texts as a table for a console."""
    table = Table(title=Text(title) if title else None, title_justify="left", title_style="bold")
    for number, (heading, is_number) in enumerate(zip(content.headings, content.numeric, strict=True)):
        keeps_line = "[" in heading or (not is_number and number <= 1)  # an interval, a name
        table.add_column(Text(heading), justify="right" if is_number else "left", no_wrap=keeps_line)
    for row in content.rows:
        table.add_row(*map(Text, row))
    return table


def _heading(column: Column[Row], view: View, words: Mapping[str, str]) -> str:
    spread = f" [{column.spread}]" if column.spread and view not in column.bare else ""
    return column.heading.format_map(words) + spread


def _text(column: Column[Row], row: Row, view: View) -> str:
    told = column.in_words(row, NOTHING)
    interval = column.interval(row)
    return (
        told if interval is None or view in column.bare else f"{told} [{_edge(interval.low)}, {_edge(interval.high)}]"
    )


def _edge(value: float) -> str:
    """Returns an interval's end in as few digits as show on which side of 0 it lies."""
    digits = 1 if abs(value) >= 1 else 2
    return f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0: no negative zero


def _width(columns: Sequence[Sequence[str]]) -> int:
    """Returns the characters that columns take side by side, with the lines between them."""
    return 1 + sum(3 + max(map(len, column)) for column in columns)
