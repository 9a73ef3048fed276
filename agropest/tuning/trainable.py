"""What Ray Tune runs: a thin relay between Tune and the trial's own process.

Ray is the engine, the store is the truth: an evaluation is in the store before it is reported here, and everything a
trial needs to go on is there. What was stored by an earlier launch is reported first, in order, so that the scheduler
decides as it would have in one undisturbed sweep.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from agropest.results.metric import metric_value
from agropest.results.store import ENDED_WELL, FAILED, EvaluationRecord, Status, TrialFolder
from agropest.tuning import child
from agropest.tuning.nameplate import announce_trial, show_trial

ITERATION = "iteration"
# Seconds a child gets after an interrupt to leave by itself; Ray itself gives a stopped trial 2 s here.
LEAVE_S = 1.5


def relay(config: dict[str, Any], jobs: Mapping[str, child.Job], metric: str, retries: int) -> None:
    """Runs one trial in a child process and reports its evaluations to Tune (the function trainable).

    Args:
        config: ``trial``, the trial's name.
        jobs: trial name to what the child is started with.
        metric: a metric that every report holds.
        retries: how often a trial whose process died is started again.
    """
    from ray import tune

    job = jobs[config["trial"]]
    folder = TrialFolder(job.folder)
    announce_trial(job.trial.name, folder.log)
    if folder.status().status in (*ENDED_WELL, FAILED):
        for record in folder.read_evaluations("valid"):
            tune.report(flat_metrics(record, metric))
        return
    for attempt in range(retries + 1):
        if _run_once(job, metric) is not None:
            return
        note(folder, f"attempt {attempt + 1} died (killed, or out of memory) and was started again")
    claimed = folder.claim()
    status = claimed.status()
    reason = f"its process died {config['retries'] + 1} times; see {folder.log.name}"
    claimed.write_status(Status(FAILED, status.iteration, status.time_s, reason, status.notes))


def _run_once(job: child.Job, metric: str) -> str | None:
    """Runs the child once; returns the word it ended with, or None when it died."""
    from ray import tune

    process, connection = child.start(job)
    show_trial(job.trial.name)
    try:
        last = None
        for record in _messages(process, connection):
            if isinstance(record, str):
                if last is not None:
                    tune.report(flat_metrics(last, metric))
                return record
            if record.iteration == job.trial.max_iter:
                # Nothing is left to stop, but a scheduler would (ASHA has a rung there), and the test with it:
                # Tune hears of the last evaluation when the trial has ended.
                last = record
                connection.send(child.GO_ON)
                continue
            tune.report(flat_metrics(record, metric))  # raises SystemExit where Tune ends the trial, for any reason
            show_trial(job.trial.name)
            connection.send(child.GO_ON)
        return None
    finally:
        with contextlib.suppress(OSError):
            connection.close()  # to the child: interrupt, unless it has ended
        process.join(LEAVE_S)


def _messages(process: BaseProcess, connection: Connection) -> Iterator[EvaluationRecord | str]:
    """Yields evaluations, then the word of the child's end; ends without it when the child died."""
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            process.join(LEAVE_S)
            return
        if message[0] == "end":
            yield message[1]
            return
        yield message[1]


def note(folder: TrialFolder, text: str) -> None:
    """Adds a note to a trial's status, for the tables."""
    claimed = folder.claim()
    status = claimed.status()
    claimed.write_status(Status(**{**vars(status), "notes": (*status.notes, text)}))


def flat_metrics(record: EvaluationRecord, metric: str) -> dict[str, float]:
    """Returns what Tune is told: finite numbers under flat keys, the metric always among them.

    A missing key would end the whole sweep, and NaN is never stopped; a metric without ground truth is told as 0.
    """
    numbers = {name: value for name, value in record.metrics.items() if value is not None and math.isfinite(value)}
    # The last is what trackers take as the step.
    return {
        **numbers,
        metric: metric_value(numbers, metric) or 0.0,
        ITERATION: record.iteration,
        "timesteps_total": record.iteration,
    }
