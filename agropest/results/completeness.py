"""Which trials a launch has to run: those that have not ended, and those of which something was damaged since."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from agropest.results.ranking import best_evaluation
from agropest.results.store import FAILED, FINISHED, STOPPED, VALID_AUGMENTED, Status, Store, TrialFolder
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
    if status.status == FINISHED:
        return _is_whole(trial, folder, metric, splits)
    return status.status == FAILED or (is_stopped(status, stopper) and not lacks_its_end(trial, folder))


def incomplete(pending: Iterable[TrialSpec], store: Store, stopper: str) -> list[str]:
    """Returns the names of those trials that have ended for a sweep, among those that are not done."""
    statuses = {trial.name: store.folder(trial).status() for trial in pending}
    return [name for name, status in statuses.items() if status.status == FINISHED or is_stopped(status, stopper)]


def lacks_its_end(trial: TrialSpec, folder: TrialFolder) -> bool:
    """Returns whether an evaluation of a trial that was stopped early is gone: the last one, or a checkpoint's."""
    status = folder.status()
    if status.status != STOPPED:
        return False
    stored = {record.iteration: record for record in folder.read_evaluations("valid")}
    last = trial.last_evaluation(status.iteration)
    if last and (last not in stored or not folder.has_whole_boxes(stored[last])):
        return True
    return _has_unevaluated_checkpoints(trial, folder, stored)


def is_stopped(status: Status, stopper: str) -> bool:
    """Returns whether a sweep has stopped a trial early, also where another sweep has gone on with it since.

    A trial that only other sweeps have stopped has not ended for this one: its rule, or its rivals, are not theirs.
    """
    if not status.stopped_for:
        return status.status == STOPPED
    return stopper in status.stopped_for and status.status != FINISHED


def _is_whole(trial: TrialSpec, folder: TrialFolder, metric: str, splits: Collection[str]) -> bool:
    """Returns whether everything that a finished trial is ranked by is as it was written."""
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
    if any(record is None or not folder.has_whole_boxes(record) for record in records):
        return False
    return not _has_unevaluated_checkpoints(trial, folder, {record.iteration for record in stored})


def _has_unevaluated_checkpoints(trial: TrialSpec, folder: TrialFolder, evaluated: Collection[int]) -> bool:
    kept = {int(path.stem) for path in folder.checkpoints.glob("*.json") if path.stem.isdecimal()}
    return any(trial.is_evaluation(iteration) for iteration in kept.difference(evaluated))
