"""Tables for papers: LaTeX with booktabs, to be put in with ``\\input``.

Compiles with pdflatex, XeLaTeX and LuaLaTeX; needs ``\\usepackage{booktabs}`` and nothing else.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from agropest.report.class_tables import ClassTable
from agropest.report.verdicts import number, probability
from agropest.results.comparison import Comparison
from agropest.statistics.inference import Interval

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


def escaped(text: str) -> str:
    """Returns text as LaTeX shows it; letters that pdflatex has no font for are written as U+XXXX."""
    return "".join(SPECIAL.get(letter) or _letter(letter) for letter in text)


def ranking_latex(comparison: Comparison, title: str) -> str:
    """Returns the ranking: metric, difference to the baseline, both with intervals, adjusted p, verdict, test."""
    tested = any(one.test for one in comparison.variants)
    metric = escaped(comparison.metric)
    headings = [r"\#", "Variant", f"{metric} (95\\,\\%)", "AP deployed", r"$\Delta$ (95\,\%)", "$p$ adj.", "Verdict"]
    headings += [f"Test {metric}"] if tested else []
    rows = []
    for one in comparison.variants:
        told = one.difference
        verdict = "baseline" if one.label == comparison.baseline else told.verdict if told else NOTHING
        name = escaped(one.label) + (r"$^{\dagger}$" if one.ties_with_best else "")
        cells = [
            str(one.rank) if one.rank else NOTHING,
            name,
            _estimate(one.estimate.value, one.estimate.interval),
            NOTHING if one.ap_deployed is None else number(one.ap_deployed),
            f"{_signed(told.value)} ({_signed(told.interval.low)} to {_signed(told.interval.high)})"
            if told
            else NOTHING,
            escaped(probability(told.p_adjusted)) if told else NOTHING,
            verdict if one.rank else escaped(f"{verdict} ({one.status})" if told else one.status),
        ]
        rows.append(cells + ([number(one.test.value) if one.test else NOTHING] if tested else []))
    notes = [
        f"Validation of {comparison.num_images} images with {comparison.num_boxes} boxes, percent",
        f"intervals and $p$ from a paired bootstrap with {comparison.resamples} resamples",
        "$p$ adjusted for all comparisons",
        "AP deployed: of the boxes that would be shown",
        r"$\dagger$: not distinguishable from the best",
    ]
    alignment = "rlrrrrl" + ("r" if tested else "")
    return _table(headings, rows, alignment, f"{escaped(title)} {'; '.join(notes)}.", "ranking")


def per_class_latex(tables: Sequence[ClassTable], baseline: str, title: str) -> str:
    """Returns each table, cut into pieces of so many variants as fit."""
    told = []
    for number_of_table, one in enumerate(tables):
        for number_of_part, labels in enumerate(one.parts()):
            headings = ["Class", escaped(baseline), *map(escaped, labels)]
            rows = [
                [escaped(name), number(value), *(_change(one, label, name) for label in labels)]
                for name, value in one.base.items()
            ]
            key = "per-class" + ("-deployed" if number_of_table else "")
            key += f"-{number_of_part + 1}" if number_of_part else ""
            caption = f"{escaped(title)} {one.told}"
            told.append(_table(headings, rows, "l" + "r" * (len(headings) - 1), caption, key))
    return "\n".join(told)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], alignment: str, caption: str, key: str) -> str:
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering\small",
        rf"\caption{{{caption}}}",
        rf"\label{{tab:{key}}}",
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        " & ".join(headings) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _estimate(value: float | None, interval: Interval | None) -> str:
    if value is None:
        return "n/a"
    told = [f"${edge:.2f}$" if edge < 0 else number(edge) for edge in (interval.low, interval.high)] if interval else []
    return number(value) + (f" ({told[0]} to {told[1]})" if told else "")


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
