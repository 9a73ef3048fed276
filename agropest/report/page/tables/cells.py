"""Cells of the page's tables, and declared columns as such tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agropest.report.columns.column import PAGE, Column, Row
from agropest.report.columns.writing import FOR_NOBODY, shown_columns
from agropest.report.verdicts import from_to, number, signed
from agropest.statistics.accuracy.metric import metric_value

LONG = 26  # letters of a name that still go into one line
NOTHING = "–"


@dataclass(frozen=True)
class Cell:
    """A table cell: what is shown, what it is sorted by (None: after everything), and its style class and shade."""

    text: str
    sort: float | str | None = None
    class_: str = ""
    shade: float = 0.0


@dataclass(frozen=True)
class TableOf:
    """A table: headings, whether each is a number, rows of cells.

    Attributes:
        meanings: of headings, for who meets them first.
        folds: for each column, in which order a narrow page folds it away, the lowest first; 0: never. Empty: the last
            one first, and the first one never.
    """

    headings: Sequence[str]
    numeric: Sequence[bool]
    rows: Sequence[Sequence[Cell]]
    folds: Sequence[int] = ()
    meanings: Sequence[str] = ()

    @property
    def folding(self) -> Sequence[int]:
        """``folds``, or the order where none is given."""
        return self.folds or [0, *range(len(self.headings) - 1, 0, -1)]

    @property
    def legend(self) -> str:
        """What headings mean that not everybody knows, in a line."""
        known = zip(self.headings, self.meanings, strict=True) if self.meanings else ()
        return "; ".join(f"{heading}: {meaning}" for heading, meaning in known if meaning)


def column_table(columns: Sequence[Column[Row]], rows: Sequence[Row], words: Mapping[str, str]) -> TableOf:
    """Returns the columns that the page shows; an interval stands in a column of its own.

    Args:
        words: that headings are filled with.
    """
    headings: list[str] = []
    numeric: list[bool] = []
    folds: list[int] = []
    meanings: list[str] = []
    cells: list[list[Cell]] = []  # by column
    for column in shown_columns(columns, PAGE):
        own = [_cell(column, row) for row in rows]
        if not column.always and all(cell.text in FOR_NOBODY for cell in own):
            continue
        headings.append(column.heading.format_map(words))
        numeric.append(column.format.is_number)
        folds.append(column.folds)
        meanings.append(column.meaning)
        cells.append(own)
        if column.spread and PAGE not in column.bare and any(column.interval(row) for row in rows):
            headings.append(column.spread)
            numeric.append(True)
            folds.append(column.spread_folds or column.folds)
            meanings.append("")
            cells.append([_interval_cell(column, row) for row in rows])
    return TableOf(headings, numeric, list(zip(*cells, strict=True)) if rows else [], folds, meanings)


def _cell(column: Column[Row], row: Row) -> Cell:
    text, value = column.in_words(row, NOTHING), column.middle(row)
    style = column.style(row)
    if style == "name":
        return replace(name_cell(text), shade=column.shade(row))
    if not column.format.is_number or text == NOTHING or not isinstance(value, int | float):
        return Cell(text, text.lower() if text != NOTHING and not column.format.is_number else None, style)
    return Cell(text, value, style, column.shade(row))


def _interval_cell(column: Column[Row], row: Row) -> Cell:
    interval = column.interval(row)
    return Cell(from_to(interval, column.format.text), interval.low) if interval else nothing()


def name_cell(name: str) -> Cell:
    """Returns a name that is broken into lines where it is long."""
    return Cell(name, name.lower(), f"name{' long' if len(name) > LONG else ''}")


def number_cell(value: float | None, missing: str = "n/a") -> Cell:
    """Returns a number to two decimals."""
    return Cell(missing if value is None else number(value), value)


def metric_cell(metrics: Mapping[str, float | None], name: str) -> Cell:
    """Returns a metric; nothing where it was not computed."""
    value = metric_value(metrics, name)
    return Cell(NOTHING if not metrics or (value is None and name not in metrics) else number(value), value)


def plain_cell(value: str | int | float | None, is_difference: bool = False) -> Cell:
    """Returns what a row for files holds."""
    if value is None:
        return nothing()
    if isinstance(value, float):
        return Cell(signed(value) if is_difference else number(value), value)
    return Cell(str(value), None if value == "n/a" else value)


def nothing() -> Cell:
    """Returns a cell that says that there is nothing."""
    return Cell(NOTHING)
