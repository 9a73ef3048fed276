"""A trial as a value: everything that decides its numbers, and a signature made of exactly that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from agropest import files
from agropest.errors import EnvironmentFault, fault
from agropest.modeling.config import identifying
from agropest.sweep.detectron2_keys import FlatConfig
from agropest.sweep.frameworks.command import COMPARED, is_command
from agropest.sweep.history import HISTORY_KEY, SEGMENT_END_KEY, Segment
from agropest.sweep.sections.resources import Resources

# Raise this when the same config would train to other numbers than before: old results then stand apart. Where some
# configs train to the same numbers as before, ``sweep.stages.training.training_version`` says so.
TRAINING_VERSION = 3

# Where and how fast a trial runs, and names that the data fingerprint stands for: none of it decides the numbers.
NOT_IDENTITY = frozenset(
    {
        "OUTPUT_DIR",
        "VIS_PERIOD",
        "CUDNN_BENCHMARK",
        "MODEL.DEVICE",
        "MODEL.WEIGHTS",  # its identity is hashed instead, see weights_identity
        "MODEL.TIMM.WEIGHTS",  # likewise
        "MODEL.ANCHOR_GENERATOR.FITTED",  # SIZES and ASPECT_RATIOS hold what it came to
        "DATASETS.TRAIN",
        "DATASETS.TEST",
        "DATALOADER.NUM_WORKERS",
        "SOLVER.CHECKPOINT_PERIOD",
    }
)


@dataclass(frozen=True)
class EvaluatedCheckpoint:
    """What a trial that trains nothing evaluates: a checkpoint of another trial, its source.

    Attributes:
        label: the source's.
        choice: ``best`` and the metric by which the source's validation chose it, or ``last``, or an iteration.
        settings: Detectron2 keys of evaluation with the values that the source has, where they differ.
    """

    label: str
    choice: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialSpec:
    """One training run, or the evaluation of what another one has trained.

    Attributes:
        label: the variant's name; with ``seed`` it names the trial within its sweep.
        config: the effective Detectron2 config, flat, every key.
        data: the data set's fingerprint.
        weights: identity of the initial weights: a URL, ``sha256:...`` of a local file, or empty; then, after " + ",
            that of a timm backbone's.
        overrides: what differs from the baseline variant, flat; for people, not part of the identity.
        levels: factor levels, for factor effects; not part of the identity.
        resources: not part of the identity.
        history: of population-based training, the segments before this one, in order. The trial starts where the last
            of them ended, with ``config`` from there on.
        segment_end: iteration that the trial ends at; 0: the end of the schedule, as any other trial.
        code: the user's loss and backbone files that the trial computes with, by content (``sweep.user_code``).
        evaluates: the checkpoint that the trial evaluates; None: it trains.
    """

    label: str
    seed: int
    config: FlatConfig
    data: str
    weights: str = ""
    training_version: int = TRAINING_VERSION
    overrides: Mapping[str, Any] = field(default_factory=dict)
    levels: Mapping[str, str] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    history: tuple[Segment, ...] = ()
    segment_end: int = 0
    code: str = ""
    evaluates: EvaluatedCheckpoint | None = None

    @cached_property
    def signature(self) -> str:
        """16 hex digits of the SHA-256 of the full resolved value (never of differences from defaults)."""
        value: dict[str, Any] = {
            "config": {key: value for key, value in identifying(self.config).items() if key not in NOT_IDENTITY},
            "data": self.data,
            "weights": self.weights,
            "training_version": self.training_version,
        }
        if self.code:
            value["code"] = self.code
        if self.segment_end:
            value[HISTORY_KEY] = [[segment.end, dict(segment.settings)] for segment in self.history]
            value[SEGMENT_END_KEY] = self.segment_end
        if self.evaluates is not None and self.source is not None:
            value["evaluates"] = [self.evaluates.choice, self.source.signature]
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        """Label and seed: unique within a sweep."""
        return f"{self.label}/s{self.seed}"

    @property
    def folder_name(self) -> str:
        """The trial's folder under ``results/trials``."""
        return f"{self.label}-{self.signature}"

    @property
    def schedule_iters(self) -> int:
        """Iterations of the whole schedule."""
        return int(self.config["SOLVER.MAX_ITER"])

    @property
    def max_iter(self) -> int:
        """The iteration that the trial ends at: that of the whole schedule, or of its segment."""
        return self.segment_end or self.schedule_iters

    @property
    def start_iter(self) -> int:
        """Iterations that its ancestor has trained, 0 without one; those of its source, where it trains nothing."""
        if self.evaluates is not None:
            return self.max_iter
        return self.history[-1].end if self.history else 0

    @property
    def ends_schedule(self) -> bool:
        """Whether the trial trains to the end of the schedule: only then is it tested and ranked."""
        return self.max_iter == self.schedule_iters

    @property
    def ancestor(self) -> TrialSpec | None:
        """The trial that this one continues from, or None: it starts from the initial weights."""
        if not self.history:
            return None
        *before, last = self.history
        config = {**self.config, **last.settings}
        return replace(self, config=config, overrides={}, history=tuple(before), segment_end=last.end)

    @property
    def trains(self) -> bool:
        """Whether iterations are trained; else a checkpoint of another trial, or MODEL.WEIGHTS, is evaluated."""
        return self.evaluates is None and self.max_iter > 0

    @cached_property
    def source(self) -> TrialSpec | None:
        """The trial whose checkpoint this one evaluates; None: this one trains."""
        if self.evaluates is None:
            return None
        config = {**self.config, **self.evaluates.settings}
        return replace(self, label=self.evaluates.label, config=config, overrides={}, evaluates=None)

    @property
    def eval_period_iters(self) -> int:
        """Iterations between evaluations; the last iteration is always evaluated."""
        return int(self.config["TEST.EVAL_PERIOD"]) or max(1, self.max_iter)

    @property
    def evaluation_iters(self) -> tuple[int, ...]:
        """Every iteration of the schedule up to ``max_iter`` that validation follows, the last one included."""
        return (*range(self.eval_period_iters, self.max_iter, self.eval_period_iters), self.max_iter)

    def is_evaluation(self, iteration: int) -> bool:
        """Returns whether validation follows an iteration (counted from 1): every period, and after the last."""
        if self.evaluates is None and self.max_iter == 0:
            return iteration == 0
        return self.start_iter < iteration <= self.max_iter and (
            iteration % self.eval_period_iters == 0 or iteration == self.max_iter
        )

    def last_evaluation(self, iteration: int) -> int:
        """Returns the last iteration up to this one that validation follows; 0 where there is none."""
        last = iteration if iteration >= self.max_iter else iteration - iteration % self.eval_period_iters
        return last if self.is_evaluation(last) else 0


