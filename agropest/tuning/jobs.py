"""What each trial's child process is started with."""

from __future__ import annotations

from collections.abc import Sequence

from agropest.machine import Machine
from agropest.sweep.spec import KEEP_EVALUATED, KEEP_NONE
from agropest.sweep.trial import TrialSpec
from agropest.training.run_context import RunContext
from agropest.tuning.launch import Launch
from agropest.tuning.workers import child


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
