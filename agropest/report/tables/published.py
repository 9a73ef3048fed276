"""Published figures beside measured ones, for sweeps that reproduce somebody's runs."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from agropest.analysis.ranking import RankedTrial
from agropest.csv_text import to_csv
from agropest.report.columns.column import Cell
from agropest.report.markdown import plain
from agropest.report.tables.trials import Rows, percent, shown, to_markdown
from agropest.statistics.accuracy.average_precision import AP, AP50, AP75, deployed_name
from agropest.store.records import TrialState
from agropest.sweep.sections.reference import Reference

SHOWN = (AP, AP50, AP75)
# Heading to key of what people read.
COLUMNS = {
    "trial": "label",
    "seed": "seed",
    "split": "split",
    "metric": "metric",
    "published": "published",
    "measured": "measured",
    "at deployed score": "deployed",
    "compared": "compared",
    "difference": "difference",
}
WORDS = ("label", "split", "metric", "compared")  # the other columns are numbers


def published_rows(reference: Reference, trials: Sequence[RankedTrial]) -> Rows:
    """Returns a row for every trial, split and metric that something is published of.

    ``measured`` is empty for trials that have not finished. ``deployed`` is the same metric at the trial's deployed
    score threshold. ``difference`` is of ``compared``: where figures were published at a score threshold, of the metric
    at that threshold, and empty where the trial has another one or its metric was not stored.
    """
    return [
        _row(trial, split, name, value, reference.threshold)
        for trial in trials
        for split, figures in reference.runs.get(trial.label, {}).items()
        for name, value in figures.items()
    ]


def _row(
    trial: RankedTrial, split: str, name: str, published: float | None, threshold: float | None
) -> dict[str, Cell]:
    metrics = getattr(trial, split) if trial.status == TrialState.FINISHED else {}
    by_name = {one: percent(metrics, one) for one in (name, deployed_name(name))}
    compared = name if threshold is None else deployed_name(name) if threshold == trial.deployed_threshold else ""
    value = by_name.get(compared)
    return {
        "label": trial.label,
        "seed": trial.seed,
        "status": trial.status,
        "split": split,
        "metric": name,
        "published": "n/a" if published is None else published,
        "measured": by_name[name],
        "deployed": by_name[deployed_name(name)],
        "compared": compared,
        "difference": round(value - published, 2) if isinstance(value, float) and published is not None else None,
    }


def published_texts(rows: Rows, note: str) -> dict[str, str]:
    """Returns published.csv and published.md, by file name; nothing where nothing was published."""
    if not rows:
        return {}
    markdown = f"# Published beside measured\n\n{plain(note)}\n\n{to_markdown(rows)}"
    return {"published.csv": to_csv(rows), "published.md": markdown}


def published_table(rows: Rows, note: str) -> Table:
    """Returns the rows of the whole data set (not of single classes) for the console."""
    table = Table(title=Text(f"Published beside measured ({note})"), title_justify="left", title_style="bold")
    for name, key in COLUMNS.items():
        table.add_column(name, justify="left" if key in WORDS else "right")
    for row in rows:
        if row["metric"] in SHOWN:
            table.add_row(*(shown(row[key]) for key in COLUMNS.values()))
    return table
