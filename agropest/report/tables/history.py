"""Where the members of a population have come from: a row for every segment of every member that is ranked."""

from __future__ import annotations

from collections.abc import Sequence

from agropest.csv_text import to_csv
from agropest.report.columns.column import Cell
from agropest.report.markdown import plain
from agropest.report.tables.trials import Rows, to_markdown
from agropest.statistics.accuracy.metric import metric_value
from agropest.store.store import Store
from agropest.sweep.trial import TrialSpec


def history_rows(trials: Sequence[TrialSpec], store: Store, metric: str) -> Rows:
    """Returns the segments of each member, the first one first: iterations, whose, settings, the metric at its end.

    Args:
        trials: of the sweep, of which those that are no members are left out.
        metric: in percent; empty where the segment has not been evaluated at its end.
    """
    keys = sorted({key for trial in trials for segment in trial.history for key in segment.settings})
    members = [trial for trial in trials if trial.segment_end and keys]
    return [_row(member, segment, store, metric, keys) for member in members for segment in _segments(member)]


def history_texts(rows: Rows, heading: str) -> dict[str, str]:
    """Returns history.csv and history.md, by file name; nothing where there is no population."""
    if not rows:
        return {}
    note = "Each member's segments: what the weights it ends with were trained with, and as which member at that time."
    return {"history.csv": to_csv(rows), "history.md": f"# {plain(heading)}\n\n{note}\n\n{to_markdown(rows)}"}


def _segments(member: TrialSpec) -> list[TrialSpec]:
    """Returns the trials that a member's weights went through, the first one first."""
    segments = [member]
    while (before := segments[0].ancestor) is not None:
        segments.insert(0, before)
    return segments


def _row(member: TrialSpec, segment: TrialSpec, store: Store, metric: str, keys: Sequence[str]) -> dict[str, Cell]:
    folder = store.folder(segment)
    at_end = [record for record in folder.read_evaluations("valid") if record.iteration == segment.max_iter]
    value = metric_value(at_end[0].metrics, metric) if at_end else None
    return {
        "label": member.label,
        "seed": member.seed,
        "from_iteration": segment.start_iter,
        "to_iteration": segment.max_iter,
        "as": folder.origin()[1],
        **{key: str(segment.config.get(key)) for key in keys},  # a table would cut a learning rate to two decimals
        f"val_{metric}": None if value is None else round(value, 2),
        "trial": folder.path.name,
    }
