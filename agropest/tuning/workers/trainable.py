"""What Ray Tune runs: a thin relay between Tune and the trial's own process.

Ray is the engine, the store is the truth: an evaluation is in the store before it is reported here, and everything a
trial needs to continue is there. What earlier launches stored, the scheduler knows already
(``agropest.tuning.stopping.schedulers``).
"""

from __future__ import annotations

import contextlib
import errno
import math
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from agropest import exit_codes
from agropest.errors import fault
from agropest.statistics.accuracy.metric import metric_value
from agropest.store.completeness import lacks_its_end, still_stopped
from agropest.store.records import OUT_OF_MEMORY, EvaluationRecord, TrialState
from agropest.store.sharing.shared_work import TAKEN_FROM
from agropest.store.trial_folder import TrialFolder
from agropest.tuning.ray.ray_names import announce_trial, show_trial
from agropest.tuning.ray.waiting import tell_waiting
from agropest.tuning.workers import child, late_replicates

ITERATION = "iteration"
# Under this key Tune hears of what only a person can mend.
PROBLEM = "problem"
# And under this one, that another trial has trained the iterations since the last evaluation.
TAKEN_OVER = "taken_over"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
CHANGED_INPUT = errno.ESTALE  # of agropest.errors.ChangedInput
# Seconds a child gets after an interrupt to leave by itself; Ray itself gives a stopped trial 2 s here.
LEAVE_S = 1.5
# Tune takes an actor that is free for the next trial, also where that trial's own is about to be there, which it then
# ends. Trials that take a tenth of a second would continue with one actor, while another is started all the time: so
# none is free before all that were asked for at the same time are there.
SETTLED_S = 3.0
_loaded_at = time.monotonic()
# Before the second attempt at what the machine did not let it do; doubles with every further one, up to the limit.
MACHINE_PAUSE_S, PAUSE_LIMIT_S = 1.0, 30.0
# A machine's fault is tried again for at least so long, however few retries there are: a disk is not empty at once.
MACHINE_WAIT_S = 60.0


def relay(config: dict[str, Any], jobs: Mapping[str, bytes], metric: str, retries: int) -> None:
    """Runs one trial and reports its evaluations to Tune (the function trainable); see :func:`_relay`."""
    _relay(config, jobs, metric, retries)
    time.sleep(max(0.0, _loaded_at + SETTLED_S - time.monotonic()))


def _relay(config: dict[str, Any], jobs: Mapping[str, bytes], metric: str, retries: int) -> None:
    """Runs one trial in a child process and reports its evaluations.

    Args:
        config: ``trial``, the trial's name.
        jobs: trial name to what the child is started with (:meth:`child.Job.packed`).
        metric: a metric that every report holds.
        retries: how often a trial whose process died is started again.
    """
    from ray import tune

    job = child.Job.unpack(jobs[config["trial"]])
    folder = TrialFolder(job.folder)
    announce_trial(job.trial.name, folder.log)
    mends = lacks_its_end(job.trial, folder)  # it was stopped early, and something was damaged since
    # Its actor had died, and Tune starts it again.
    if folder.status().status in (TrialState.STOPPED, TrialState.FAILED) and not mends:
        for record in folder.read_evaluations("valid"):
            tune.report(flat_metrics(record, metric))
        return
    reported: set[int] = set()
    pauses = _Pauses(retries)
    while True:
        end = _run_once(job, metric, reported, is_decided=mends)
        if end.is_final:
            if end.unwritten:
                claimed = folder.claim()
                status = replace(claimed.status(), status=end.unwritten, reason=end.reason)
                claimed.write_status(still_stopped(claimed.status(), end.reason) if mends else status)
            if job.context.replicates_later and folder.status().status == TrialState.FINISHED:
                late_replicates.start(job)
            return
        lost = f"attempt {pauses.attempts + 1} ended at iteration {folder.status().iteration}: {end.reason}"
        job = replace(job, note=lost)
        if end.error_number == CHANGED_INPUT:  # trying again does not bring the right file back
            break
        pause_s = pauses.next_s(end.pause_s)
        if pause_s is None:
            break
        if pause_s:
            tell_waiting(job.trial.name, f"{end.reason}; tries again in {pause_s:.0f} s")
            time.sleep(pause_s)
            tell_waiting(job.trial.name, "")
    if end.error_number in (*NO_ROOM, CHANGED_INPUT):  # for no trial of this launch there is room, or the right file
        problem = end.reason if end.error_number == CHANGED_INPUT else _no_room(folder, end.reason)
        reached = max(reported, default=0)
        tune.report({metric: 0.0, ITERATION: reached, "timesteps_total": reached, PROBLEM: problem})
        return
    claimed = folder.claim()
    status = claimed.status()
    reason = f"{end.reason}, {pauses.attempts} times; see {folder.log.name}; --retry-failed tries again"
    if mends:
        claimed.write_status(still_stopped(status, end.reason))
        return
    claimed.write_status(replace(status, status=TrialState.FAILED, reason=reason, notes=(*status.notes, job.note)))


