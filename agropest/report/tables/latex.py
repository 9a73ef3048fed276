"""Tables for papers: LaTeX with booktabs, to be put in with ``\\input``.

Compiles with pdflatex, XeLaTeX and LuaLaTeX; needs ``\\usepackage{booktabs}`` and nothing else. Fits the text of
LaTeX's own article class (345 pt by 550 pt): long names are broken into lines, long tables into parts.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from agropest.analysis.compared import Comparison
from agropest.analysis.guards import BROKEN
from agropest.report.columns.column import LATEX, LATEX_DIFFERENCES, Column, View
from agropest.report.columns.variants import VARIANT_COLUMNS, VariantRow, variant_rows, variant_words
from agropest.report.columns.writing import shown_columns
from agropest.report.long_names import broken, pieces
from agropest.report.tables.classes import ClassTable
from agropest.report.verdicts import number

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "{''}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    "-": "-{}",  # two of them would become a dash
    "[": "{[}",  # at the start of a row it would be an argument of \\
    "]": "{]}",
    "*": "{*}",  # likewise
}
# What every engine can set with LaTeX's default fonts.
LETTERS = "ßæøåÆØÅœŒłŁ"
ACCENTS = "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0327"
NOTHING = "--"
NAME, VERDICT, HEADING, CLASS = 19, 17, 12, 18  # letters in a line of these columns
DETECTABLE = r"the smallest true difference that would have been called with 80\,\% probability"
LINES = 36  # of a table, caption and headings apart
VARIANTS_ACROSS = 4


def escaped(text: str) -> str:
    """Returns text as LaTeX shows it; letters that pdflatex has no font for are written as U+XXXX."""
    return _escaped("".join(map(_letter, text)))


def ranking_latex(comparison: Comparison, title: str) -> str:
    """Returns the ranking by the metric with intervals, and the differences to the baseline with p values, verdicts."""
    rows = variant_rows(comparison)
    differing = [row for row in rows if row.variant.difference is not None]
    ranking = _parted(LATEX, rows, f"{_flowing(title)} {'; '.join(_ranking_notes(comparison))}.", "ranking")
    notes = "; ".join(_difference_notes(comparison))
    return "\n".join([*ranking, *_parted(LATEX_DIFFERENCES, differing, f"{_flowing(title)} {notes}.", "differences")])


def per_class_latex(tables: Sequence[ClassTable], baseline: str, title: str) -> str:
    """Returns each table, cut into pieces of so many variants and classes as fit."""
    printed = []
    for number_of_table, one in enumerate(tables):
        names = list(one.base)
        key = "per-class" + ("-deployed" if number_of_table else "")
        heights = [_height(name, CLASS) for name in names]
        cuts = [
            (labels, part)
            for labels in one.parts(VARIANTS_ACROSS)
            for part in _parts(heights, max(_height(label, HEADING) for label in (baseline, *labels))) or [[]]
        ]
        for number_of_part, (labels, part) in enumerate(cuts):
            headings = ["Class", _lines(baseline, HEADING, "br"), *(_lines(label, HEADING, "br") for label in labels)]
            rows = [
                [
                    _lines(names[i], CLASS),
                    number(one.base[names[i]]),
                    *(_change(one, label, names[i]) for label in labels),
                ]
                for i in part
            ]
            caption = f"{_flowing(title)} {one.caption}"
            printed.append(_table(headings, rows, "l" + "r" * (len(headings) - 1), caption, key, number_of_part))
    return "\n".join(printed)


def _parted(view: View, rows: Sequence[VariantRow], caption: str, key: str) -> list[str]:
    """Returns the columns of a view as tables of so many rows as a page holds."""
    columns = [
        column
        for column in shown_columns(VARIANT_COLUMNS, view)
        if column.always or any(column.in_words(row, "") for row in rows)
    ]
    words = [column for column in columns if not column.format.is_number]
    heights = [max(_height(column.in_words(row, ""), _letters(column)) for column in words) for row in rows]
    alignment = "".join("r" if column.format.is_number else "l" for column in columns)
    return [
        _table(
            [_heading(column, view, rows[0].comparison) for column in columns],
            [[_cell(column, rows[i], view) for column in columns] for i in part],
            alignment,
            caption,
            key,
            number_of_part,
        )
        for number_of_part, part in enumerate(_parts(heights))
    ]


def _letters(column: Column[VariantRow]) -> int:
    return NAME if column.key == "label" else VERDICT


def _heading(column: Column[VariantRow], view: View, comparison: Comparison) -> str:
    short = escaped(comparison.metric) if len(comparison.metric) <= NAME else "Metric"
    if column.latex:
        told = column.latex.replace("{short_metric}", short)
    else:
        text = column.heading.format_map(variant_words(comparison))
        told = _lines(text[:1].upper() + text[1:], HEADING, "br")
    return told + (r" (95\,\%)" if column.spread and view not in column.bare else "")


def _cell(column: Column[VariantRow], row: VariantRow, view: View) -> str:
    if not column.format.is_number:
        tied = column.key == "label" and row.variant.ties_with_best
        mark = r"$^{\dagger}$" if tied and view == LATEX else ""
        return _lines(column.in_words(row, NOTHING), _letters(column), mark=mark)
    value, interval = _mathematical(column.in_words(row, NOTHING)), column.interval(row)
    if interval is None or view in column.bare:
        return value
    low, high = (_mathematical(column.format.text(edge)) for edge in (interval.low, interval.high))
    return f"{value} ({low} to {high})"


def _mathematical(text: str) -> str:
    """Returns a number whose sign is a minus or plus, no hyphen."""
    return f"${text}$" if text[:1] in "+-" and text != NOTHING else text if text == NOTHING else escaped(text)


def _ranking_notes(comparison: Comparison) -> list[str]:
    tested = any(one.test for one in comparison.variants)
    several = any(len(one.seeds) > 1 for one in comparison.variants)
    sources = f" of {comparison.num_sources} sources" if comparison.num_sources < comparison.num_images else ""
    sample = f"{comparison.num_images} images{sources} with {comparison.num_boxes} boxes"
    return [
        f"{_flowing(comparison.metric)} on validation ({sample}), percent",
        f"intervals from a bootstrap of the images with {comparison.resamples} resamples",
        "AP deployed: of the boxes that would be shown",
        *(["Seeds: how many, and the standard deviation across them"] if several else []),
        *_on_seeds(comparison),
        *([f"Test: {_flowing(comparison.metric)} of the same checkpoints on the test split"] if tested else []),
        r"$\dagger$: not distinguishable from the best",
    ]


def _difference_notes(comparison: Comparison) -> list[str]:
    guarded = any(guard.state == BROKEN for one in comparison.variants for guard in one.guards)
    detectable = any(one.difference and one.difference.detectable is not None for one in comparison.variants)
    return [
        f"{_flowing(comparison.metric)} on validation minus that of {_flowing(comparison.baseline)}, percentage points",
        f"paired bootstrap with {comparison.resamples} resamples, each interval of its comparison alone",
        "$p$ adj.: adjusted for all comparisons, which the verdict goes by",
        *([f"Det.: {DETECTABLE}"] if detectable else []),
        *(["loses: a class drops by more than its guard allows"] if guarded else []),
        *_on_seeds(comparison),
    ]


def _on_seeds(comparison: Comparison) -> list[str]:
    """Returns what intervals cover of seeds."""
    seeds = comparison.seeds
    if seeds is None:
        one_seed = any(len(one.seeds) == 1 for one in comparison.variants)
        return ["one seed per variant: intervals cover image sampling only, for these checkpoints"] if one_seed else []
    source = _flowing(seeds.source)
    return [f"intervals cover images and seeds (standard deviation of a seed {seeds.sd:.2f}, from {source})"]


def _parts(heights: Sequence[int], headings: int = 1) -> list[list[int]]:
    """Returns which rows go to which part, so that none has more lines than a page, those of the headings included."""
    parts: list[list[int]] = []
    room = 0
    for i, height in enumerate(heights):
        if height > room or not parts:
            parts.append([])
            room = LINES - headings
        parts[-1].append(i)
        room -= height
    return parts


def _flowing(text: str) -> str:
    """Returns escaped text that may be broken within long names."""
    return r"\allowbreak{}".join(map(escaped, pieces(text)))


def _height(text: str, width: int) -> int:
    return len(broken("".join(map(_letter, text)), width))


def _lines(text: str, width: int, position: str = "tl", mark: str = "") -> str:
    """Returns escaped text in lines of so many letters.

    Args:
        position: which line stands level with the row (``t`` or ``b``), and the alignment.
        mark: LaTeX that goes behind it.
    """
    lines = [_escaped(line) for line in broken("".join(map(_letter, text)), width)]
    lines[-1] += mark
    if len(lines) == 1:
        return lines[0]
    return rf"\begin{{tabular}}[{position[0]}]{{@{{}}{position[1]}@{{}}}}" + r" \\ ".join(lines) + r"\end{tabular}"


def _table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], alignment: str, caption: str, key: str, part: int
) -> str:
    if part:
        caption, key = rf"Table~\ref{{tab:{key}}}, continued.", f"{key}-{part + 1}"
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{caption}}}",
        rf"\label{{tab:{key}}}",
        rf"\begin{{tabular}}{{@{{}}{alignment}@{{}}}}",
        r"\toprule",
        " & ".join(headings) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return "".join(SPECIAL.get(letter, letter) for letter in text)


def _change(table: ClassTable, label: str, name: str) -> str:
    if name not in table.changes[label]:
        return NOTHING
    value = table.changes[label][name]
    return "n/a" if value is None else _signed(value)


def _signed(value: float) -> str:
    return "0.00" if round(value, 2) == 0 else f"${value:+.2f}$"


def _letter(letter: str) -> str:
    if letter in "\n\r\t":
        return " "
    base, mark = [*unicodedata.normalize("NFD", letter), "", ""][:2]
    is_latin = letter < "\u0180" and base.isascii() and base.isalnum() and mark in ACCENTS
    if is_latin or letter in LETTERS or (letter.isascii() and letter.isprintable()):
        return letter
    return f"U+{ord(letter):04X}"
