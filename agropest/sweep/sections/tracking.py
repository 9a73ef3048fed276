"""``track:``: experiment trackers that get the sweep's metrics, beside its own files.

track: [mlflow]                                        # into results/<sweep>/mlflow, on this machine
track: {mlflow: {tracking_uri: "http://127.0.0.1:5000"}}
track: {wandb: {project: insects, mode: online}}       # offline unless the mode says otherwise

They are Ray's own callbacks for MLflow and Weights & Biases; an option is an argument of theirs. They are no part of a
trial's identity, and nothing leaves the machine unless an option says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agropest.errors import nearest
from agropest.sweep.sections.section import Section

MLFLOW, WANDB = "mlflow", "wandb"
TRACKERS = (MLFLOW, WANDB)
# The arguments of Ray's callbacks, and of wandb.init, that make sense in a file. Secrets do not.
OPTIONS = {
    MLFLOW: ("experiment_name", "registry_uri", "save_artifact", "tags", "tracking_uri"),
    WANDB: ("dir", "entity", "excludes", "group", "job_type", "log_config", "mode", "notes", "project", "tags"),
}
SECRETS = {"api_key": "WANDB_API_KEY", "api_key_file": "WANDB_API_KEY", "tracking_token": "MLFLOW_TRACKING_TOKEN"}


@dataclass(frozen=True)
class Tracker:
    """One tracker: its name, one of ``TRACKERS``, and the arguments its callback gets beside our defaults."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


def read_trackers(top: Section) -> tuple[Tracker, ...]:
    """Returns the trackers of a sweep file's ``track:``, names or names with options; faults go to the section."""
    content = top.raw("track")
    if content is None:
        return ()
    named: dict[Any, Any] = {}
    for item in content if isinstance(content, list) else [content]:
        if isinstance(item, list):
            top.fault("track", "expected names, or names with options", item, f"known here: {', '.join(TRACKERS)}")
            continue
        named.update(item if isinstance(item, Mapping) else {item: None})
    trackers = []
    for name, options in named.items():
        if name not in TRACKERS:
            top.fault("track", f"expected one of {', '.join(TRACKERS)}", name, nearest(str(name), TRACKERS))
            continue
        section = Section(options, f"{top.where} track.{name}", top.faults)
        for key, value in section.content.items():
            if key in SECRETS:
                fix = f"put it into the environment variable {SECRETS[key]}, never into a file that is shared"
                section.fault(str(key), "expected no secret", "...", fix)
            elif key not in OPTIONS[name]:
                section.fault(str(key), "unknown option", value, nearest(str(key), OPTIONS[name]))
        trackers.append(Tracker(str(name), dict(section.content)))
    return tuple(trackers)