class _Pauses:
    """How long to wait before each further attempt.

    Args:
        retries: after so many, only the machine's faults are tried again, and those for ``MACHINE_WAIT_S`` in all; with
            none, nothing is.

    Attributes:
        attempts: that have ended.
    """

    def __init__(self, retries: int) -> None:
        self.attempts, self._retries, self._waited_s = 0, retries, 0.0

    def next_s(self, first_s: float) -> float | None:
        """Returns the pause before the next attempt, or None: there is none.

        Args:
            first_s: the first pause; 0 where nothing has to be waited for.
        """
        self.attempts += 1
        pause_s = min(first_s * 2.0 ** min(self.attempts - 1, 20), PAUSE_LIMIT_S)
        may_wait = self._retries > 0 and first_s > 0 and self._waited_s + pause_s <= MACHINE_WAIT_S
        if self.attempts > self._retries and not may_wait:
            return None
        self._waited_s += pause_s
        return pause_s


@dataclass(frozen=True)
class _End:
    """How a child ended.

    Attributes:
        is_final: nothing is to be tried again by this launch on these resources.
        reason: otherwise: what the machine did to it.
        pause_s: before it is tried again: a full disk is not empty at once.
        error_number: of the operating system, where that is what ended it; else 0.
        unwritten: the state that its process could not write before it had to end; else None.
    """

    is_final: bool
    reason: str = ""
    pause_s: float = 0.0
    error_number: int = 0
    unwritten: TrialState | None = None


def _no_room(folder: TrialFolder, reason: str) -> str:
    fix = "make room there, and launch again: it continues from what is stored"
    return fault(str(folder.path), "expected to be able to write the trial's results", reason, fix)


def _run_once(job: child.Job, metric: str, reported: set[int], is_decided: bool) -> _End:
    """Runs the child once.

    Args:
        reported: iterations that Tune has heard of; is extended.
        is_decided: whether no rule needs its evaluations any more.
    """
    from ray import tune

    process, connection = child.start(job)
    show_trial(job.trial.name)
    try:
        last = None
        for message in _messages(process, connection):
            if isinstance(message, _End):
                if last is not None and message.is_final:
                    tune.report(flat_metrics(last, metric))
                return message
            if message.iteration == job.trial.max_iter:
                # Nothing is left to stop, but a scheduler would (ASHA has a rung there), and the test with it:
                # Tune hears of the last evaluation when the trial has ended.
                last = message
            elif message.iteration not in reported and not is_decided:
                reported.add(message.iteration)
                tune.report(flat_metrics(message, metric))  # raises SystemExit where Tune ends the trial
                show_trial(job.trial.name)
            with contextlib.suppress(OSError):  # it has just died: its end is read next
                connection.send(child.GO_ON)
        raise AssertionError("the messages end with an end")
    finally:
        with contextlib.suppress(OSError):
            connection.close()  # to the child: interrupt, unless it has ended
        process.join(LEAVE_S)


def _messages(process: BaseProcess, connection: Connection) -> Iterator[EvaluationRecord | _End]:
    """Yields evaluations, then how the child ended."""
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            process.join(LEAVE_S)
            if process.exitcode == exit_codes.OUT_OF_GPU_MEMORY:
                yield _End(True, OUT_OF_MEMORY, unwritten=TrialState.INTERRUPTED)
            elif process.exitcode == exit_codes.CHANGED_INPUT:
                yield _End(False, "an input was replaced while it trained, as its log says", error_number=CHANGED_INPUT)
            elif process.exitcode == exit_codes.FAILED:
                yield _End(True, "a process that trained with it failed, as its log says", unwritten=TrialState.FAILED)
            else:
                yield _End(False, f"its process was killed ({_how(process.exitcode)})")
            return
        if message[0] == "end":
            status, reason, error_number = message[1:]
            by_the_machine = status == TrialState.INTERRUPTED and reason not in ("", OUT_OF_MEMORY)
            yield _End(not by_the_machine, reason, MACHINE_PAUSE_S, error_number)
            return
        yield message[1]


def _how(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return signal.Signals(-exit_code).name
    return f"exit code {exit_code}"


def flat_metrics(record: EvaluationRecord, metric: str) -> dict[str, float]:
    """Returns what Tune gets: finite numbers under flat keys, the metric always among them.

    A missing key would end the whole sweep, and NaN is never stopped; a metric without ground truth is reported as 0.
    """
    numbers = {name: value for name, value in record.metrics.items() if value is not None and math.isfinite(value)}
    # The last is what trackers take as the step.
    return {
        **numbers,
        metric: metric_value(numbers, metric) or 0.0,
        ITERATION: record.iteration,
        **({TAKEN_OVER: 1.0} if TAKEN_FROM in record.extra else {}),
        "timesteps_total": record.iteration,
    }
