"""Whether trials fit where they are to run: Ray would wait for ever for what no node has."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence

from agropest.errors import fault
from agropest.machine import Machine
from agropest.sweep.trial import TrialSpec

Node = Mapping[str, float]


def node_of(machine: Machine) -> Node:
    """Returns a machine as Ray counts it: with what RAY_OVERRIDE_RESOURCES says of it."""
    counted = {"CPU": float(machine.num_cores), "GPU": float(len(machine.cards))}
    try:
        overridden = json.loads(os.environ.get("RAY_OVERRIDE_RESOURCES") or "{}")
        return counted | {kind: float(overridden[kind]) for kind in counted if kind in overridden}
    except (TypeError, ValueError):  # Ray has its own words for that
        return counted


def unplaceable(trials: Sequence[TrialSpec], nodes: Sequence[Node], own: Collection[str] = ()) -> list[str]:
    """Returns a fault for every demand of the trials that no node could ever meet; ``auto`` demands nothing yet.

    Args:
        own: labels of variants whose resources the sweep file says beside the sweep's.
    """
    faults = []
    places = {trial.resources: f"variants.{trial.label}.resources" for trial in trials if trial.label in own}
    for wanted in dict.fromkeys(trial.resources for trial in trials):
        if any(node.get("CPU", 0) >= wanted.cpus and node.get("GPU", 0) >= wanted.gpus for node in nodes):
            continue
        most = {kind: max((node.get(kind, 0) for node in nodes), default=0) for kind in ("CPU", "GPU")}
        rule = f"a trial asks for {wanted.cpus:g} CPUs and {wanted.gpus:g} GPUs"
        place = places.get(wanted, "resources")
        fewer = f"{place}.cpus={most['CPU']:g}" if wanted.cpus > most["CPU"] else ""
        if wanted.gpus > most["GPU"]:
            settings = f"{place}.gpus={0 if most['GPU'] < 1 else most['GPU']:g} {fewer}".strip()
            on_cpu = "run it on a machine with a GPU, or train on the CPU (slow!) with --set"
            fix = f"{on_cpu if most['GPU'] < 1 else 'ask for less: --set'} {settings}"
        else:
            fix = f"ask for less: --set {fewer}"
        faults.append(fault(place, rule, most, fix))
    return faults
