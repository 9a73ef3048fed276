"""How the trials of a sweep stand while it runs: read from the store, for whoever shows it."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agropest.statistics.accuracy.metric import metric_value
from agropest.store.records import EvaluationRecord, Heartbeat, Status, TrialState
from agropest.store.store import Store
from agropest.sweep.trial import TrialSpec

SETTLED_NS = 10**9


@dataclass(frozen=True)
class TrialProgress:
    """One trial.

    Attributes:
        iteration: iterations trained, as far as anything says.
        value: the sweep's metric at the last evaluation on validation, in percent; None before the first, or where the
            split has no ground truth for it.
        value_iteration: iteration of that evaluation.
        change: ``value`` less the baseline's of the same seed at the same iteration; None where there is none.
        best: the highest value so far.
        images_per_s: trained lately, 0 when it does not run.
        gpu_memory_gib: reserved by the process, 0 when it does not run.
        left_s: seconds that it will still train, at its speed so far; None as long as nothing says.
    """

    trial: TrialSpec
    status: TrialState
    reason: str
    iteration: int
    value: float | None
    value_iteration: int | None
    change: float | None
    best: float | None
    images_per_s: float
    gpu_memory_gib: float
    left_s: float | None

    @property
    def is_running(self) -> bool:
        """Whether it trains now."""
        return self.status == TrialState.RUNNING


@dataclass
class _Seen:
    """What was read of a trial's folder, and when the files it was read from had changed, by their paths."""

    files: tuple[Path, Path, Path] | None = None
    stamps: dict[Path, int] = field(default_factory=dict)
    status: Status = field(default_factory=Status)
    records: list[EvaluationRecord] = field(default_factory=list)
    heartbeat: Heartbeat | None = None
    first_heartbeat: Heartbeat | None = None


class SweepProgress:
    """Reads how the trials stand; a trial that does not run costs one call of ``stat``.

    Args:
        trials: of the sweep; a list that grows is read as it is each time.
        store: where they write.
        metric: of the sweep.
        baseline: label of the variant the others are compared with.
    """

    def __init__(self, trials: Sequence[TrialSpec], store: Store, metric: str, baseline: str) -> None:
        self.trials, self.store, self.metric, self.baseline = trials, store, metric, baseline
        self._seen: dict[str, _Seen] = {}

    def read(self) -> list[TrialProgress]:
        """Returns the trials in the sweep's order."""
        now = time.time()
        seen = [self._read(trial) for trial in self.trials]
        baselines = self._baselines(seen)
        speeds = [_seconds_per_iteration(one) for one in seen]
        known = [speed for speed in speeds if speed is not None]
        usual = statistics.median(known) if known else None
        return [
            self._trial_progress(trial, one, baselines, speed if speed is not None else usual, now)
            for trial, one, speed in zip(self.trials, seen, speeds, strict=True)
        ]

    def _read(self, trial: TrialSpec) -> _Seen:
        seen = self._seen.setdefault(trial.name, _Seen())
        now = time.time_ns()
        if seen.files is None:
            folder = self.store.folder(trial)
            seen.files = (folder.path / "status.json", folder.evaluations, folder.path / "heartbeat.json")
        status, evaluations, heartbeat = seen.files
        if _has_changed(status, seen.stamps, now):
            seen.status = self.store.folder(trial).status()
        elif seen.status.status != TrialState.RUNNING:
            return seen  # no process writes there: of a thousand trials most wait or have ended
        if _has_changed(evaluations, seen.stamps, now):
            seen.records = self.store.folder(trial).read_evaluations("valid")
        is_first = heartbeat not in seen.stamps
        if _has_changed(heartbeat, seen.stamps, now):
            seen.heartbeat = self.store.folder(trial).heartbeat()
            if not is_first and seen.first_heartbeat is None:
                seen.first_heartbeat = seen.heartbeat
        return seen

    def _baselines(self, seen: Sequence[_Seen]) -> dict[tuple[int, int], float]:
        """Returns the baseline's metric by (seed, iteration): trials are compared at equal iterations."""
        return {
            (trial.seed, record.iteration): value
            for trial, one in zip(self.trials, seen, strict=True)
            if trial.label == self.baseline
            for record in one.records
            if (value := metric_value(record.metrics, self.metric)) is not None
        }

    def _trial_progress(
        self,
        trial: TrialSpec,
        seen: _Seen,
        baselines: dict[tuple[int, int], float],
        speed: float | None,
        now: float,
    ) -> TrialProgress:
        last = seen.records[-1] if seen.records else None
        value = metric_value(last.metrics, self.metric) if last else None
        base = baselines.get((trial.seed, last.iteration)) if last and trial.label != self.baseline else None
        values = [v for record in seen.records if (v := metric_value(record.metrics, self.metric)) is not None]
        running = seen.status.status == TrialState.RUNNING
        beat = seen.heartbeat if running else None
        trained = max(seen.status.iteration, last.iteration if last else 0, beat.iteration if beat else 0)
        iteration = max(trial.start_iter, trained)
        left = None
        if seen.status.status.has_ended:
            left = 0.0
        elif speed is not None:
            since = now - beat.time if beat else 0.0
            left = max(0.0, speed * (trial.max_iter - iteration) - since)
        return TrialProgress(
            trial=trial,
            status=seen.status.status,
            reason=seen.status.reason,
            iteration=iteration,
            value=value,
            value_iteration=last.iteration if last else None,
            change=value - base if value is not None and base is not None else None,
            best=max(values, default=None),
            images_per_s=beat.images_per_s if beat else 0.0,
            gpu_memory_gib=beat.gpu_memory_gib if beat else 0.0,
            left_s=left,
        )


def time_left_s(trial_progress: Sequence[TrialProgress]) -> float | None:
    """Returns when the sweep will have ended if nothing is stopped early, in seconds; None as long as nothing says.

    What is left is shared by as many trials as run now; the longest of them is waited for in any case.
    """
    left = [one.left_s for one in trial_progress if not one.status.has_ended]
    known = [seconds for seconds in left if seconds is not None]
    if not left:
        return 0.0
    slots = sum(one.is_running for one in trial_progress)
    if len(known) < len(left) or not slots:
        return None
    return max(sum(known) / slots, *known)


def best_progress(trial_progress: Sequence[TrialProgress]) -> TrialProgress | None:
    """Returns the trial with the highest value so far, at whatever iteration; None before the first evaluation."""
    known = [one for one in trial_progress if one.best is not None]
    return max(known, key=lambda one: one.best or 0.0) if known else None


def count_by_status(trial_progress: Sequence[TrialProgress]) -> Counter[str]:
    """Returns how many trials have each status; those that have not begun count as ``new``."""
    return Counter(one.status or TrialState.NEW for one in trial_progress)


def _seconds_per_iteration(seen: _Seen) -> float | None:
    """Returns the speed since this launch began to watch, evaluations included; else over all of the trial's time."""
    first, last = seen.first_heartbeat, seen.heartbeat
    if first is not None and last is not None and last.iteration > first.iteration:
        return (last.time - first.time) / (last.iteration - first.iteration)
    if seen.status.iteration and seen.status.time_s:
        return seen.status.time_s / seen.status.iteration
    return None


def _has_changed(path: Path, stamps: dict[Path, int], now_ns: int) -> bool:
    """Returns whether a file or folder may have changed since its time in ``stamps``, which is brought up to date.

    A file system's clock ticks in milliseconds: what changed a moment ago may change again at the same tick.
    """
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        changed = 0
    before, stamps[path] = stamps.get(path, -1), changed
    return changed != before or changed > now_ns - SETTLED_NS
