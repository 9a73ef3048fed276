"""Runs the trials of a launch that are not done yet, and returns when all have ended or somebody asked to stop."""

from __future__ import annotations

import contextlib
import functools
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from agropest.errors import EnvironmentFault
from agropest.planning.capacity import unplaceable
from agropest.planning.sweep_forecast import kept_beside_actual
from agropest.store.completeness import is_stopped, lacks_its_end
from agropest.store.records import TrialState
from agropest.store.sharing.shared_work import STAGES
from agropest.store.store import Store
from agropest.store.upkeep.lost_trials import note_lost_trials, settle
from agropest.store.upkeep.restart import continue_stopped, stop_again
from agropest.store.upkeep.stopped_checkpoints import remove_checkpoints_of_stopped
from agropest.sweep.plan import WEIGHTS
from agropest.sweep.sections.stop_rule import StopRule
from agropest.sweep.stages.tree import stage_tree
from agropest.sweep.trial import TrialSpec
from agropest.training.input import handover
from agropest.tuning.evaluations import evaluable, with_damaged_checkpoint
from agropest.tuning.fit import fit
from agropest.tuning.launch import Launch
from agropest.tuning.ray.connection import connected
from agropest.tuning.ray.library_output import library_output_to
from agropest.tuning.ray.private_folder import private_folder
from agropest.tuning.ray_loss import ended_where_ray_is_gone
from agropest.tuning.session import Session
from agropest.tuning.shutdown import ShutdownRequest
from agropest.tuning.spending import Spending
from agropest.tuning.stopping.stopping_state import StoppingState, open_stopping_state
from agropest.tuning.watch.metrics import SweepMetrics
from agropest.tuning.watch.progress import Progress
from agropest.tuning.watch.trackers import require_trackers
from agropest.tuning.watch.watch import Rewritten, Watch
from agropest.tuning.workers.card_sharing import card_sharing
from agropest.tuning.workers.larger_shares import raise_shares, with_kept_shares
from agropest.tuning.workers.sizing import sizing_here
from agropest.tuning.workers.warm_server import warm_server_for_all

INTERRUPT_WAIT_S = 90.0


@dataclass(frozen=True)
class Outcome:
    """How a launch ended.

    Attributes:
        signal_number: of the signal that interrupted it; 0 where none did.
        spent: which limit of the budget ended it, in words; empty where none did.
    """

    interrupted: bool
    all_ended_well: bool
    spent: str = ""
    signal_number: int = 0


@dataclass(frozen=True)
class _Work:
    """What is run on one connection to Ray.

    Attributes:
        pending: the trials to run.
        stopping: what stops them early, where it looks at all of them at once.
        remarks: printed first.
        is_repair: whether they were stopped early, and are only completed.
    """

    pending: list[TrialSpec]
    stopping: StoppingState | None = None
    remarks: Sequence[str] = ()
    is_repair: bool = False


def run_trials(launch: Launch, onlookers: Sequence[Rewritten] = (), spending: Spending | None = None) -> Outcome:
    """Runs every trial that has not ended, as many at a time as fit.

    Args:
        launch: early stopping knows from its store what earlier launches evaluated.
        onlookers: files that are rewritten while the sweep runs.
        spending: of the launch, where it runs several rounds of trials.

    Raises:
        EnvironmentFault: the machine or cluster can never run a trial.
        StoreError: the results folder has gone while the launch ran.
    """
    pending = launch.pending  # before the statuses change below
    note_lost_trials(launch.trials, launch.store)
    stop_again(launch.trials, launch.store, launch.spec.stopper)
    spending = spending or Spending(launch.spec.budget)
    if damaged := _damaged_of_stopped(launch):  # first: what is stopped next depends on their evaluations
        names = ", ".join(trial.name for trial in damaged)
        remarks = [f"stopped early, and damaged since: evaluated again, and not trained further: {names}"]
        repair = replace(launch, spec=replace(launch.spec, stop=StopRule()), trials=damaged)
        outcome = _run_on_ray(repair, _Work(damaged, None, remarks, is_repair=True), onlookers, spending)
        if outcome.interrupted or spending.ended_launch:
            return outcome
    outcome = _run_missing(launch, pending, onlookers, spending)
    remove_checkpoints_of_stopped(launch.spec, launch.trials, launch.store)
    shutil.rmtree(launch.store.root / STAGES, ignore_errors=True)  # locks that no process holds any more
    return outcome