# What initial weights may be fetched from, by key.
ADDRESSES = {"MODEL.WEIGHTS": "detectron2://", "MODEL.TIMM.WEIGHTS": "timm://"}


def weights_identity(weights: str, timm_weights: str = "") -> str:
    """Returns what identifies initial weights: the address as it is, or the content hash of a local file.

    Args:
        weights: ``MODEL.WEIGHTS``.
        timm_weights: ``MODEL.TIMM.WEIGHTS``.

    Raises:
        EnvironmentFault: a local file is named that is not there, or cannot be read; or an address of elsewhere.
    """
    identity = _file_identity("MODEL.WEIGHTS", weights, 'give a checkpoint file, a detectron2:// address, or ""')
    if not timm_weights:
        return identity
    return f"{identity} + {_file_identity('MODEL.TIMM.WEIGHTS', timm_weights, 'give a file, or timm:// and a tag')}"


def _file_identity(key: str, weights: str, fix: str) -> str:
    if "://" in weights and not weights.startswith(ADDRESSES[key]):
        rule = f"expected a file or a {ADDRESSES[key]} address"
        raise EnvironmentFault(fault(key, rule, weights, "fetch it with a browser and give the file"))
    if not weights or "://" in weights:
        return weights
    path = files.without_tilde(weights)
    if not files.is_file(path):
        raise EnvironmentFault(fault(key, "expected a file", weights, f"{fix} to start from random weights"))
    try:
        with open(path, "rb") as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()[:32]
    except OSError as error:
        rule = "expected a file that can be read"
        raise EnvironmentFault(fault(key, rule, f"{weights}: {error.strerror}", "check its permissions")) from None


def differing_keys(trials: Sequence[TrialSpec]) -> list[str]:
    """Returns the Detectron2 keys that are not the same in all trials, without the seed, which has its own column.

    A key that no command obeys is compared between those trials that Detectron2 trains.
    """
    own = [trial for trial in trials if not is_command(trial.config)]
    keys = sorted({key for trial in trials for key in trial.config} - {"SEED"})
    compared = {key: trials if key in COMPARED else own for key in keys}
    return [key for key, its in compared.items() if len({repr(trial.config.get(key)) for trial in its}) > 1]
