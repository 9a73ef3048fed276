"""One trial of a command, with the contract of ``agropest.training.trial.run_trial``.

The command trains and writes a results file for every evaluated iteration; each is scored, stored and reported while it
trains on. What is stored is the truth: after an interruption the command is told which results are still to be written.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from agropest import exit_codes, files
from agropest.errors import ChangedInput, StoreError, TrialError, fault
from agropest.store.completeness import lacks_its_end, still_stopped
from agropest.store.records import EvaluationRecord, Heartbeat, Status, TrialState
from agropest.store.trial_folder import LostClaim, TrialFolder
from agropest.sweep.frameworks.command import RUN, changed_files, program
from agropest.sweep.trial import TrialSpec
from agropest.training.command import contract
from agropest.training.command.process import CommandProcess
from agropest.training.command.results import ResultsStore
from agropest.training.run_context import RunContext

logger = logging.getLogger(__name__)

OUTPUT = "output"
POLL_S, HEARTBEAT_S = 0.1, 2.0
LOG_TAIL_BYTES = 4096


def run_command_trial(
    trial: TrialSpec,
    folder: TrialFolder,
    context: RunContext,
    on_evaluation: Callable[[EvaluationRecord], object],
    should_stop: Callable[[], bool] = lambda: False,
) -> Status:
    """Runs one trial of a command; see :func:`agropest.training.trial.run_trial`.

    Raises:
        LostClaim: another process has taken this trial over.
        ChangedInput: a file of the command is not the one that the trial's signature was computed from.
        OSError: the machine keeps it from continuing, or the command was killed.
    """
    folder.write_spec(trial, context.sweep)
    run = _Run(trial, folder, context, on_evaluation, should_stop)
    try:
        status = run.run()
    except TrialError as error:
        status = run.ends_as(TrialState.FAILED, str(error))
    except (OSError, StoreError):
        raise
    folder.write_status(status)
    return status


def keep_replicates(trial: TrialSpec, folder: TrialFolder, context: RunContext) -> None:
    """Computes what the ranking will ask of a finished trial, and keeps it in the trial's folder."""
    store = ResultsStore(trial, folder, context)
    best = store.best()
    if best is not None:
        store.keep_replicates(best)


class _Run:
    """The state of one trial while it runs."""

    def __init__(
        self,
        trial: TrialSpec,
        folder: TrialFolder,
        context: RunContext,
        on_evaluation: Callable[[EvaluationRecord], object],
        should_stop: Callable[[], bool],
    ) -> None:
        self.trial, self.folder, self.context = trial, folder, context
        self.on_evaluation, self.should_stop = on_evaluation, should_stop
        self.before = folder.status()
        self.status = replace(self.before, status=TrialState.RUNNING, reason="")
        self.results = ResultsStore(trial, folder, context)
        self.output = folder.path / OUTPUT
        self.started = time.perf_counter()
        self.iteration = self.before.iteration

    def run(self) -> Status:
        self.folder.remove_leftovers()
        self._require_unchanged()
        self.folder.write_status(self.ends_as(TrialState.RUNNING))
        self.output.mkdir(exist_ok=True)
        try:
            self._train()
            return self._finish()
        except _Stopped as stopped:
            return self.ends_as(TrialState.STOPPED, str(stopped))
        except _StoppedBefore:
            return replace(self.before, notes=(*self.before.notes, "what was damaged was made again"))
        except _Interrupted:
            return self.ends_as(TrialState.INTERRUPTED)

    def _require_unchanged(self) -> None:
        if changed := changed_files(self.trial.config, self.context.sweep_folder):
            rule, fix = "expected the files of the plan", "bring them back, or launch again: that makes other trials"
            raise ChangedInput(fault(f"{self.trial.name}: command", rule, changed, fix))

    def _train(self) -> None:
        """Has the command train until every result is stored, beginning with the first that is missing."""
        due = list(self.trial.evaluation_iters)
        stored = self.results.stored()
        while due and due[0] in stored:
            self._report(stored[due.pop(0)])
        self._leave_when_complete()
        if not due:
            return
        environment = contract.training_environment(self.trial, self.context, self.output, due)
        with _Running(self, environment) as running:
            while due:
                path = self.output / contract.results_name("valid", due[0])
                running.wait_for(path)
                iteration = due.pop(0)
                speed = running.iterations_per_s(iteration) * int(self.trial.config["SOLVER.IMS_PER_BATCH"])
                record = self.results.store("valid", iteration, path, speed)
                files.write_json(self.output / contract.BEST, {"iteration": self.results.best()})
                self.iteration = iteration
                self.folder.write_status(self.ends_as(TrialState.RUNNING))
                self._report(record)
            running.wait_for_end()

    def _report(self, record: EvaluationRecord) -> None:
        self.iteration = max(self.iteration, record.iteration)
        stops = self.on_evaluation(record)
        self._leave_when_complete()
        if stops and record.iteration < self.trial.max_iter:
            self.iteration = record.iteration
            raise _Stopped(f"stopped early after iteration {record.iteration}")

    def _leave_when_complete(self) -> None:
        """Ends a trial that had been stopped early, and of which something was damaged, where it was stopped."""
        if self.before.status == TrialState.STOPPED and not lacks_its_end(self.trial, self.folder):
            raise _StoppedBefore

    def _finish(self) -> Status:
        """Has the iteration that validation chose predict the test split, once."""
        chosen = self.results.best()
        assert chosen is not None
        if "test" in self.context.splits and chosen not in self.results.stored("test"):
            environment = contract.prediction_environment(self.trial, self.context, self.output, "test", chosen)
            with _Running(self, environment) as running:
                path = self.output / contract.results_name("test", chosen)
                running.wait_for(path)
                running.wait_for_end()
            self.results.store("test", chosen, path)
        doubts = self.results.ask_referee(chosen)
        self.status = replace(self.status, notes=(*self.status.notes, *doubts))
        if self.context.device != "cuda":  # on a card once its share was given back
            self.results.keep_replicates(chosen)
        if not self.context.keep_checkpoints:
            shutil.rmtree(self.output, ignore_errors=True)
        self.iteration = self.trial.max_iter
        return self.ends_as(TrialState.FINISHED)

    def ends_as(self, status: TrialState, reason: str = "") -> Status:
        """Returns the status with the time up to now; a stopped trial that is completed again stays a stopped one."""
        if self.before.status == TrialState.STOPPED and status in (TrialState.RUNNING, TrialState.INTERRUPTED):
            return self.before
        if self.before.status == TrialState.STOPPED and status == TrialState.FAILED:
            return still_stopped(self.before, reason)
        time_s = round(self.before.time_s + time.perf_counter() - self.started, 3)
        return replace(self.status, status=status, iteration=self.iteration, reason=reason, time_s=time_s)


