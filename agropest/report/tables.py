"""The ranking and the per-class figures as CSV, Markdown and console tables.

"n/a" is a metric that has no ground truth; an empty cell is one that was not evaluated. pandas reads both as missing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

from agropest import files
from agropest.results.average_precision import AP, AP50, AP_DEPLOYED, AP_NAMES, CLASS_PREFIX
from agropest.results.ranking import RankedTrial

Cell = str | int | float | None
Rows = list[dict[str, Cell]]
SPLITS = (("val", "valid"), ("test", "test"))


def ranking_rows(trials: Sequence[RankedTrial]) -> Rows:
    """Returns the ranking, percent to two decimals as Detectron2 gives it."""
    return [
        {
            "rank": trial.rank,
            "label": trial.label,
            "seed": trial.seed,
            "status": trial.status,
            "iteration": trial.iteration,
            **{
                f"{short}_{name}": _percent(getattr(trial, split), name)
                for short, split in SPLITS
                for name in (*AP_NAMES, AP_DEPLOYED)
            },
            "val_iteration": trial.val_iteration,
            "time_s": round(trial.time_s, 1),
            "signature": trial.signature,
        }
        for trial in trials
    ]


def per_class_rows(trials: Sequence[RankedTrial]) -> Rows:
    """Returns one row for every trial, split and class."""
    return [
        {
            "label": trial.label,
            "seed": trial.seed,
            "status": trial.status,
            "iteration": trial.iteration,
            "split": split,
            "class": name.removeprefix(CLASS_PREFIX),
            "AP": _percent(getattr(trial, split), name),
            "time_s": round(trial.time_s, 1),
            "signature": trial.signature,
        }
        for trial in trials
        for _, split in SPLITS
        for name in getattr(trial, split)
        if name.startswith(CLASS_PREFIX)
    ]


def write_tables(trials: Sequence[RankedTrial], folder: Path, heading: str) -> None:
    """Writes ranking.csv, ranking.md and per_class.csv, each atomically.

    Args:
        folder: of the sweep.
        heading: first line of the Markdown.
    """
    ranking = ranking_rows(trials)
    files.write_text(folder / "ranking.csv", to_csv(ranking))
    files.write_text(folder / "per_class.csv", to_csv(per_class_rows(trials)))
    remarks = [f"- {trial.label}/s{trial.seed}: {text}" for trial in trials for text in _remarks(trial)]
    text = f"# {heading}\n\n{to_markdown(ranking)}"
    files.write_text(folder / "ranking.md", text + ("\n" + "\n".join(remarks) + "\n" if remarks else ""))


def to_csv(rows: Rows) -> str:
    """Returns RFC 4180 text with a header; empty without rows."""
    buffer = io.StringIO()
    if rows:
        writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return buffer.getvalue()


def to_markdown(rows: Rows) -> str:
    """Returns a table; a pipe inside a cell is escaped."""
    if not rows:
        return "(no trials)\n"
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    lines += ["| " + " | ".join(_shown(value).replace("|", "\\|") for value in row.values()) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def console_table(trials: Sequence[RankedTrial], title: str) -> Table:
    """Returns the ranking as people read it at the end of a launch."""
    table = Table(title=title, title_justify="left", title_style="bold")
    names = (AP, AP50)
    headings = ["#", "trial", "seed", "status", "iterations"]
    headings += [f"val {n}" for n in names] + ["val AP@deployed"] + [f"test {n}" for n in names] + ["time"]
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("trial", "status") else "right")
    for trial in trials:
        values = [_percent(trial.valid, n) for n in (*names, AP_DEPLOYED)] + [_percent(trial.test, n) for n in names]
        table.add_row(
            _shown(trial.rank) or "-",
            trial.label,
            str(trial.seed),
            trial.status,
            f"{trial.iteration}/{trial.max_iter}",
            *(_shown(value) for value in values),
            f"{trial.time_s:.0f} s",
        )
    return table


def _remarks(trial: RankedTrial) -> list[str]:
    return [text for text in (trial.reason, *trial.notes) if text]


def _percent(metrics: Mapping[str, float | None], name: str) -> Cell:
    if name not in metrics:
        return None
    value = metrics[name]
    return "n/a" if value is None else round(value, 2)


def _shown(value: Cell) -> str:
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
