"""Ray Tune runs the trials: each as a job that a relaying actor hands to a child process."""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from agropest.errors import EnvironmentFault, fault
from agropest.store.records import TrialState
from agropest.store.store import Store
from agropest.store.upkeep.lost_trials import note_lost_trial
from agropest.sweep.trial import TrialSpec
from agropest.tuning.jobs import build_jobs
from agropest.tuning.loop_step import LoopStep
from agropest.tuning.ray.connection import TRIAL_SLOT
from agropest.tuning.ray.ray_names import named_trainable
from agropest.tuning.ray.ray_watch import RayEndedToo
from agropest.tuning.session import Session
from agropest.tuning.watch.trackers import build_trackers, hyperparameters
from agropest.tuning.workers.trainable import relay

logger = logging.getLogger(__name__)


def fit(session: Session, trials: Sequence[TrialSpec], scheduler: Any) -> None:
    """Runs trials on the connected Ray until each has ended, or the session is to end.

    Args:
        scheduler: Tune's, or one of ours.

    Raises:
        EnvironmentFault: Tune ended with an error of its own.
    """
    from ray import tune
    from ray.tune import TuneError

    with tempfile.TemporaryDirectory(prefix="agropest-tune-", ignore_cleanup_errors=True) as scratch:
        tuner = tune.Tuner(
            _trainable(session, trials),
            param_space={
                "trial": tune.grid_search([trial.name for trial in trials]),
                **hyperparameters(session.launch.spec, trials),
            },
            tune_config=tune.TuneConfig(
                scheduler=scheduler,
                reuse_actors=True,
                trial_name_creator=lambda trial: trial.config["trial"].replace("/", "-"),
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=_run_config(session, trials, scratch),
        )
        try:
            with session.shutdown.kept_from_tune():
                tuner.fit()
        except TuneError as error:  # what failed in one of our callbacks, with its traceback as the message
            if session.shutdown.signal_number and RayEndedToo.__name__ in str(error):
                return
            raise _tunes_own(error, session) from None


def _trainable(session: Session, trials: Sequence[TrialSpec]) -> Any:
    """Returns what Tune runs for every trial, with what each holds of the machine.

    Tune unpickles it for every trial that it starts: it holds as little as possible.
    """
    from ray import tune

    spec = session.launch.spec
    jobs = {name: job.packed() for name, job in build_jobs(session.launch, trials, session.machine).items()}
    trainable = tune.with_parameters(relay, jobs=jobs, metric=spec.metric, retries=spec.retries)
    return named_trainable(tune.with_resources(trainable, _resources(trials, has_slot=bool(spec.max_concurrent))))


def _resources(trials: Sequence[TrialSpec], has_slot: bool) -> Callable[[dict[str, Any]], Any]:
    """Returns the function that says what Tune reserves for a trial.

    Args:
        has_slot: whether a trial also takes one of the slots that limit how many run at a time.
    """
    from ray import tune

    shares = {trial.name: (trial.resources.cpus, trial.resources.gpus) for trial in trials}
    usual, _ = Counter(shares.values()).most_common(1)[0]
    other = {name: share for name, share in shares.items() if share != usual}
    slot = {TRIAL_SLOT: 1} if has_slot else {}

    def resources(config: dict[str, Any]) -> Any:
        cpus, gpus = other.get(config["trial"], usual)
        return tune.PlacementGroupFactory([{"CPU": cpus, "GPU": gpus, **slot}])

    return resources


def _run_config(session: Session, trials: Sequence[TrialSpec], scratch: str) -> Any:
    """Returns Tune's own settings: when it stops, what it calls back, how often it tries again."""
    from ray import tune

    from agropest.tuning.ray.hooks import EndWhenAsked, Forgiving, NoteLoss, Refresh

    spec, store = session.launch.spec, session.launch.store
    folders = {trial.name: store.folder(trial) for trial in trials}
    trackers = build_trackers(spec, session.launch.folder)
    reported = {trial.name: _reported_before(trial, store) for trial in trials} if trackers else {}
    return tune.RunConfig(
        name=spec.name,
        storage_path=scratch,  # Tune's own notes are not needed: the store is the truth
        stop=EndWhenAsked(session.shutdown, session.spending),
        callbacks=[
            Refresh(LoopStep(session)),
            NoteLoss(lambda name: note_lost_trial(folders[name])),
            *(Forgiving(tracker, session.watch.progress.say, reported) for tracker in trackers),
        ],
        failure_config=tune.FailureConfig(max_failures=spec.retries),
        verbose=0,
    )


def _tunes_own(error: Exception, session: Session) -> EnvironmentFault:
    """Returns what to say of an error in Tune or in a callback, which goes to the launch's log whole."""
    logger.exception("Tune ended with an error")
    reason = (str(error).strip().splitlines() or ["no reason given"])[-1]
    log = session.launch.folder / "launch.log"
    fix = f"mend that (see {log}), and launch again: it continues from what is stored"
    return EnvironmentFault(fault("Ray Tune", "expected the sweep to continue", reason, fix))


def _reported_before(trial: TrialSpec, store: Store) -> int:
    """Returns the iteration of the last evaluation that was reported to Tune, or 0.

    The one after the last iteration is reported when the trial has finished.
    """
    folder = store.folder(trial)
    evaluated = [one.iteration for one in folder.read_evaluations("valid")]
    is_finished = folder.status().status == TrialState.FINISHED
    return max((iteration for iteration in evaluated if is_finished or iteration < trial.max_iter), default=0)
