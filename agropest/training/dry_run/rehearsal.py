"""What would fail hours later, tried in a second: one batch through augmentation, one picture through evaluation.

The model is the trial's own with all weights zero, so that nothing is fetched and nothing random happens; pictures of
an evaluation are made small. A model that evaluation cannot use (an RPN alone), a model that Detectron2 has no
test-time augmentation for, an augmentation that its own settings contradict, a file that holds no weights of the model:
each would show only mid-way, or after the whole training.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence

import torch
from detectron2.config import CfgNode

from agropest.errors import AgropestError, TrialError, fault
from agropest.modeling.build import build
from agropest.sweep.trial import TrialSpec
from agropest.training.evaluation import TestTimeAugmentation, detect
from agropest.training.input.batches import BatchStream
from agropest.training.input.mapper import Record, TestMapper
from agropest.training.start.weights import cached_path, load_weights
from agropest.training.trial import detectron2_config

SMALL_PX, SMALL_MAX_PX = 128, 160


def rehearse(trial: TrialSpec, records: Sequence[Record]) -> None:
    """Goes once through what a trial does between and after its iterations.

    Args:
        trial: of which everything but the schedule is tried.
        records: of the training split.

    Raises:
        TrialError: the trial would end with this error, hours later.
        EnvironmentFault: its weights cannot be used.
        ChangedInput: a picture or the weights are not those of the plan.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.meshgrid")  # Detectron2's, on today's torch
        _rehearse(trial, records)


def _rehearse(trial: TrialSpec, records: Sequence[Record]) -> None:
    cfg = _small(detectron2_config(trial, "cpu"))
    with _named("INPUT", "expected settings that make a batch"):
        BatchStream(list(records), cfg, max(trial.seed, 0), cache_bytes=0).batch(0)
    model = build(cfg)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    ids = {index: index for index in range(10_000)}
    with _named("MODEL", "expected a model that finds boxes in a picture"):
        detect(model, list(records[:1]), TestMapper(cfg), ids)
    if cfg.TEST.AUG.ENABLED:
        with _named("TEST.AUG.ENABLED", "expected a model that can be augmented"):
            detect(TestTimeAugmentation(cfg, model), list(records[:1]), TestMapper(cfg), ids)
    weights = trial.config["MODEL.WEIGHTS"]
    if weights and cached_path(weights).is_file():  # what is still to be fetched, the launch checks as it fetches it
        load_weights(model, weights, trial.weights)


@contextlib.contextmanager
def _named(key: str, rule: str) -> Iterator[None]:
    try:
        yield
    except AgropestError:
        raise
    except Exception as error:  # whatever Detectron2 and torch throw at a config that they cannot take
        value = f"{type(error).__name__}: {error}"
        raise TrialError(fault(key, rule, value, "change it; the trial would end with the same error")) from error


def _small(cfg: CfgNode) -> CfgNode:
    """Returns a config that evaluates a picture in little time; a training batch stays what it is."""
    small = cfg.clone()
    small.defrost()
    small.MODEL.WEIGHTS = ""
    if cfg.INPUT.MIN_SIZE_TEST:
        small.INPUT.MIN_SIZE_TEST = min(cfg.INPUT.MIN_SIZE_TEST, SMALL_PX)
    small.INPUT.MAX_SIZE_TEST = min(cfg.INPUT.MAX_SIZE_TEST, SMALL_MAX_PX)
    small.TEST.AUG.MIN_SIZES = type(cfg.TEST.AUG.MIN_SIZES)(min(size, SMALL_PX) for size in cfg.TEST.AUG.MIN_SIZES[:1])
    small.TEST.AUG.MAX_SIZE = min(cfg.TEST.AUG.MAX_SIZE, SMALL_MAX_PX)
    small.freeze()
    return small
