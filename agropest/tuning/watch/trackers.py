"""Experiment trackers through Ray's own callbacks."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agropest.errors import EnvironmentFault, fault
from agropest.sweep.sections.tracking import MLFLOW, Tracker
from agropest.sweep.spec import SweepSpec
from agropest.sweep.trial import TrialSpec, differing_keys

# The distribution that holds a tracker's package; mlflow-skinny is enough.
INSTALL = {"mlflow": "mlflow", "wandb": "wandb"}


def require_trackers(trackers: Sequence[Tracker]) -> None:
    """Refuses trackers whose package is not installed, before anything is started.

    Raises:
        EnvironmentFault: names every one that is missing.
    """
    missing = [tracker.name for tracker in trackers if importlib.util.find_spec(tracker.name) is None]
    if missing:
        fix = f"pip install {' '.join(INSTALL[name] for name in missing)}, or take it out of `track:`"
        raise EnvironmentFault(*(fault("track", f"expected the package {name}", None, fix) for name in missing))


def hyperparameters(spec: SweepSpec, trials: Sequence[TrialSpec]) -> dict[str, Any]:
    """Returns what a trial's Tune config holds for trackers: label, seed and what differs within the sweep."""
    if not spec.track:
        return {}
    from ray import tune

    keys = differing_keys(trials)
    values = {
        trial.name: {
            "label": trial.label,
            "seed": trial.seed,
            **{key: _plain(trial.config.get(key)) for key in keys},
        }
        for trial in trials
    }
    return {"hyperparameters": tune.sample_from(lambda config: values[config["trial"]])}


def build_trackers(spec: SweepSpec, folder: Path) -> list[Any]:
    """Returns Ray's callback for every tracker of the sweep.

    Args:
        folder: ``results/<sweep>``, where a tracker keeps its files unless an option says otherwise.
    """
    return [_mlflow(t, spec, folder) if t.name == MLFLOW else _wandb(t, spec, folder) for t in spec.track]


def _mlflow(tracker: Tracker, spec: SweepSpec, folder: Path) -> Any:
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    defaults = {"experiment_name": spec.name, "tracking_uri": (folder / "mlflow").as_uri()}
    options = {**defaults, **tracker.options}
    if str(options["tracking_uri"]).startswith("file:"):
        # MLflow 3 keeps files only for those who say so; its database would need its server's packages.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    return MLflowLoggerCallback(**options)


def _wandb(tracker: Tracker, spec: SweepSpec, folder: Path) -> Any:
    from ray.air.integrations.wandb import WandbLoggerCallback

    defaults = {"project": spec.name, "group": spec.name, "dir": str(folder), "mode": "offline"}
    options = {**defaults, **tracker.options}
    os.environ["WANDB_MODE"] = str(options["mode"])  # Ray asks for an API key unless this says offline
    return WandbLoggerCallback(**options)


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else str(value)
