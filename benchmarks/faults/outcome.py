"""What came out of a sweep, and how it differs from the undisturbed one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agropest.store.records import TrialState
from agropest.store.trial_folder import TrialFolder
from benchmarks.faults.disturbed_sweep import DisturbedSweep

# The undisturbed sweep has every evaluation here; both must be the same to the last bit.
SPLITS = ("valid", "test")


@dataclass(frozen=True)
class Outcome:
    """How a sweep has ended.

    Attributes:
        evaluations: metrics and boxes, by trial and file name.
        ends: status by trial.
    """

    evaluations: dict[str, tuple[object, bytes]]
    ends: dict[str, TrialState]


def outcome(results: Path) -> Outcome:
    """Returns what a results folder holds."""
    folders = [TrialFolder(path) for path in sorted((results / "trials").glob("*-*"))]
    found = {}
    for folder in folders:
        for split in SPLITS:
            for record in folder.read_evaluations(split, check_boxes=True):
                content = folder.boxes_path(record).read_bytes()
                found[f"{folder.path.name}/{record.stem}"] = (dict(record.metrics), content)
    return Outcome(found, {folder.path.name: folder.status().status for folder in folders})


def judge(sweep: DisturbedSweep, undisturbed: Outcome, whole: Outcome) -> None:
    """Compares the end of a disturbed sweep with the undisturbed one.

    Args:
        whole: of the undisturbed sweep that stops nothing: it has every evaluation that a trial may ever have.
    """
    found, figures = outcome(sweep.results), sweep.figures
    ends = [(found.ends.get(name, TrialState.NEW), end) for name, end in undisturbed.ends.items()]
    again, needed = sweep.run_again()
    stopped_wrongly = (TrialState.STOPPED, TrialState.FINISHED)
    lost = sum(not end.ended_well or (end, expected) == stopped_wrongly for end, expected in ends)
    further = sum((end, expected) == (TrialState.FINISHED, TrialState.STOPPED) for end, expected in ends)
    differing = sum(content != whole.evaluations.get(name) for name, content in found.evaluations.items())
    missing = len(undisturbed.evaluations.keys() - found.evaluations.keys())
    for trial in sweep.went_back():
        sweep.require(False, f"{trial} continued from before its last checkpoint")
    figures.trials_lost += lost
    figures.finished_run_again += again
    figures.repaired_by_training += needed
    figures.metrics_differing += differing
    figures.evaluations_missing += missing
    figures.not_stopped += further
    figures.sweeps += 1
    print(
        f"  lost {lost}, run again {again}, differing {differing}, missing {missing}, not stopped {further}", flush=True
    )
