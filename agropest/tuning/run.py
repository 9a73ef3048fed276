"""Runs the trials of a sweep that are not done yet, and returns when all have ended or somebody asked to stop."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from agropest.data.dataset import Dataset
from agropest.errors import EnvironmentFault, fault
from agropest.machine import Machine
from agropest.planning.capacity import misfits
from agropest.planning.sweep_forecast import forecast_sweep, kept_beside_actual
from agropest.store.chosen import best_evaluation
from agropest.store.completeness import is_done, is_stopped, lacks_its_end
from agropest.store.lost_trials import note_loss, note_losses, settle
from agropest.store.records import TrialState
from agropest.store.restart import go_on_with_stopped, stop_again
from agropest.store.store import Store
from agropest.sweep.plan import WEIGHTS
from agropest.sweep.sections.stop_rule import StopRule
from agropest.sweep.spec import KEEP_NONE, SweepSpec
from agropest.sweep.trial import TrialSpec
from agropest.tuning.ray.connection import RayOptions, connected, require_own_ray
from agropest.tuning.ray.library_output import library_output_to
from agropest.tuning.ray.ray_names import named_trainable
from agropest.tuning.shutdown import EndRequest
from agropest.tuning.spending import Spending
from agropest.tuning.stopping.stopping_state import Standings, open_standings
from agropest.tuning.watch.metrics import SweepMetrics
from agropest.tuning.watch.progress import Progress
from agropest.tuning.watch.trackers import build_trackers, hyperparameters, require_trackers
from agropest.tuning.watch.watch import Rewritten, Watch
from agropest.tuning.workers import child
from agropest.tuning.workers.larger_shares import raise_shares, with_kept_shares
from agropest.tuning.workers.sizing import sizing_here
from agropest.tuning.workers.trainable import relay
from agropest.tuning.workers.warm_server import warm_server_for_all

logger = logging.getLogger(__name__)

INTERRUPT_WAIT_S = 90.0
DEFAULT_RAY = RayOptions()


@dataclass(frozen=True)
class Outcome:
    """How a launch ended.

    Attributes:
        spent: which limit of the budget ended it, in words; empty where none did.
    """

    interrupted: bool
    all_ended_well: bool
    spent: str = ""


@dataclass(frozen=True)
class _Work:
    """What is to be run on one connection to Ray.

    Attributes:
        trials: of the sweep, in any state.
        pending: those of them that are to be run.
        standings: by which they are stopped early, where that is by all at once.
        remarks: to be told first.
        is_repair: whether they were stopped early, and are only made whole.
    """

    spec: SweepSpec
    trials: Sequence[TrialSpec]
    pending: list[TrialSpec]
    standings: Standings | None
    remarks: Sequence[str]
    is_repair: bool = False


def run_trials(
    spec: SweepSpec,
    trials: Sequence[TrialSpec],
    dataset: Dataset,
    store: Store,
    ray: RayOptions = DEFAULT_RAY,
    onlookers: Sequence[Rewritten] = (),
    spending: Spending | None = None,
) -> Outcome:
    """Runs every trial that has not ended, as many at a time as fit.

    Args:
        trials: all of the sweep's; the scheduler knows from the store what earlier launches evaluated.
        ray: the cluster to use, or how to start one on this machine for this launch.
        onlookers: files that are rewritten while the sweep runs.
        spending: of the launch, where it runs several rounds of trials.

    Raises:
        EnvironmentFault: the machine or cluster can never run a trial.
        StoreError: the results folder has gone while the launch ran.
    """
    note_losses(trials, store)
    stop_again(trials, store, spec.stopper)
    spending = spending or Spending(spec.budget)
    if damaged := _damaged_of_stopped(trials, store, spec.stopper):  # first: what is stopped next depends on them
        names = ", ".join(trial.name for trial in damaged)
        remarks = [f"stopped early, and damaged since: evaluated again, and not trained further: {names}"]
        repair = _Work(replace(spec, stop=StopRule()), damaged, damaged, None, remarks, is_repair=True)
        outcome = _launch(repair, dataset, store, ray, onlookers, spending)
        if outcome.interrupted or spending.ended_launch:
            return outcome
    outcome = _run_missing(spec, trials, dataset, store, ray, onlookers, spending)
    _remove_checkpoints_of_stopped(spec, trials, store)
    return outcome


def _run_missing(
    spec: SweepSpec,
    trials: Sequence[TrialSpec],
    dataset: Dataset,
    store: Store,
    ray: RayOptions,
    onlookers: Sequence[Rewritten],
    spending: Spending,
) -> Outcome:
    """Finds those of the trials that are not done and runs them; see :func:`run_trials`."""
    pending = [t for t in trials if not is_done(t, store, spec.metric, dataset.splits, spec.stopper)]
    # What could not be made whole is left as it is.
    pending = [t for t in pending if not is_stopped(store.folder(t).status(), spec.stopper)]
    # Variants that are alike are one trial with one folder.
    pending = list({trial.signature: trial for trial in reversed(pending)}.values())[::-1]
    if not pending:
        print(f"{len(trials)} trials: all have ended before, nothing is left to train", flush=True)
        return Outcome(False, _all_ended_well(trials, store, spec.stopper))
    require_trackers(spec.track)
    admitted = spending.admit(pending)
    left_out = {trial.name for trial in pending[len(admitted) :]}
    pending = admitted
    if not pending:
        return Outcome(False, False, spending.spent)
    gone_on = go_on_with_stopped(pending, store, spec.stopper)
    remarks = [f"stopped early in other sweeps, go on here: {', '.join(gone_on)}"] if gone_on else []
    standings = open_standings(spec, trials, left_out, dataset, store)
    if standings is not None:
        pending = standings.still_in(pending)
        if not pending:
            return Outcome(False, _all_ended_well(trials, store, spec.stopper))
    work = _Work(spec, trials, pending, standings, remarks)
    return _launch(work, dataset, store, ray, onlookers, spending)


def _damaged_of_stopped(trials: Sequence[TrialSpec], store: Store, stopper: str) -> list[TrialSpec]:
    """Returns the trials that are stopped early for the sweep and of which an evaluation was damaged since."""
    stopped = {t.signature: t for t in trials if is_stopped(store.folder(t).status(), stopper)}
    return [trial for trial in stopped.values() if lacks_its_end(trial, store.folder(trial))]


def _launch(
    work: _Work,
    dataset: Dataset,
    store: Store,
    ray: RayOptions,
    onlookers: Sequence[Rewritten],
    spending: Spending,
) -> Outcome:
    """Connects to Ray, sizes what is pending and runs it; see :func:`run_trials`."""
    spec, trials, pending = work.spec, work.trials, work.pending
    spending.begin({trial.name: store.stands_at(trial).iteration for trial in pending})
    with contextlib.ExitStack() as around:
        stdout = around.enter_context(library_output_to(store.sweep_folder(spec.name) / "launch.log"))
        progress = around.enter_context(contextlib.closing(Progress(spec, trials, store, Console(file=stdout))))
        watch = Watch(progress)
        for remark in work.remarks:
            progress.say(remark)
        end = EndRequest(progress)
        around.enter_context(end.on_signals())
        if not ray.cluster:
            around.enter_context(warm_server_for_all())
        with connected(ray, progress.say) as dashboard:
            if dashboard:
                progress.link(f"Ray dashboard: {dashboard} (its token: ray get-auth-token)")
            sizing = sizing_here(dataset, store, progress.say, cluster=bool(ray.cluster))
            with end.breaking_off():
                pending = with_kept_shares(pending if end else sizing.resolve(pending), store)
            if end:
                return Outcome(True, False)
            for remark in sizing.remarks:
                progress.say(remark)
            _require_resources(pending)
            for weights in sorted({trial.config[key] for trial in pending for key in WEIGHTS} - {""}):
                _require_weights(weights)
            progress.say("starting the first trials: torch and Detectron2 are loaded once for all of them", True)
            watch.add(SweepMetrics(spec.name, spec.metric).publish)
            for onlooker in onlookers:
                watch.add(onlooker)
            machine = sizing.machine
            with contextlib.ExitStack() as kept:
                if not work.is_repair:  # the forecast of the sweep stays beside what that took
                    forecast = forecast_sweep(spec.stop, pending, store, machine, dataset.num_images, spec.baseline)
                    folder = store.sweep_folder(spec.name)
                    kept.enter_context(kept_beside_actual(forecast, folder, trials, store, progress.say))
                _run(replace(work, pending=pending), dataset, store, progress, watch, end, spending, machine)
        # Ray's actors are gone now, and that is what tells the trials to save a checkpoint.
        if end or spending.ended_launch:
            _wait_for_checkpoints(pending, store, progress)
        store.require_there()
        if not end.problem:  # else what is stored may be all that can be: the next launch finds it as it is
            settle(pending, store)
    if end.problem:
        raise EnvironmentFault(end.problem)
    return Outcome(end.interrupted, _all_ended_well(trials, store, spec.stopper), spending.spent)


def _run(
    work: _Work,
    dataset: Dataset,
    store: Store,
    progress: Progress,
    watch: Watch,
    end: EndRequest,
    spending: Spending,
    machine: Machine,
) -> None:
    """Runs what is pending; then again what ran out of GPU memory, with larger shares."""
    pending = work.pending
    while pending:
        scheduler = _scheduler(work.spec, work.trials, pending, store, work.standings)
        if not work.is_repair:  # a launch that was killed may have left an evaluation whose stop is decided only now
            pending = [
                trial
                for trial in pending
                if store.folder(trial).status().status not in (TrialState.STOPPED, TrialState.FAILED)
            ]
        if pending and not end:
            _fit(work.spec, pending, dataset, store, watch, end, spending, machine, scheduler)
        if end.problem:  # perhaps nothing can be stored
            return
        again = raise_shares(pending, store)  # also for the next launch, where this one ends
        if end or spending.ended_launch:
            return
        pending = with_kept_shares([trial for trial in pending if trial.name in again], store)
        for trial in pending:
            progress.say(f"{trial.name} ran out of GPU memory: again with {trial.resources.gpus:g} of a card")


def _scheduler(
    spec: SweepSpec,
    trials: Sequence[TrialSpec],
    pending: Sequence[TrialSpec],
    store: Store,
    standings: Standings | None,
) -> Any:
    from agropest.tuning.stopping.lockstep import Lockstep
    from agropest.tuning.stopping.schedulers import build_scheduler, read_history

    folders = {trial.name: store.folder(trial) for trial in trials}
    if standings is not None:
        return Lockstep(pending, standings)
    longest, shortest = max(trial.max_iter for trial in trials), min(trial.eval_period_iters for trial in trials)
    history = read_history(trials, store, spec.metric)
    stays = {trial.name for trial in trials if spec.stop.keep_baseline and trial.label == spec.baseline}
    return build_scheduler(spec.stop, spec.metric, longest, shortest, spec.stopper, folders, history, stays)


def _remove_checkpoints_of_stopped(spec: SweepSpec, trials: Sequence[TrialSpec], store: Store) -> None:
    """Leaves a trial that was stopped its best and its last checkpoint, or none where none are kept.

    A finished trial has done so itself; one that is stopped loses its claim before it could.
    """
    for trial in trials:
        folder = store.folder(trial)
        kept = folder.checkpointed()
        if not trial.ends_schedule or folder.status().status != TrialState.STOPPED or lacks_its_end(trial, folder):
            continue
        best = best_evaluation(folder.read_evaluations("valid"), spec.metric)
        wanted: set[int] = set()
        if spec.keep_checkpoints != KEEP_NONE:
            wanted = {max(kept, default=0), *([best.iteration] if best else [])}
        # Of one that lost its claim while it saved, bytes may stay that never got their seal.
        if kept - wanted or folder.has_unsealed_checkpoint():
            folder.claim().remove_checkpoints(but=wanted)


def _require_weights(weights: str) -> None:
    from agropest.training.weights import require_weights  # imports torch, which takes seconds

    require_weights(weights)


def _all_ended_well(trials: Sequence[TrialSpec], store: Store, stopper: str) -> bool:
    statuses = [store.folder(trial).status() for trial in trials]
    return all(one.status.ended_well or is_stopped(one, stopper) for one in statuses) and not any(
        lacks_its_end(trial, store.folder(trial)) for trial in trials
    )


def build_jobs(
    spec: SweepSpec, trials: Sequence[TrialSpec], dataset: Dataset, store: Store, machine: Machine
) -> dict[str, child.Job]:
    """Returns what each trial's child process is started with, by trial name.

    Args:
        machine: its name is what paces are remembered under.
    """
    from agropest.training.run_context import Setting

    return {
        trial.name: child.Job(
            trial=trial,
            folder=store.folder(trial).path,
            setting=Setting(
                splits=dataset.paths,
                device="cuda" if trial.resources.gpus else "cpu",
                device_name=machine.device_name(trial.resources.gpus > 0),
                num_threads=trial.resources.num_threads,
                num_processes=trial.resources.processes,
                loader_workers=trial.resources.loader_workers,
                image_cache=store.root / "data" / "decoded",
                metric=spec.metric,
                keep_checkpoints=spec.keep_checkpoints != KEEP_NONE,
                sweep=spec.name,
                gpu_memory_fraction=trial.resources.gpus if 0 < trial.resources.gpus < 1 else 0.0,
            ),
        )
        for trial in trials
    }


def _fit(
    spec: SweepSpec,
    trials: Sequence[TrialSpec],
    dataset: Dataset,
    store: Store,
    watch: Watch,
    end: EndRequest,
    spending: Spending,
    machine: Machine,
    scheduler: Any,
) -> None:
    from ray import tune
    from ray.tune import TuneError

    from agropest.tuning.ray.hooks import EndWhenAsked, Forgiving, NoteLoss, Refresh

    # Tune unpickles these for every trial that it starts: they hold as little as possible.
    shares = {trial.name: (trial.resources.cpus, trial.resources.gpus) for trial in trials}
    usual, _ = Counter(shares.values()).most_common(1)[0]
    other = {name: share for name, share in shares.items() if share != usual}
    jobs = {name: job.packed() for name, job in build_jobs(spec, trials, dataset, store, machine).items()}
    folders = {trial.name: store.folder(trial) for trial in trials}
    trackers = build_trackers(spec, store.sweep_folder(spec.name))
    told = {trial.name: _told_before(trial, store) for trial in trials} if trackers else {}

    def resources(config: dict[str, Any]) -> Any:
        cpus, gpus = other.get(config["trial"], usual)
        return tune.PlacementGroupFactory([{"CPU": cpus, "GPU": gpus}])

    def refresh() -> None:
        watch.refresh()
        end.say()
        if problem := store.problem():  # nothing can be stored any more
            end.cannot_go_on(problem)
        require_own_ray()

    trainable = tune.with_parameters(relay, jobs=jobs, metric=spec.metric, retries=spec.retries)
    with tempfile.TemporaryDirectory(prefix="agropest-tune-", ignore_cleanup_errors=True) as scratch:
        tuner = tune.Tuner(
            named_trainable(tune.with_resources(trainable, resources)),
            param_space={"trial": tune.grid_search(list(shares)), **hyperparameters(spec, trials)},
            tune_config=tune.TuneConfig(
                scheduler=scheduler,
                reuse_actors=True,
                trial_name_creator=lambda trial: trial.config["trial"].replace("/", "-"),
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name=spec.name,
                storage_path=scratch,  # Tune's own notes are not needed: the store is the truth
                stop=EndWhenAsked(end, spending),
                callbacks=[
                    Refresh(refresh),
                    NoteLoss(lambda name: note_loss(folders[name])),
                    *(Forgiving(tracker, watch.progress.say, told) for tracker in trackers),
                ],
                failure_config=tune.FailureConfig(max_failures=spec.retries),
                verbose=0,
            ),
        )
        try:
            tuner.fit()
        except TuneError as error:  # what failed in one of our callbacks, with its traceback as the message
            logger.exception("Tune ended with an error")
            reason = (str(error).strip().splitlines() or ["no reason given"])[-1]
            log = store.sweep_folder(spec.name) / "launch.log"
            fix = f"mend that (see {log}), and launch again: it goes on from what is stored"
            raise EnvironmentFault(fault("Ray Tune", "expected the sweep to go on", reason, fix)) from None


def _told_before(trial: TrialSpec, store: Store) -> int:
    """Returns the iteration of the last evaluation that Tune has heard of, or 0.

    Of that after the last iteration it hears when the trial has finished.
    """
    folder = store.folder(trial)
    told = [one.iteration for one in folder.read_evaluations("valid")]
    is_finished = folder.status().status == TrialState.FINISHED
    return max((iteration for iteration in told if is_finished or iteration < trial.max_iter), default=0)


def _require_resources(trials: Sequence[TrialSpec]) -> None:
    """Refuses trials that no node could ever run: Ray would wait for ever."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    if faults := misfits(trials, nodes):
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
