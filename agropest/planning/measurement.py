"""What a probe measures of a trial, and which trials share a measurement.

A measurement belongs to a kind of work (:func:`work_key`: everything in the config that decides how much there is to
compute) on a kind of device. Learning rates, schedules and seeds are not part of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agropest.modeling.config import identifying
from agropest.sweep.frameworks.command import RUN, is_command
from agropest.sweep.trial import NOT_IDENTITY, TrialSpec

# Of the solver only these change how long an iteration takes or what it keeps in memory.
SOLVER_WORK = (
    *("SOLVER.IMS_PER_BATCH", "SOLVER.AMP.ENABLED", "SOLVER.EMA.ENABLED"),
    *("SOLVER.OPTIMIZER", "SOLVER.ACCUMULATION_STEPS"),
)
NOT_WORK = frozenset({"SEED", "TEST.EVAL_PERIOD", "TEST.DEPLOYED_SCORE_THRESH", "TEST.PATIENCE", "TEST.AUG.ENABLED"})
# What makes two trials similar: a measurement of one is a fair guess for the other.
SIMILAR = (
    *("MODEL.META_ARCHITECTURE", "MODEL.BACKBONE.NAME", "MODEL.RESNETS.DEPTH", "MODEL.TIMM.NAME"),
    *("SOLVER.IMS_PER_BATCH", "SOLVER.AMP.ENABLED", "INPUT.MIN_SIZE_TRAIN", "INPUT.MAX_SIZE_TRAIN"),
)


# Threads, loader workers, processes at the same time, lean, deterministic.
Way = tuple[int, int, int, bool | None, bool | None]


@dataclass(frozen=True)
class Measurement:
    """How fast a kind of work is on a device, and what it needs there.

    Attributes:
        device: its name, e.g. "AMD EPYC, 2 cores" or "NVIDIA H100".
        threads: of torch in the process that was measured.
        loader_workers: of the process that was measured.
        step_s: seconds of one iteration, waiting for its batch included, on ordinary batches.
        load_s: seconds one process takes to prepare one batch.
        evaluation_image_s: seconds for one evaluated image, reading included.
        start_s: from a forked process to the first iteration.
        memory_bytes: at most, at the largest input; on a card, its own context included.
        concurrent: number of processes that trained at the same time.
        lean: whether the lean modules stood in for Detectron2's; None: of a version that did not say.
        deterministic: whether PyTorch's deterministic algorithms alone were used; None likewise.
    """

    device: str
    threads: int
    loader_workers: int
    step_s: float
    load_s: float
    evaluation_image_s: float
    start_s: float
    memory_bytes: int
    concurrent: int = 1
    lean: bool | None = None
    deterministic: bool | None = None

    @property
    def way(self) -> Way:
        """How it was made."""
        return self.threads, self.loader_workers, self.concurrent, self.lean, self.deterministic


def work_key(trial: TrialSpec) -> str:
    """Returns 16 hex digits that trials with the same work have in common; what evaluates a training has its work."""
    trial = trial.source or trial
    return _digest({key: value for key, value in identifying(trial.config).items() if _is_work(key)}, trial.data)


def similar_key(config: Mapping[str, Any], data: str) -> str:
    """Returns 16 hex digits that similar trials have in common."""
    command = {RUN: config[RUN]} if is_command(config) else {}
    return _digest({key: config.get(key) for key in SIMILAR} | command, data)


def _is_work(key: str) -> bool:
    if key.startswith("SOLVER."):
        return key in SOLVER_WORK
    return key not in NOT_WORK and key not in NOT_IDENTITY


def _digest(work: Mapping[str, Any], data: str) -> str:
    text = json.dumps([work, data], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
