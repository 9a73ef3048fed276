"""The forecast of one sweep, and beside it what came of it: ``results/<sweep>/forecast.json``.

    {"written": "...", "device": "...", "wall_s": 1234.5, "stopped_early_wall_s": 900.1, "assumption": "asha lets ...",
     "trials": [{"name": "baseline/s42", "seconds": 410.0, "stopped_early_s": 256.2, "source": "probe"}, ...],
     "actual": {"wall_s": 1280.0, "trials": {"baseline/s42": {"status": "finished", "seconds": 422.7}, ...}}}

``wall_s`` is null where a trial's speed is unknown. ``actual`` is null until the launch has ended.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from agropest import files
from agropest.durations import clock, duration
from agropest.machine import Machine
from agropest.planning.forecast import (
    Capacity,
    TrialForecast,
    assumption,
    ends,
    expected_share,
    makespan,
    repair_seconds,
    trial_seconds,
)
from agropest.planning.speeds import Speeds
from agropest.store.checksummed import checksummed, verified
from agropest.store.completeness import is_stopped
from agropest.store.records import TrialState
from agropest.store.store import Store
from agropest.sweep.sections.stop_rule import StopRule
from agropest.sweep.stages.forward import forward_key
from agropest.sweep.stages.tree import StageTree, stage_tree
from agropest.sweep.trial import TrialSpec

FILE = "forecast.json"


@dataclass(frozen=True)
class SweepForecast:
    """What is expected of the trials that wait to be run.

    Attributes:
        wall_s: until all have ended, as many at a time as fit; None: the speed of some trial is unknown.
        stopped_early_wall_s: the same with early stopping as in ``assumption``.
    """

    trials: tuple[TrialForecast, ...]
    device: str
    wall_s: float | None
    stopped_early_wall_s: float | None
    assumption: str

    def of(self, name: str) -> TrialForecast | None:
        """Returns one trial's forecast; None: it does not wait to be run."""
        return next((trial for trial in self.trials if trial.name == name), None)

    def seconds_of_variants(self, trials: Sequence[TrialSpec]) -> dict[str, float]:
        """Returns what one training of each variant takes from its beginning; empty where that of one is not known.

        Args:
            trials: of the sweep.
        """
        seconds: dict[str, float] = {}
        for trial in trials:
            predicted = self.of(trial.name)
            if predicted is not None and predicted.whole_s is not None:
                seconds.setdefault(trial.label, predicted.whole_s)
        return seconds if seconds.keys() == {trial.label for trial in trials} else {}


def forecast_sweep(
    rule: StopRule,
    trials: Sequence[TrialSpec],
    store: Store,
    machine: Machine,
    num_images: Mapping[str, int],
    baseline: str = "",
    reached: Mapping[str, int] = MappingProxyType({}),
    max_concurrent: int = 0,
    stopper: str = "",
) -> SweepForecast:
    """Returns the forecast for those trials that have not ended.

    Args:
        rule: early stopping.
        trials: of the sweep, sized.
        machine: what they run on.
        num_images: split name to its number of images.
        baseline: label of the sweep's.
        reached: trial name to the iteration up to which it takes over what is stored (``shared_work.reached``).
        max_concurrent: trials that run at a time; 0: as many as fit.
        stopper: of the sweep (``SweepSpec.stopper``): what it has stopped is only repaired.
    """
    statuses = {trial.name: store.folder(trial).status() for trial in trials}
    waiting = [t for t in trials if statuses[t.name].status not in (TrialState.FINISHED, TrialState.FAILED)]
    repaired = [trial for trial in waiting if stopper and is_stopped(statuses[trial.name], stopper)]
    trained = [trial for trial in waiting if trial not in repaired]
    tree = stage_tree(trained)
    on_gpu = any(trial.resources.gpus for trial in trials)
    device = machine.device_name(on_gpu)
    speeds = Speeds(store, device)
    found, whole, early = [], [], []
    forwards = set[str]()  # passes of trials that train nothing, each of which is made once
    for trial in [*repaired, *tree.in_order(trained)]:  # in the order of a launch
        speed = speeds.of(trial)
        if speed is None:
            found.append(TrialForecast(trial.name, None, None, ""))
            continue
        its = statuses[trial.name].iteration
        done = max(its, reached.get(trial.name, 0))
        taken_over = done - its + tree.saved_iters(trial, done)
        seconds = trial_seconds(trial, speed, num_images, its, taken_over=taken_over)
        share = expected_share(rule, trial, baseline)
        stopped_early_s = trial_seconds(trial, speed, num_images, its, share, taken_over)
        whole_s = trial_seconds(trial, speed, num_images, taken_over=tree.saved_iters(trial))
        if trial in repaired:
            seconds = stopped_early_s = repair_seconds(speed, num_images)
        elif (forward := forward_key(trial)) and not trial.config["TEST.AUG.ENABLED"]:
            seconds = stopped_early_s = whole_s = speed.start_s if forward in forwards else seconds
            forwards.add(forward)
        expected = TrialForecast(trial.name, round(seconds, 1), round(stopped_early_s, 1), speed.source)
        found.append(replace(expected, whole_s=round(whole_s, 1)))
        occupied = (max(trial.resources.cpus, 0.01), trial.resources.gpus)
        whole.append((seconds, *occupied))
        early.append((stopped_early_s, *occupied))
    capacity = Capacity(machine.num_cores, len(machine.cards), max_concurrent)
    is_known = len(whole) == len(found)
    ended = ends(early, capacity)
    if is_known:
        ended = _after_those_awaited(found, ended, tree, trials)
        found = [replace(one, end_s=round(end, 1)) for one, end in zip(found, ended, strict=True)]
    return SweepForecast(
        tuple(found),
        device,
        round(makespan(whole, capacity), 1) if is_known else None,
        round(max(ended, default=0.0), 1) if is_known else None,
        assumption(rule),
    )


