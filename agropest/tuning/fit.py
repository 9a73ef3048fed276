"""Ray Tune runs the trials: each as a job that a relaying actor hands to a child process."""

from __future__ import annotations

import logging
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from agropest.errors import EnvironmentFault, fault
from agropest.machine import Machine
from agropest.store.records import TrialState
from agropest.store.store import Store
from agropest.store.upkeep.lost_trials import note_lost_trial
from agropest.sweep.spec import KEEP_EVALUATED, KEEP_NONE
from agropest.sweep.trial import TrialSpec
from agropest.training.run_context import RunContext
from agropest.tuning.launch import Launch
from agropest.tuning.ray.connection import TRIAL_SLOT, require_own_ray
from agropest.tuning.ray.ray_names import named_trainable
from agropest.tuning.ray.ray_watch import RayEndedToo, dead_process
from agropest.tuning.ray.waiting import waiting
from agropest.tuning.session import Session
from agropest.tuning.watch.trackers import build_trackers, hyperparameters
from agropest.tuning.workers import child
from agropest.tuning.workers.trainable import relay

logger = logging.getLogger(__name__)

WAITS_PERIOD_S = 2.0


def build_jobs(launch: Launch, trials: Sequence[TrialSpec], machine: Machine) -> dict[str, child.Job]:
    """Returns what each trial's child process is started with, by trial name.

    Args:
        machine: measured speeds are stored under its name.
    """
    spec, store, sharing = launch.spec, launch.store, launch.sharing
    return {
        trial.name: child.Job(
            trial=trial,
            folder=store.folder(trial).path,
            context=RunContext(
                splits=launch.training_sets.of(trial.config).paths,
                device="cuda" if trial.resources.gpus else "cpu",
                device_name=machine.device_name(trial.resources.gpus > 0),
                num_threads=trial.resources.num_threads,
                num_processes=trial.resources.processes,
                loader_workers=trial.resources.loader_workers,
                image_cache=store.decoded,
                metric=spec.metric,
                keep_checkpoints=spec.keep_checkpoints != KEEP_NONE,
                keep_evaluated=spec.keep_checkpoints == KEEP_EVALUATED,
                sweep=spec.name,
                sweep_folder=spec.path.resolve().parent,
                replicates_later=trial.resources.gpus > 0,
                lean=trial.resources.is_lean,
                deterministic=trial.resources.deterministic,
                weights_notes=store.root / "data" / "weights",
                gpu_memory_fraction=trial.resources.gpus if 0 < trial.resources.gpus < 1 else 0.0,
                sharing=sharing[trial.name],
            ),
        )
        for trial in trials
    }


def fit(session: Session, trials: Sequence[TrialSpec], scheduler: Any) -> None:
    """Runs trials on the connected Ray until each has ended, or the session is to end.

    Args:
        scheduler: Tune's, or one of ours.

    Raises:
        EnvironmentFault: Tune ended with an error of its own.
    """
    from ray import tune
    from ray.tune import TuneError

    from agropest.tuning.ray.hooks import EndWhenAsked, Forgiving, NoteLoss, Refresh

    spec, store, shutdown = session.launch.spec, session.launch.store, session.shutdown
    # Tune unpickles these for every trial that it starts: they hold as little as possible.
    shares = {trial.name: (trial.resources.cpus, trial.resources.gpus) for trial in trials}
    usual, _ = Counter(shares.values()).most_common(1)[0]
    other = {name: share for name, share in shares.items() if share != usual}
    jobs = {name: job.packed() for name, job in build_jobs(session.launch, trials, session.machine).items()}
    folders = {trial.name: store.folder(trial) for trial in trials}
    trackers = build_trackers(spec, session.launch.folder)
    reported = {trial.name: _reported_before(trial, store) for trial in trials} if trackers else {}

    slot = {TRIAL_SLOT: 1} if spec.max_concurrent else {}

    def resources(config: dict[str, Any]) -> Any:
        cpus, gpus = other.get(config["trial"], usual)
        return tune.PlacementGroupFactory([{"CPU": cpus, "GPU": gpus, **slot}])

    waits: dict[str, str] = {}
    asked_at = time.monotonic()

    def refresh() -> None:
        nonlocal waits, asked_at
        session.watch.refresh()
        if time.monotonic() > asked_at + WAITS_PERIOD_S:
            before, waits, asked_at = waits, waiting(), time.monotonic()
            for name, reason in waits.items():
                if before.get(name) != reason:
                    session.progress.say(f"{name} waits: {reason}")
        shutdown.say()
        if problem := store.problem():  # nothing can be stored any more
            shutdown.cannot_continue(problem)
        if shutdown.signal_number and dead_process():  # systemd and SLURM send SIGTERM to every process of the launch
            raise RayEndedToo
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
                stop=EndWhenAsked(shutdown, session.spending),
                callbacks=[
                    Refresh(refresh),
                    NoteLoss(lambda name: note_lost_trial(folders[name])),
                    *(Forgiving(tracker, session.watch.progress.say, reported) for tracker in trackers),
                ],
                failure_config=tune.FailureConfig(max_failures=spec.retries),
                verbose=0,
            ),
        )
        try:
            tuner.fit()
        except TuneError as error:  # what failed in one of our callbacks, with its traceback as the message
            if shutdown.signal_number and RayEndedToo.__name__ in str(error):
                return
            logger.exception("Tune ended with an error")
            reason = (str(error).strip().splitlines() or ["no reason given"])[-1]
            log = session.launch.folder / "launch.log"
            fix = f"mend that (see {log}), and launch again: it continues from what is stored"
            raise EnvironmentFault(fault("Ray Tune", "expected the sweep to continue", reason, fix)) from None


def _reported_before(trial: TrialSpec, store: Store) -> int:
    """Returns the iteration of the last evaluation that was reported to Tune, or 0.

    The one after the last iteration is reported when the trial has finished.
    """
    folder = store.folder(trial)
    evaluated = [one.iteration for one in folder.read_evaluations("valid")]
    is_finished = folder.status().status == TrialState.FINISHED
    return max((iteration for iteration in evaluated if is_finished or iteration < trial.max_iter), default=0)
