"""Which overrides change nothing, remembered: every variant is built once, and a second look imports no torch."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from agropest import files
from agropest.data.dataset import Dataset
from agropest.errors import SweepFileError
from agropest.store.checksummed import checksummed, verified
from agropest.sweep.lint.subject import MOST_BUILT
from agropest.sweep.trial import TRAINING_VERSION, TrialSpec

# Raise this when more is tried than before: what was remembered is then asked anew.
REHEARSAL_VERSION = 1


def idle_overrides(
    variants: Sequence[TrialSpec],
    baseline: TrialSpec,
    dataset: Dataset,
    folder: Path,
    file: Path,
    on_build: Callable[[], object],
) -> dict[str, list[str]]:
    """Returns the overrides without effect by trial label; see :func:`agropest.training.dry_run.effects.find_effects`.

    Args:
        variants: one trial for each variant; the first ``MOST_BUILT`` are built. Those without overrides are built
            and nothing else.
        baseline: what their overrides are relative to.
        folder: where the answer is kept.
        file: the sweep's, which faults name.
        on_build: is called before anything is built, which takes seconds.

    Raises:
        SweepFileError: variants that Detectron2 cannot build, all at once.
    """
    chosen = list(variants)[:MOST_BUILT]
    known_by = sorted((trial.label, trial.signature, sorted(trial.overrides)) for trial in chosen)
    asked = [REHEARSAL_VERSION, TRAINING_VERSION, baseline.signature, dataset.fingerprint, known_by]
    path = folder / f"effects-{hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]}.json"
    try:
        idle: dict[str, list[str]] = verified(files.read_json(path))["idle"]
        return idle
    except (OSError, ValueError, TypeError, KeyError):
        pass  # not known yet, or damaged
    on_build()
    from agropest.training.dry_run.effects import find_effects

    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)  # Detectron2's words on steps past the end: the linter has its own
    try:
        effects = find_effects(chosen, baseline, dataset.splits["train"])
    finally:
        logging.disable(disabled)
    if effects.faults:
        raise SweepFileError(*(f"{file}: {text}" for text in effects.faults))
    files.write_json(path, checksummed({"idle": effects.idle}))
    return effects.idle