def _after_those_awaited(
    found: Sequence[TrialForecast], ended: Sequence[float], tree: StageTree, trials: Sequence[TrialSpec]
) -> list[float]:
    """Returns when trials end if none ends before those whose training it takes over.

    Args:
        found: one for each end.
        tree: of ``trials``; whoever trains a stage comes before those that take it over.
    """
    by_name, end_of = {trial.name: trial for trial in trials}, dict[str, float]()
    for one, end in zip(found, ended, strict=True):
        trial = by_name[one.name]
        awaited = [end_of.get(stage.trials[0], 0.0) for stage in tree.path(trial) if stage.end == trial.max_iter]
        end_of[trial.signature] = max([end, *awaited])
    return [end_of[by_name[one.name].signature] for one in found]


def in_words(forecast: SweepForecast, now: datetime | None = None) -> str:
    """Returns the sweep's forecast in a line: hours, finish time, and what it rests on."""
    if not forecast.trials:
        return "forecast: nothing is left to run"
    if forecast.wall_s is None or forecast.stopped_early_wall_s is None:
        unknown = sum(trial.seconds is None for trial in forecast.trials)
        return f"forecast: unknown for {unknown} of {len(forecast.trials)} trials: run with --plan --probe"
    now = now or datetime.now().astimezone()
    sources = ", ".join(dict.fromkeys(trial.source for trial in forecast.trials))
    text = f"forecast: {duration(forecast.wall_s)}, done {clock(now, forecast.wall_s)}"
    if forecast.assumption:
        early = forecast.stopped_early_wall_s
        text += f"; with early stopping {duration(early)}, done {clock(now, early)} (if {forecast.assumption})"
    return f"{text} [{forecast.device}; from {sources}]"


def against_actual(content: Mapping[str, Any] | None) -> str:
    """Returns what the last launch was expected to take and what it took, in a sentence; empty where nothing is known.

    Args:
        content: of ``forecast.json`` (:func:`read_forecast`).
    """
    actual = (content or {}).get("actual")
    if not content or not actual or content.get("wall_s") is None:
        return ""
    expected = f"{duration(content['wall_s'])}"
    if content.get("stopped_early_wall_s") not in (None, content["wall_s"]):
        expected += f" ({duration(content['stopped_early_wall_s'])} with early stopping)"
    text = f"The last launch was forecast to take {expected} and took {duration(actual['wall_s'])}"
    seconds = {one["name"]: one["seconds"] for one in content["trials"] if one["seconds"]}
    ratios = sorted(
        ran["seconds"] / seconds[name]
        for name, ran in actual["trials"].items()
        if ran["status"] == TrialState.FINISHED and name in seconds
    )
    if not ratios:
        return f"{text}."
    spread = f"{ratios[len(ratios) // 2]:.2f} in the median ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    return f"{text}; its finished trials took {spread} of their forecasts."


@contextlib.contextmanager
def kept_beside_actual(
    forecast: SweepForecast, folder: Path, trials: Sequence[TrialSpec], store: Store, say: Callable[[str], None]
) -> Iterator[None]:
    """Says and writes what a launch is expected to take, and adds, when it has ended, what it took."""
    write_forecast(folder, forecast)
    if forecast.wall_s is not None:
        say(in_words(forecast))
    before = {trial.name: store.stands_at(trial).time_s for trial in trials}
    started = time.monotonic()
    try:
        yield
    finally:
        add_actual(folder, trials, store, before, time.monotonic() - started)


def write_forecast(folder: Path, forecast: SweepForecast) -> None:
    """Writes the forecast of a launch into the sweep's folder; that of an earlier launch is replaced."""
    written = datetime.now(UTC).isoformat(timespec="seconds")
    files.write_json(folder / FILE, checksummed({"written": written, **asdict(forecast), "actual": None}))


def add_actual(
    folder: Path, trials: Sequence[TrialSpec], store: Store, before: Mapping[str, float], wall_s: float
) -> None:
    """Adds what a launch really took, for the trials that it ran.

    Args:
        trials: of the sweep.
        before: trial name to the seconds it had taken before this launch.
        wall_s: of the launch, from the first trial's start to the last one's end.
    """
    content = read_forecast(folder)
    if content is None:
        return
    ran: dict[str, Any] = {}
    for trial in trials:
        status = store.folder(trial).status()
        seconds = status.time_s - before.get(trial.name, 0.0)
        if seconds > 0:
            ran[trial.name] = {"status": status.status, "seconds": round(seconds, 1)}
    files.write_json(folder / FILE, checksummed({**content, "actual": {"wall_s": round(wall_s, 1), "trials": ran}}))


def read_forecast(folder: Path) -> dict[str, Any] | None:
    """Returns the content of a sweep's ``forecast.json``, or None when there is none to read."""
    try:
        return verified(files.read_json(folder / FILE))
    except (OSError, ValueError, TypeError):
        return None
