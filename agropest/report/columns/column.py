"""What a column of a table is. The renderers (files, console, record, page, LaTeX) show what a declaration says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Generic, TypeVar

from agropest.report.verdicts import number, probability, signed
from agropest.statistics.inference import Difference, Estimate, Interval

Cell = str | int | float | None
NO_TRUTH = "n/a"  # there is no ground truth to measure it on; None: it was not measured

Row = TypeVar("Row")


class View(Enum):
    """Where a column can be shown."""

    FILES = auto()  # CSV, and the tables of ranking.md
    CONSOLE = auto()
    RECORD = auto()  # record.md
    PAGE = auto()
    LATEX = auto()
    LATEX_DIFFERENCES = auto()  # the second table of ranking.tex


FILES, CONSOLE, RECORD, PAGE = View.FILES, View.CONSOLE, View.RECORD, View.PAGE
LATEX, LATEX_DIFFERENCES = View.LATEX, View.LATEX_DIFFERENCES
PEOPLE = frozenset({CONSOLE, RECORD, PAGE})


@dataclass(frozen=True)
class Format:
    """How a value is written.

    Attributes:
        file: the value as files have it.
        text: the value as people read it.
        is_number: aligned to the right, and sorted by its size.
    """

    file: Callable[[Any], Cell]
    text: Callable[[Any], str]
    is_number: bool = True


def rounded(digits: int) -> Callable[[float], float]:
    """Returns what rounds to so many decimals, without a negative zero."""
    return lambda value: round(value, digits) + 0.0


def significant(value: float) -> float:
    """Returns three significant digits: rounded to so many decimals a small p value would be 0."""
    return float(f"{value:.3g}")


WORDS = Format(str, str, is_number=False)
COUNT = Format(lambda value: value, str)
PERCENT = Format(rounded(2), number)
CHANGE = Format(rounded(2), signed)
P_VALUE = Format(significant, probability)
TENTHS = Format(rounded(2), lambda value: f"{value:.1f}")
SECONDS = Format(rounded(1), lambda value: f"{value:.0f}\N{NO-BREAK SPACE}s")
YES = Format(int, lambda value: "yes" if value else "", is_number=False)


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One column.

    Attributes:
        key: in files; with an interval also ``<key>_low`` and ``<key>_high``.
        heading: for people; ``{metric}``, ``{baseline}`` and the like are filled in.
        value: of a row: a value that ``format`` takes, ``NO_TRUTH``, or None where there is nothing to show; with
            ``spread`` an ``Estimate`` or a ``Difference``.
        shown: where.
        spread: heading of the interval on the page; empty: the value has none.
        bare: where the value stands without its interval.
        edges: keys of the interval's ends, if others.
        text: for people instead of what ``format`` makes of the value.
        always: shown also where no row has anything in it.
        folds: above 0: left out where the room is narrow, the lowest first.
        spread_folds: the same, of the interval on the page.
        style, shade: of the page's cell: its class, and how much of it is filled (0 to 1).
        meaning: what the heading says, for who meets it first; shown below a console's table and on the page.
        latex: heading in LaTeX's own notation; empty: ``heading``.
    """

    key: str
    heading: str
    value: Callable[[Row], Any]
    format: Format = WORDS
    shown: frozenset[View] = PEOPLE | {FILES}
    spread: str = ""
    bare: frozenset[View] = frozenset()
    edges: tuple[str, str] | None = None
    text: Callable[[Row], str] | None = None
    always: bool = False
    folds: int = 0
    spread_folds: int = 0
    style: Callable[[Row], str] = lambda _: ""
    shade: Callable[[Row], float] = lambda _: 0.0
    meaning: str = ""
    latex: str = ""

    def middle(self, row: Row) -> Any:
        """Returns the value without its interval: None, ``NO_TRUTH``, or what ``format`` takes."""
        value = self.value(row)
        if not self.spread or value is None:
            return value
        return NO_TRUTH if value.value is None else value.value

    def interval(self, row: Row) -> Interval | None:
        """Returns the interval; None where there is none."""
        value: Estimate | Difference | None = self.value(row) if self.spread else None
        return value.interval if value is not None else None

    def in_words(self, row: Row, nothing: str) -> str:
        """Returns the value, without its interval, as people read it."""
        if self.text is not None:
            return self.text(row) or nothing
        value = self.middle(row)
        if value is None:
            return nothing
        return NO_TRUTH if value == NO_TRUTH else self.format.text(value) or nothing
