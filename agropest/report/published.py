"""Published figures beside measured ones, for sweeps that reproduce somebody's runs."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from agropest.csv_text import to_csv
from agropest.report.markdown import plain
from agropest.report.tables import Rows, percent, shown, to_markdown
from agropest.results.ranking import RankedTrial
from agropest.results.store import FINISHED
from agropest.statistics.average_precision import AP, AP50, AP75
from agropest.sweep.reference import Reference

SHOWN = (AP, AP50, AP75)


def published_rows(reference: Reference, trials: Sequence[RankedTrial]) -> Rows:
    """Returns a row for every trial, split and metric that something is published of.

    ``measured`` is empty for trials that have not finished. ``deployed`` is the same metric at the deployed score
    threshold, where there is one: figures published at a threshold are compared with it.
    """
    return [
        {
            "label": trial.label,
            "seed": trial.seed,
            "status": trial.status,
            "split": split,
            "metric": name,
            "published": "n/a" if value is None else value,
            "measured": measured,
            "deployed": percent(metrics, f"{name}_deployed"),
            "difference": round(measured - value, 2) if isinstance(measured, float) and value is not None else None,
        }
        for trial in trials
        for split, figures in reference.runs.get(trial.label, {}).items()
        for metrics in [getattr(trial, split) if trial.status == FINISHED else {}]
        for name, value in figures.items()
        for measured in [percent(metrics, name)]
    ]


def published_texts(rows: Rows, note: str) -> dict[str, str]:
    """Returns published.csv and published.md, by file name; nothing where nothing was published."""
    if not rows:
        return {}
    markdown = f"# Published beside measured\n\n{plain(note)}\n\n{to_markdown(rows)}"
    return {"published.csv": to_csv(rows), "published.md": markdown}


def published_table(rows: Rows, note: str) -> Table:
    """Returns the rows of the whole data set (not of single classes) for the console."""
    table = Table(title=Text(f"Published beside measured ({note})"), title_justify="left", title_style="bold")
    for name in ("trial", "seed", "split", "metric", "published", "measured", "at deployed score", "difference"):
        table.add_column(name, justify="left" if name in ("trial", "split", "metric") else "right")
    for row in rows:
        if row["metric"] in SHOWN:
            keys = ("label", "seed", "split", "metric", "published", "measured", "deployed", "difference")
            table.add_row(*(shown(row[key]) for key in keys))
    return table