def _run_missing(
    launch: Launch, pending: Sequence[TrialSpec], onlookers: Sequence[Rewritten], spending: Spending
) -> Outcome:
    """Runs those of the pending trials that the budget and early stopping leave; see :func:`run_trials`."""
    spec, store = launch.spec, launch.store
    # What could not be completed is left as it is.
    pending = [t for t in pending if not is_stopped(store.folder(t).status(), spec.stopper)]
    # Variants that are alike are one trial with one folder.
    pending = list({trial.signature: trial for trial in reversed(pending)}.values())[::-1]
    if not pending:
        print(f"{len(launch.trials)} trials: all have ended before, nothing is left to train", flush=True)
        return Outcome(False, _all_ended_well(launch))
    require_trackers(spec.track)
    admitted = spending.admit(pending)
    left_out = {trial.name for trial in pending[len(admitted) :]}
    if not admitted:
        return Outcome(False, False, spending.spent)
    continued = continue_stopped(admitted, store, spec.stopper)
    remarks = [f"stopped early in other sweeps, continued here: {', '.join(continued)}"] if continued else []
    stopping = open_stopping_state(spec, launch.trained, left_out, launch.dataset, store)
    if stopping is not None:
        admitted = stopping.still_in(admitted)
        if not admitted:
            return Outcome(False, _all_ended_well(launch))
    in_order = stage_tree(admitted).in_order(admitted)  # who trains a stage, then who takes it over
    return _run_on_ray(launch, _Work(in_order, stopping, remarks), onlookers, spending)


def _damaged_of_stopped(launch: Launch) -> list[TrialSpec]:
    """Returns the trials that are stopped early for the sweep and of which an evaluation was damaged since."""
    store, stopper = launch.store, launch.spec.stopper
    stopped = {t.signature: t for t in launch.trials if is_stopped(store.folder(t).status(), stopper)}
    return [trial for trial in stopped.values() if lacks_its_end(trial, store.folder(trial))]


def _run_on_ray(launch: Launch, work: _Work, onlookers: Sequence[Rewritten], spending: Spending) -> Outcome:
    """Connects to Ray, sizes what is pending and runs it; see :func:`run_trials`."""
    spec, store = launch.spec, launch.store
    spending.begin({trial.name: store.stands_at(trial).iteration for trial in work.pending})
    with contextlib.ExitStack() as around:
        stdout = around.enter_context(library_output_to(launch.folder / "launch.log"))
        progress = around.enter_context(contextlib.closing(Progress(spec, launch.trials, store, Console(file=stdout))))
        for remark in work.remarks:
            progress.say(remark)
        shutdown = ShutdownRequest(progress)
        around.enter_context(shutdown.on_signals())
        folder = None
        if not launch.ray.cluster:
            folder = around.enter_context(private_folder(progress.say))
            around.enter_context(warm_server_for_all())
        _require_weights(work.pending)  # before Ray starts, which takes longer than to see that they are not there
        ended = functools.partial(_wait_for_checkpoints, work.pending, store, progress)
        pending: list[TrialSpec] | None = None
        try:
            with (
                connected(launch.ray, progress.say, folder, spec.max_concurrent) as dashboard,
                ended_where_ray_is_gone(launch, progress, shutdown, ended, folder),
            ):
                shutdown.listen()
                if dashboard:
                    progress.link(f"Ray dashboard: {dashboard} (its token: ray get-auth-token)")
                sizing = sizing_here(launch.training_sets, store, progress.say, cluster=bool(launch.ray.cluster))
                with shutdown.breaking_off():
                    pending = with_kept_shares(work.pending if shutdown else sizing.resolve(work.pending), store)
                if shutdown:
                    return Outcome(True, False, signal_number=shutdown.signal_number)
                for remark in filter(None, [*sizing.remarks, handover.remark(pending)]):
                    progress.say(remark)
                _require_resources(pending, spec.with_own_resources)
                progress.say("starting the first trials: torch and Detectron2 are loaded once for all of them", True)
                watch = Watch(progress, [SweepMetrics(spec.name, spec.metric).publish, *onlookers])
                session = Session(
                    launch, progress, watch, shutdown, spending, sizing.machine, work.stopping, work.is_repair
                )
                local = [] if launch.ray.cluster else pending
                with card_sharing(local, progress.say), _forecast_beside_actual(session, pending):
                    _run_pending(session, pending)
        except EnvironmentFault:
            if pending is not None or not shutdown.interrupted:
                raise
            # The signal that ended the launch reached Ray's processes, too, and they did not start.
            return Outcome(True, False, signal_number=shutdown.signal_number)
        # Ray's actors are gone now, and that is what tells the trials to save a checkpoint.
        if shutdown or spending.ended_launch:
            _wait_for_checkpoints(pending, store, progress)
        store.require_there()
        if not shutdown.problem:  # else what is stored may be all that can be: the next launch finds it as it is
            settle(pending, store)
    if shutdown.problem:
        raise EnvironmentFault(shutdown.problem)
    return Outcome(shutdown.interrupted, _all_ended_well(launch), spending.spent, shutdown.signal_number)


