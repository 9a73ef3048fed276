"""Which trials a launch has to run: those that have not ended, and those of which something was damaged since."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from agropest.store.chosen import best_evaluation
from agropest.store.records import VALID_AUGMENTED, Status, TrialState
from agropest.store.store import Store
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.trial import TrialSpec


def is_done(trial: TrialSpec, store: Store, metric: str, splits: Collection[str], stopper: str) -> bool:
    """Returns whether nothing is left to do for a trial.

    Args:
        metric: by which validation chooses the checkpoint that is tested; another sweep may have chosen by another.
        splits: of the data set: without "test" nothing is tested.
        stopper: of the sweep (``SweepSpec.stopper``).
    """
    folder = store.folder(trial)
    status = folder.status()
    if status.status == TrialState.FINISHED:
        return is_intact(trial, folder, metric, splits)
    return status.status == TrialState.FAILED or (is_stopped(status, stopper) and not lacks_its_end(trial, folder))


def incomplete(pending: Iterable[TrialSpec], store: Store, stopper: str) -> list[str]:
    """Returns the names of those trials that have ended for a sweep, among those that are not done."""
    statuses = {trial.name: store.folder(trial).status() for trial in pending}
    return [
        name for name, status in statuses.items() if status.status == TrialState.FINISHED or is_stopped(status, stopper)
    ]


def lacks_its_end(trial: TrialSpec, folder: TrialFolder) -> bool:
    """Returns whether an evaluation of a trial that was stopped early is gone: the last one, or a checkpoint's.

    Of a checkpoint after the stop none is missed: it was decided before there was one.
    """
    status = folder.status()
    if status.status != TrialState.STOPPED:
        return False
    stored = {record.iteration: record for record in folder.read_evaluations("valid")}
    last = trial.last_evaluation(status.iteration)
    if last and (last not in stored or not folder.has_intact_boxes(stored[last])):
        return True
    return _has_unevaluated_checkpoints(trial, folder, stored, status.iteration)


def still_stopped(status: Status, reason: str) -> Status:
    """Returns the status of a stopped trial that could not be repaired, for this reason."""
    note = f"could not be repaired: {reason}"
    return status if note in status.notes else replace(status, notes=(*status.notes, note))


def is_stopped(status: Status, stopper: str) -> bool:
    """Returns whether a sweep has stopped a trial early, also where another sweep has continued with it since.

    A trial that only other sweeps have stopped has not ended for this one: its rule, or its rivals, are not theirs.
    """
    if not status.stopped_for:
        return status.status == TrialState.STOPPED
    return stopper in status.stopped_for and status.status != TrialState.FINISHED


def has_ended_for(status: Status, stopper: str) -> bool:
    """Returns whether a trial has ended for a sweep: finished, failed, or stopped early by this sweep itself."""
    return status.status in (TrialState.FINISHED, TrialState.FAILED) or is_stopped(status, stopper)


def is_intact(
    trial: TrialSpec, folder: TrialFolder, metric: str, splits: Collection[str], check_boxes: bool = True
) -> bool:
    """Returns whether everything that a finished trial is ranked by is as it was written.

    Args:
        check_boxes: whether the boxes are read and compared with their hash; else only their size is.
    """
    stored = folder.read_evaluations("valid")
    best = best_evaluation(stored, metric)
    chosen = best.iteration if best else trial.max_iter
    wanted = ["valid"]
    wanted += ["test"] if "test" in splits else []
    wanted += [VALID_AUGMENTED] if trial.config.get("TEST.AUG.ENABLED") else []
    records = [
        next((record for record in folder.read_evaluations(split) if record.iteration == chosen), None)
        for split in wanted
    ]
    if any(record is None or (check_boxes and not folder.has_intact_boxes(record)) for record in records):
        return False
    return not _has_unevaluated_checkpoints(trial, folder, {record.iteration for record in stored}, trial.max_iter)


def _has_unevaluated_checkpoints(trial: TrialSpec, folder: TrialFolder, evaluated: Collection[int], end: int) -> bool:
    return any(trial.is_evaluation(i) for i in folder.checkpointed().difference(evaluated) if i <= end)
