"""A sweep's comparison as a console table and as rows for CSV and Markdown: one row for each variant.

"n/a" is a metric without ground truth; an empty cell is what was not computed or cannot be compared.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from agropest.analysis.compared import Comparison
from agropest.analysis.ranking import RankedTrial
from agropest.csv_text import to_csv
from agropest.report.columns.column import CONSOLE
from agropest.report.columns.effects import EFFECT_COLUMNS
from agropest.report.columns.variants import VARIANT_COLUMNS, variant_rows, variant_words
from agropest.report.columns.writing import console_table, file_rows, text_table
from agropest.report.markdown import plain
from agropest.report.tables.trials import Rows, per_class_rows, ranking_rows, to_markdown, trial_remarks
from agropest.report.verdicts import remarks, seed_intervals


def table_texts(comparison: Comparison, trials: Sequence[RankedTrial], heading: str) -> dict[str, str]:
    """Returns ranking.csv, comparison.csv, per_class.csv, effects.csv (of factors) and ranking.md, by file name.

    Args:
        heading: first line of the Markdown.
    """
    compared, effects = comparison_rows(comparison), effect_rows(comparison)
    ranking = ranking_rows(trials, comparison.metric, seed_intervals(comparison))
    notes = [f"- {plain(f'{trial.label}/s{trial.seed}: {text}')}" for trial in trials for text in trial_remarks(trial)]
    parts = [
        f"# {plain(heading)}",
        plain(comparison.sentence),
        to_markdown(compared).rstrip(),
        *((f"## What each factor does\n\n{to_markdown(effects).rstrip()}",) if effects else ()),
        "\n".join(f"- {plain(line)}" for line in remarks(comparison)),
        f"## Trials\n\n{to_markdown(ranking).rstrip()}",
        "\n".join(notes),
    ]
    return {
        "ranking.csv": to_csv(ranking),
        "comparison.csv": to_csv(compared),
        "per_class.csv": to_csv(per_class_rows(trials)),
        **({"effects.csv": to_csv(effects)} if effects else {}),
        "ranking.md": "\n\n".join(part for part in parts if part) + "\n",
    }


def comparison_rows(comparison: Comparison) -> Rows:
    """Returns everything that is known of each variant as numbers, percent and percentage points to two decimals."""
    return file_rows(VARIANT_COLUMNS, variant_rows(comparison))


def effect_rows(comparison: Comparison) -> Rows:
    """Returns one row for each factor effect and interaction."""
    return file_rows(EFFECT_COLUMNS, comparison.effects)


def comparison_table(
    comparison: Comparison,
    trials: Sequence[RankedTrial],
    title: str,
    width: int | None = None,
    variant: str = "variant",
) -> Table:
    """Returns what people read at the end of a launch.

    Args:
        trials: of the same sweep, for iterations and time.
        width: characters there are; columns that matter less are left out until the rest fits. None: any number.
        variant: what a row is.
    """
    rows, words = variant_rows(comparison, trials), variant_words(comparison, variant)
    return console_table(text_table(VARIANT_COLUMNS, rows, CONSOLE, words, width), title)


def column_legend(comparison: Comparison, trials: Sequence[RankedTrial], width: int | None = None) -> str:
    """Returns what the headings of :func:`comparison_table` mean that not everybody knows, in a line."""
    rows, words = variant_rows(comparison, trials), variant_words(comparison)
    return text_table(VARIANT_COLUMNS, rows, CONSOLE, words, width).legend


def effects_table(comparison: Comparison, width: int | None = None) -> Table:
    """Returns the factor effects for a console."""
    content = text_table(EFFECT_COLUMNS, comparison.effects, CONSOLE, {"metric": comparison.metric}, width)
    return console_table(content, "What each factor does")