@contextlib.contextmanager
def _forecast_beside_actual(session: Session, pending: Sequence[TrialSpec]) -> Iterator[None]:
    """Stores the forecast of the sweep, and beside it what the trials took; a repair leaves the sweep's as it is."""
    if session.is_repair:
        yield
        return
    launch = session.launch
    forecast = launch.forecast_on(session.machine, pending)
    with kept_beside_actual(forecast, launch.folder, launch.trials, launch.store, session.progress.say):
        yield


def _run_pending(session: Session, pending: list[TrialSpec]) -> None:
    """Runs what is pending: what trains, then what evaluates initial weights, then what evaluates either."""
    launch = session.launch
    _run_and_repeat(session, [trial for trial in pending if trial.trains])
    _run_and_repeat(session, [trial for trial in pending if not trial.trains and trial.evaluates is None])
    if not (session.shutdown or session.spending.ended_launch):
        ready = evaluable(pending, launch.store, launch.spec.stopper)
        _repair_evaluated(session, ready)
        _run_and_repeat(session, ready)


def _repair_evaluated(session: Session, evaluations: Sequence[TrialSpec]) -> None:
    """Makes checkpoints again that are to be evaluated and are not as they were written."""
    launch = session.launch
    damaged = with_damaged_checkpoint(evaluations, launch.trained, launch.store)
    session.spending.begin({trial.name: launch.store.stands_at(trial).iteration for trial in damaged})
    for trial in damaged:
        session.progress.say(f"{trial.name}: a checkpoint that is to be evaluated is damaged, and trained again")
    _run_and_repeat(session, damaged)


def _run_and_repeat(session: Session, pending: list[TrialSpec]) -> None:
    """Runs trials; then again those that ran out of GPU memory, with larger shares."""
    store, shutdown = session.launch.store, session.shutdown
    while pending and not (shutdown or session.spending.ended_launch):
        scheduler = _scheduler(session, pending)
        if not session.is_repair:  # a launch that was killed may have left an evaluation whose stop is decided only now
            pending = [trial for trial in pending if not _is_left(store.folder(trial).status().status)]
        if pending and not shutdown:
            fit(session, pending, scheduler)
        if shutdown.problem:  # perhaps nothing can be stored
            return
        raised = raise_shares(pending, store)  # also for the next launch, where this one ends
        if shutdown or session.spending.ended_launch:
            return
        pending = with_kept_shares([trial for trial in pending if trial.name in raised], store)
        for trial in pending:
            share = f"{trial.resources.gpus:g} of a card"
            session.progress.say(f"{trial.name} ran out of GPU memory: runs again with {share}")


def _is_left(state: TrialState) -> bool:
    return state in (TrialState.STOPPED, TrialState.FAILED)


def _scheduler(session: Session, pending: Sequence[TrialSpec]) -> Any:
    from ray.tune.schedulers import FIFOScheduler

    from agropest.tuning.stopping.lockstep import Lockstep
    from agropest.tuning.stopping.schedulers import build_scheduler, read_history

    spec, trials, store = session.launch.spec, session.launch.trained, session.launch.store
    if not pending[0].trains:
        return FIFOScheduler()
    if session.stopping is not None:
        return Lockstep(pending, session.stopping)
    folders = {trial.name: store.folder(trial) for trial in trials}
    longest, shortest = max(trial.max_iter for trial in trials), min(trial.eval_period_iters for trial in trials)
    history = read_history(trials, store, spec.metric)
    stays = {trial.name for trial in trials if spec.stop.keep_baseline and trial.label == spec.baseline}
    return build_scheduler(spec.stop, spec.metric, longest, shortest, spec.stopper, folders, history, stays)


def _require_weights(trials: Sequence[TrialSpec]) -> None:
    first = [trial for trial in trials if trial.evaluates is None]
    wanted = sorted({trial.config[key] for trial in first for key in WEIGHTS} - {""})
    if not wanted:
        return
    from agropest.training.start.weights import require_weights  # imports torch, which takes seconds

    for weights in wanted:
        require_weights(weights)


def _all_ended_well(launch: Launch) -> bool:
    store, stopper = launch.store, launch.spec.stopper
    statuses = [store.folder(trial).status() for trial in launch.trials]
    return all(one.status.ended_well or is_stopped(one, stopper) for one in statuses) and not any(
        lacks_its_end(trial, store.folder(trial)) for trial in launch.trials
    )


def _require_resources(trials: Sequence[TrialSpec], own: Collection[str]) -> None:
    """Refuses trials that no node could ever run: Ray would wait for ever."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    if faults := unplaceable(trials, nodes, own):
        raise EnvironmentFault(*faults)


def _wait_for_checkpoints(trials: Sequence[TrialSpec], store: Store, progress: Progress) -> None:
    """Waits until no trial writes any more."""
    limit = time.monotonic() + INTERRUPT_WAIT_S
    while time.monotonic() < limit:
        running = [trial.name for trial in trials if store.folder(trial).is_being_written()]
        if not running:
            return
        progress.say("waiting for the checkpoint of " + ", ".join(running))
        time.sleep(0.5)
