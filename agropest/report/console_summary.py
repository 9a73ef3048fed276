"""What a launch ends with on the console: the ranking, what is known, and where to look closer."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from agropest.analysis.compared import Comparison
from agropest.analysis.ranking import RankedTrial
from agropest.files import from_here
from agropest.report.console import print_sentence
from agropest.report.notes import notes_by_text
from agropest.report.page.document import NAME
from agropest.report.tables.published import published_rows, published_table
from agropest.report.tables.variants import column_legend, comparison_table, effects_table
from agropest.report.untrained import untrained_remarks
from agropest.report.verdicts import remarks
from agropest.store.losses import read_losses
from agropest.store.records import TrialState
from agropest.sweep.spec import SweepSpec


def print_summary(
    console: Console, spec: SweepSpec, rows: Sequence[RankedTrial], comparison: Comparison, folder: Path
) -> None:
    """Prints the tables, what stands beside them, and the files.

    Args:
        rows: of the trials.
        comparison: of the variants.
        folder: results/<sweep>.
    """
    console.print(comparison_table(comparison, rows, spec.question or spec.name, console.width))
    if legend := column_legend(comparison, rows, console.width):
        print_sentence(console, legend)
    if comparison.effects:
        console.print(effects_table(comparison, console.width))
    losses = {row.signature: read_losses(folder.parent / row.folder) for row in rows}
    for line in (comparison.sentence, *untrained_remarks(rows, losses), *remarks(comparison)):
        print_sentence(console, line)
    if spec.reference.runs:
        console.print(published_table(published_rows(spec.reference, rows), spec.reference.note))
    for text, names in notes_by_text(rows):
        print_sentence(console, f"{names}: {text}")
    for row in rows:
        if row.reason and row.status in (TrialState.FAILED, TrialState.INTERRUPTED):
            reason = f"{row.label}/s{row.seed} {row.status}: {row.reason}"
            print_sentence(console, reason)
    interrupted = sum(row.status == TrialState.INTERRUPTED for row in rows)
    if interrupted:
        print_sentence(console, f"{interrupted} of {len(rows)} trials were interrupted; the same command continues")
    shown = from_here(folder)
    for line in (
        f"Page: {shown / NAME}",
        f"Tables: {shown}/ranking.md, ranking.csv, per_class.csv, ...",
        f"TensorBoard: {shown / 'tensorboard'}",
        f"Look closer: python -m webbrowser -t {(folder / NAME).as_uri()}",
        *_best_model(rows, comparison, shown),
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _best_model(rows: Sequence[RankedTrial], comparison: Comparison, folder: Path) -> list[str]:
    """Returns where the checkpoint of the variant ranked first is, and the command that takes it away."""
    label = next((one.label for one in comparison.variants if one.rank == 1), None)
    best = next((row for row in rows if row.label == label and row.rank is not None), None)
    if best is None or not best.checkpoint:
        return []
    return [
        f"Best model ({best.label}/s{best.seed}): {folder.parent / best.checkpoint}",
        f"Use it: python -m agropest model {shlex.quote(str(folder))} OUT",
    ]
