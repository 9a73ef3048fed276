"""A training apart from its evaluations: what decides the weights after every iteration, and nothing else.

Two trials with one training signature train to the same weights: one of them can train for both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from agropest.modeling.config import identifying
from agropest.sweep.frameworks.command import is_command
from agropest.sweep.stages.rates import RateSchedule, is_as_detectron2, rate_schedule
from agropest.sweep.trial import NOT_IDENTITY, TRAINING_VERSION, TrialSpec

# Of how a training's signature is made. Another scheme shares nothing with this one; results are not touched by it.
SCHEME = 1
# Only the evaluation of weights reads these. That none of them changes a weight is tested by training with all changed.
EVALUATION_KEYS = frozenset(
    {
        "INPUT.MIN_SIZE_TEST",
        "INPUT.MAX_SIZE_TEST",
        "MODEL.ROI_HEADS.SCORE_THRESH_TEST",
        "MODEL.ROI_HEADS.NMS_THRESH_TEST",
        "MODEL.RETINANET.SCORE_THRESH_TEST",
        "MODEL.RETINANET.NMS_THRESH_TEST",
        "MODEL.RETINANET.TOPK_CANDIDATES_TEST",
        "MODEL.RPN.PRE_NMS_TOPK_TEST",
        "MODEL.RPN.POST_NMS_TOPK_TEST",
        "SOLVER.EMA.ENABLED",  # the average never feeds back; whoever trains keeps it for those that evaluate it
        "SOLVER.EMA.DECAY",
    }
)
EVALUATION_PREFIX = "TEST."
# What the learning rate of an iteration follows from: compared as the rates that it comes to.
SCHEDULE_KEYS = frozenset(
    {
        "SOLVER.MAX_ITER",
        "SOLVER.STEPS",
        "SOLVER.GAMMA",
        "SOLVER.LR_SCHEDULER_NAME",
        "SOLVER.WARMUP_ITERS",
        "SOLVER.WARMUP_FACTOR",
        "SOLVER.WARMUP_METHOD",
    }
)
# Before it the warm-up was computed as a fraction of MAX_ITER.
FRACTION_VERSION = 2


def is_evaluation_key(key: str) -> bool:
    """Returns whether only evaluation reads a Detectron2 key."""
    return key in EVALUATION_KEYS or key.startswith(EVALUATION_PREFIX)


def average_decay(trial: TrialSpec) -> float | None:
    """Returns the decay of the averaged weights that a trial evaluates; None: it evaluates the weights themselves."""
    return float(trial.config["SOLVER.EMA.DECAY"]) if trial.config["SOLVER.EMA.ENABLED"] else None


def validation_key(trial: TrialSpec) -> str:
    """Returns what the validation of given weights depends on; test-time augmentation comes only after the last one."""
    left_out = ("TEST.AUG.", "TEST.EVAL_PERIOD", "TEST.PATIENCE", "SOLVER.EMA.")
    config = {key: value for key, value in identifying(trial.config).items() if is_evaluation_key(key)}
    kept = {key: value for key, value in config.items() if not key.startswith(left_out)}
    return digest({"config": kept, "average": average_decay(trial)})


def training_signature(trial: TrialSpec) -> str:
    """Returns 16 hex digits that are equal for trials which train to the same weights, whatever they evaluate."""
    schedule = {key: trial.config[key] for key in sorted(SCHEDULE_KEYS)}
    return digest({"scheme": SCHEME, "training": training_key(trial), "schedule": schedule})


def written_training(trial: TrialSpec, with_seed: bool = True) -> str:
    """Returns 16 hex digits that are equal for trials which are trained by equal settings, or evaluate such a training.

    Unlike a training signature it does not compare learning rates, so it needs no whole schedule.

    Args:
        with_seed: False: equal also for trainings that differ in nothing but the seed.
    """
    trial = trial.source or trial
    left_out = NOT_IDENTITY if with_seed else NOT_IDENTITY | {"SEED"}
    config = {k: v for k, v in trial.config.items() if k not in left_out and not is_evaluation_key(k)}
    history = [[segment.end, dict(segment.settings)] for segment in trial.history]
    return digest([config, trial.data, trial.weights, trial.training_version, trial.code, history, trial.segment_end])


def training_key(trial: TrialSpec) -> str:
    """Returns what two trainings must have in common to share iterations, apart from their learning rates.

    A member of a population shares with its ancestors, by its segments, and with no other trial.
    """
    compared = compared_schedule(trial) is not None
    left_out = NOT_IDENTITY | (SCHEDULE_KEYS if compared else frozenset())
    value: dict[str, Any] = {
        "config": {
            k: v for k, v in identifying(trial.config).items() if k not in left_out and not is_evaluation_key(k)
        },
        "data": trial.data,
        "weights": trial.weights,
        "training_version": TRAINING_VERSION if compared else trial.training_version,
    }
    if trial.code:
        value["code"] = trial.code
    if trial.segment_end or is_command(trial.config):
        value["member"] = trial.signature
    return digest(value)


def compared_schedule(trial: TrialSpec) -> RateSchedule | None:
    """Returns the schedule by which a trial's rates are compared with others', bit for bit.

    None: they are equal only where every key is, because they are computed elsewhere (an unknown kind of schedule, an
    earlier version) or because the trial is a member of a population.
    """
    schedule = rate_schedule(trial.config)
    if schedule is None or trial.segment_end:
        return None
    is_comparable = trial.training_version == TRAINING_VERSION or (
        trial.training_version == FRACTION_VERSION and is_as_detectron2(schedule)
    )
    return schedule if is_comparable else None


def training_version(config: Mapping[str, Any]) -> int:
    """Returns the version of a config's training: the earlier one where computing the rate anew changed no bit."""
    schedule = rate_schedule(config)
    return FRACTION_VERSION if schedule is None or is_as_detectron2(schedule) else TRAINING_VERSION


def digest(value: Any) -> str:
    """Returns 16 hex digits of the SHA-256 of a plain value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
