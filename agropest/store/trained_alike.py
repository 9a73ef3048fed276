"""Finished trainings of the store, of other sweeps, that tell what another seed does to a sweep's trainings.

Alike are trainings on the same data from the same initial weights, with the same schedule, augmentation and backbone;
those that differ in nothing but the seed are repetitions of one variant.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from agropest.store.checksummed import read_sealed
from agropest.store.records import TrialState
from agropest.store.store import Store
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.learning_rate import curve_key
from agropest.sweep.trial import NOT_IDENTITY, TrialSpec


def repetitions_alike(reference: TrialSpec, store: Store, but: Collection[str]) -> list[list[TrialSpec]]:
    """Returns the variants that have finished with several seeds, each as its trainings by seed.

    Args:
        reference: what they must be alike to.
        but: signatures of trials that do not count: those of the sweep itself.
    """
    by_variant: dict[str, list[TrialSpec]] = {}
    for path in sorted(store.trials.glob("*/trial.json")):
        trial = _read(path, reference)
        if trial is None or trial.signature in but or not _is_alike(trial, reference):
            continue
        if TrialFolder(path.parent).status().status == TrialState.FINISHED:
            by_variant.setdefault(_variant_key(trial), []).append(trial)
    found = [sorted(trials, key=lambda one: one.seed) for trials in by_variant.values()]
    return sorted((one for one in found if len(one) > 1), key=lambda one: [trial.signature for trial in one])


def _read(path: Path, reference: TrialSpec) -> TrialSpec | None:
    """Returns a stored trial, or None where it cannot be read, is of a population, or has another origin."""
    content = read_sealed(path) or {}
    config, seed, version = (content.get(key) for key in ("config", "seed", "training_version"))
    if content.get("leg_end") or not (isinstance(config, dict) and isinstance(seed, int) and isinstance(version, int)):
        return None
    origin = (content.get("data"), content.get("weights"), content.get("code", ""))
    if origin != (reference.data, reference.weights, reference.code):
        return None
    label, code = str(content.get("label")), reference.code
    trial = TrialSpec(label, seed, config, reference.data, reference.weights, version, code=code)
    return trial if trial.signature == content.get("signature") else None


def _is_alike(trial: TrialSpec, reference: TrialSpec) -> bool:
    return curve_key(trial.config) == curve_key(reference.config)


def _variant_key(trial: TrialSpec) -> str:
    config: dict[str, Any] = {k: v for k, v in trial.config.items() if k not in NOT_IDENTITY and k != "SEED"}
    return json.dumps([config, trial.training_version], sort_keys=True)
