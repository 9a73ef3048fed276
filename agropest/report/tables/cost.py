"""What a sweep cost, and what early stopping has saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agropest.analysis.ranking import RankedTrial
from agropest.store.records import EvaluationRecord, TrialState


@dataclass(frozen=True)
class TrialCost:
    """One trial.

    Attributes:
        images_per_s: trained, mean over the stretches between evaluations; None where none was reported.
        saved_iters: of the schedule, not trained because the trial was stopped early.
        saved_s: what they would have taken at this trial's own speed; None where it has no speed.
    """

    label: str
    seed: int
    status: TrialState
    time_s: float
    iteration: int
    max_iter: int
    images_per_s: float | None
    evaluation_s: float
    saved_iters: int
    saved_s: float | None


@dataclass(frozen=True)
class SweepCost:
    """All trials, and their sums; ``forecast``: what the last launch was expected to take and took, in words."""

    trials: tuple[TrialCost, ...]
    time_s: float
    iterations: int
    saved_iters: int
    saved_s: float
    forecast: str = ""


def sweep_cost(rows: Sequence[tuple[RankedTrial, Sequence[EvaluationRecord]]], forecast: str = "") -> SweepCost:
    """Returns what the trials have cost.

    Args:
        rows: each trial with its evaluations on validation.
        forecast: see :func:`agropest.planning.sweep_forecast.against_actual`.
    """
    trials = tuple(_cost(row, records) for row, records in rows)
    return SweepCost(
        trials=trials,
        time_s=sum(one.time_s for one in trials),
        iterations=sum(one.iteration for one in trials),
        saved_iters=sum(one.saved_iters for one in trials),
        saved_s=sum(one.saved_s or 0.0 for one in trials),
        forecast=forecast,
    )


def _cost(row: RankedTrial, records: Sequence[EvaluationRecord]) -> TrialCost:
    speeds = [record.train_images_per_s for record in records if record.train_images_per_s > 0]
    ended = row.status in (TrialState.STOPPED, TrialState.FINISHED)  # finished early: by TEST.PATIENCE
    saved = max(0, row.max_iter - row.iteration) if ended else 0
    return TrialCost(
        label=row.label,
        seed=row.seed,
        status=row.status,
        time_s=row.time_s,
        iteration=row.iteration,
        max_iter=row.max_iter,
        images_per_s=sum(speeds) / len(speeds) if speeds else None,
        evaluation_s=sum(record.time_s for record in records),
        saved_iters=saved,
        saved_s=saved * row.time_s / row.iteration if row.iteration else None,
    )