class _Stopped(Exception):
    """The scheduler ended the trial early, on purpose."""


class _StoppedBefore(Exception):
    """The trial is again as it was when it was stopped early."""


class _Interrupted(Exception):
    """The launch ends, or this trial gives way to another."""


class _Running:
    """One run of the command, from its start to its end.

    Args:
        run: whose command it is.
        environment: what the command is told.
    """

    def __init__(self, run: _Run, environment: Mapping[str, str]) -> None:
        self.run, context = run, run.context
        words = run.trial.config[RUN]
        found = program(words, context.sweep_folder)
        if found is None:
            fix = "install it on every machine that runs trials"
            raise TrialError(fault(f"{run.trial.name}: command", "expected a program", words[0], fix))
        logger.info("running %s", " ".join(words))
        self._log = run.folder.log
        self._log_bytes = self._log.stat().st_size if self._log.exists() else 0  # what is said from here on is its
        all_words = [found, *words[1:]]
        self._process = CommandProcess(all_words, environment, context.sweep_folder, run.folder.path, self._log)
        self._next_heartbeat = 0.0
        self._last: tuple[float, int] | None = None

    def __enter__(self) -> _Running:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.end()

    def wait_for(self, path: Path) -> None:
        """Waits until the command has written a results file.

        Raises:
            TrialError: it has ended without.
            ChildProcessError: it was killed, or asks to be started again.
        """
        while not path.is_file():
            code = self._process.exit_code()
            if code is not None and not path.is_file():  # it may have been written just before
                raise self._ended(code, f"without {path.name}")
            self._pause()

    def wait_for_end(self) -> None:
        """Waits until the command has ended well, after its last results."""
        while (code := self._process.exit_code()) is None:
            self._pause()
        if code != 0:
            raise self._ended(code, "after its last results")

    def iterations_per_s(self, iteration: int) -> float:
        """Returns the speed since the results before, evaluation included; 0 for the first of this run."""
        before, self._last = self._last, (time.monotonic(), iteration)
        seconds = self._last[0] - before[0] if before else 0.0
        return (iteration - before[1]) / seconds if before and seconds > 0 else 0.0

    def _pause(self) -> None:
        if self.run.should_stop():
            raise _Interrupted
        if time.monotonic() >= self._next_heartbeat:
            self._next_heartbeat = time.monotonic() + HEARTBEAT_S
            self._write_heartbeat()
        time.sleep(POLL_S)

    def _write_heartbeat(self) -> None:
        try:
            reached = int(files.read_json(self.run.output / contract.PROGRESS)["iteration"])
        except (OSError, ValueError, KeyError, TypeError):
            reached = 0
        reached = min(max(reached, self.run.iteration), self.run.trial.max_iter)
        try:
            self.run.folder.write_heartbeat(Heartbeat(reached, round(time.time(), 3)))
        except LostClaim:
            raise
        except OSError as error:
            logger.warning("no heartbeat: %s", error)

    def _ended(self, code: int, how: str) -> Exception:
        last = _last_line(self._log, self._log_bytes)
        if code < 0 or code == exit_codes.TRY_AGAIN:
            why = f"signal {-code}" if code < 0 else f"exit code {code}"
            return ChildProcessError(f"the command ended {how} ({why}): {last}")
        rule, fix = f"expected it to end with exit code 0 and all results, not {how}", f"see {self._log}"
        return TrialError(fault("command", rule, f"exit code {code}: {last}", fix))


def _last_line(log: Path, since: int) -> str:
    """Returns the last line that the command has printed.

    Args:
        since: length of the log when the command started.
    """
    try:
        with open(log, "rb") as file:
            file.seek(max(since, log.stat().st_size - LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return "its log cannot be read"
    return next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")
