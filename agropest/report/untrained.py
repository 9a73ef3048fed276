"""Trainings that look as if they had not worked: what they differ in has not been tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from agropest.analysis.ranking import RankedTrial
from agropest.statistics.accuracy.average_precision import AP50
from agropest.store.losses import LossLine

LEAST_AP50 = 1.0  # percent: below, a detector finds next to nothing
FEWEST_LINES = 8  # of losses, to say anything of them
RISES = 1.1  # times as large at the end as at the beginning


def untrained_remarks(rows: Sequence[RankedTrial], losses: Mapping[str, Sequence[LossLine]]) -> list[str]:
    """Returns a sentence for each kind of training that looks as if it had not worked.

    Args:
        losses: by the signature of the trial.
    """
    return [*_finds_nothing(rows), *_diverges(rows, losses)]


def _finds_nothing(rows: Sequence[RankedTrial]) -> Iterator[str]:
    ended = [row for row in rows if row.status.ended_well and row.valid.get(AP50) is not None]
    names = [_name(row) for row in ended if (row.valid[AP50] or 0.0) < LEAST_AP50]
    if names:
        who = "every training" if len(names) == len(ended) > 1 else ", ".join(names)
        yield (
            f"Finds nothing: {who} (AP50 below {LEAST_AP50:g} on validation). Such a training says nothing of what it "
            "changes: train longer (SOLVER.MAX_ITER), or mend the learning rate."
        )


def _diverges(rows: Sequence[RankedTrial], losses: Mapping[str, Sequence[LossLine]]) -> Iterator[str]:
    names = []
    for row in rows:
        lines = losses.get(row.signature, ())
        if len(lines) < FEWEST_LINES:
            continue
        part = len(lines) // 4
        first, last = (sum(line.total for line in some) / part for some in (lines[:part], lines[-part:]))
        if last > RISES * first:
            names.append(f"{_name(row)} (from {first:.2f} to {last:.2f})")
    if names:
        yield (
            f"Loss rises: {', '.join(names)}. The training may diverge: look at its losses; if so, lower "
            "SOLVER.BASE_LR or lengthen the warm-up"
        )


def _name(row: RankedTrial) -> str:
    return f"{row.label}/s{row.seed}"
