"""The trials of a sweep as rows: ranked by validation where that is fair, listed where it is not.

Only finished trials have a rank. A trial that was stopped early has had fewer iterations, and a failed one none that
count: they are listed below, in order, without a rank.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agropest.statistics.accuracy.metric import metric_value
from agropest.store.chosen import chosen_evaluation
from agropest.store.records import EvaluationRecord, TrialState
from agropest.store.store import Store
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.trial import TrialSpec

DAMAGED = "an evaluation is missing or damaged: the next launch makes it again"
_ORDER = {
    TrialState.FINISHED: 0,
    TrialState.STOPPED: 1,
    TrialState.RUNNING: 2,
    TrialState.INTERRUPTED: 3,
    TrialState.NEW: 4,
    TrialState.FAILED: 5,
}

Metrics = Mapping[str, float | None]


@dataclass(frozen=True)
class RankedTrial:
    """One row of the ranking.

    Attributes:
        rank: from 1 among the finished trials; None for the others.
        iteration: iterations trained.
        val_iteration: iteration of the evaluation shown: the best by the sweep's metric, the first of equals.
        valid: its metrics in percent, with test-time augmentation where the trial has it; empty when there is none.
        test: metrics of that same checkpoint on the test split; empty when it was not tested.
        time_s: of training and evaluation.
        notes: what a person should know of this trial.
        deployed_threshold: lowest score of the boxes behind ``AP_deployed`` and its kin.
        folder: of the trial, relative to the results folder.
        checkpoint: of the evaluation shown, likewise; empty where it is not kept.
    """

    rank: int | None
    label: str
    seed: int
    status: TrialState
    iteration: int
    max_iter: int
    val_iteration: int | None
    valid: Metrics
    test: Metrics
    time_s: float
    signature: str
    reason: str
    notes: tuple[str, ...]
    deployed_threshold: float = 0.5
    folder: str = ""
    checkpoint: str = ""


def rank_trials(
    trials: Sequence[TrialSpec], store: Store, metric: str, damaged: Collection[str] = ()
) -> list[RankedTrial]:
    """Returns a row for every trial: the finished by ``metric`` on validation, then the others by status.

    Args:
        damaged: names of finished trials that count as interrupted: ``Comparison.damaged``.
    """
    rows = sorted((_row(trial, store, metric, damaged) for trial in trials), key=lambda row: _key(row, metric))
    ranked, rank = [], 0
    for row in rows:
        rank += row.status == TrialState.FINISHED
        ranked.append(row if row.status != TrialState.FINISHED else RankedTrial(**{**vars(row), "rank": rank}))
    return ranked


def _row(trial: TrialSpec, store: Store, metric: str, damaged: Collection[str]) -> RankedTrial:
    folder = store.folder(trial)
    status, best = folder.status(), chosen_evaluation(folder, metric)
    if trial.name in damaged:
        status = replace(status, status=TrialState.INTERRUPTED, reason=DAMAGED)
    tests = [record for record in folder.read_evaluations("test") if best and record.iteration == best.iteration]
    return RankedTrial(
        rank=None,
        label=trial.label,
        seed=trial.seed,
        status=status.status,
        iteration=status.iteration,
        max_iter=trial.max_iter,
        val_iteration=best.iteration if best else None,
        valid=best.metrics if best else {},
        test=tests[-1].metrics if tests and status.status == TrialState.FINISHED else {},
        time_s=status.time_s,
        signature=trial.signature,
        reason=status.reason,
        notes=status.notes,
        deployed_threshold=float(trial.config.get("TEST.DEPLOYED_SCORE_THRESH", 0.5)),
        folder=_below(folder.path, store),
        checkpoint=_checkpoint(folder, best, store),
    )


def _checkpoint(folder: TrialFolder, evaluation: EvaluationRecord | None, store: Store) -> str:
    """Returns where the checkpoint of an evaluation is, relative to the results folder; empty where it is not kept."""
    if evaluation is None or evaluation.iteration not in folder.checkpointed():
        return ""
    return _below(folder.checkpoints / f"{evaluation.iteration:08d}.pth", store)


def _below(path: Path, store: Store) -> str:
    """Returns a path relative to the results folder; as it is where it lies in another one."""
    return path.relative_to(store.root).as_posix() if path.is_relative_to(store.root) else path.as_posix()


def _key(row: RankedTrial, metric: str) -> tuple[int, float, str, int]:
    value = metric_value(row.valid, metric)
    return _ORDER[row.status], -(value if value is not None else -1.0), row.label, row.seed
