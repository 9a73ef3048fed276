"""What a config comes to: which overrides change nothing of what is built from it.

Everything that a trial is made of is built once per variant: model, optimizer and schedule, batch stream, evaluation,
with the very code that trains. A config that notes which keys were read tells which cannot matter, and
for those that were read the built things are compared with and without the override. Weights are not filled (0.05 s
for an R50 model instead of 0.6 s) and nothing is fetched.
"""

from __future__ import annotations

import contextlib
import hashlib
import types
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode

from agropest.data.dataset import Split
from agropest.errors import AgropestError, TrialError, fault, named_once
from agropest.sweep.detectron2_keys import FlatConfig, default_config
from agropest.sweep.plan import WEIGHTS
from agropest.sweep.trial import TrialSpec
from agropest.training.dry_run.rehearsal import rehearse
from agropest.training.input.batches import BatchStream
from agropest.training.input.mapper import Record, TestMapper
from agropest.training.input.records import load_records
from agropest.training.trainer import TrialTrainer
from agropest.training.trial import detectron2_config

COMPARED_BATCHES = 200
# What the trial takes itself from the config; it reads these while it runs, not when it is built.
READ_WHILE_RUNNING = (
    "SEED",
    "SOLVER.MAX_ITER",
    "SOLVER.IMS_PER_BATCH",
    "SOLVER.ACCUMULATION_STEPS",
    "SOLVER.CHECKPOINT_PERIOD",
    "TEST.EVAL_PERIOD",
    "TEST.DETECTIONS_PER_IMAGE",
    "TEST.DEPLOYED_SCORE_THRESH",
)
NOT_BUILT = ("SEED", "DATASETS.TRAIN")  # the latter names what the records are
_DEPTH = 8  # of what is described; a mapper's augmentation's sizes are 5 deep
_OF_THE_DATA = ("_records", "_boxes", "classes", "reader")
_OF_EVERY_MODULE = frozenset(vars(torch.nn.Module()))


@dataclass(frozen=True)
class Effects:
    """What building every variant showed.

    Attributes:
        idle: overrides without effect, by trial label.
        faults: of variants that cannot be built, one text each.
    """

    idle: dict[str, list[str]]
    faults: list[str]


def find_effects(trials: Sequence[TrialSpec], baseline: TrialSpec, split: Split) -> Effects:
    """Builds every trial, and again without each of its overrides.

    Args:
        trials: one for each variant.
        baseline: the trial that their overrides are relative to.
        split: the training split; a sampler's effect depends on its classes.
    """
    builds = Builds(load_records(split.name, split.annotations, split.image_root).dicts)
    idle: dict[str, list[str]] = {}
    found_faults: list[tuple[str, str]] = []
    for trial in trials:
        try:
            builds.digests(trial.config)
            rehearse(trial, builds.records)
        except AgropestError as error:
            found_faults += [(trial.label, text) for text in error.faults]
            continue
        keys = [key for key in trial.overrides if key in baseline.config and key not in NOT_BUILT]
        found = [key for key in keys if builds.is_idle(trial, key, baseline.config[key])]
        if found:
            idle[trial.label] = found
    return Effects(idle, _said_once(trials, found_faults))


def _said_once(trials: Sequence[TrialSpec], faults: Sequence[tuple[str, str]]) -> list[str]:
    """Returns each fault once: with the keys that a variant alone changes, or for all variants that share it."""
    shared = Counter(text for _, text in faults)
    by_label = {trial.label: trial for trial in trials}
    texts = []
    for label, text in faults:
        own = ", ".join(by_label[label].overrides) if shared[text] == 1 else ""
        changed = own or ", ".join(_named_in(text, by_label[label].config)) or "config"
        texts.append((label, f"{changed}: {text}"))
    return named_once(texts, by_label, "every variant")


def _named_in(text: str, config: FlatConfig) -> list[str]:
    """Returns the keys whose value, a word that is not Detectron2's own, stands in an error's text."""
    words = {key: value for key, value in config.items() if isinstance(value, str) and len(value) > 1}
    return [key for key, value in words.items() if value in text and value != default_config().get(key)]


class Builds:
    """What configs come to; a part is built anew only where a key that it reads has another value.

    Args:
        records: Detectron2 data set dicts of the training split.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = list(records)
        self._parts = (self._training, self._augmented_test, self._batches, self._test, self._run)
        self._known: list[list[tuple[dict[str, Any], str]]] = [[] for _ in self._parts]

    def is_idle(self, trial: TrialSpec, key: str, without: Any) -> bool:
        """Returns whether the trial's value of ``key`` makes no difference to the value ``without``."""
        try:
            return self.digests(trial.config) == self.digests({**trial.config, key: without})
        except AgropestError:
            return False  # without the override it cannot even be built

    def digests(self, config: FlatConfig) -> list[str]:
        """Returns a hash of each part that is built from a config; where all are equal, trials are.

        Raises:
            TrialError: a part cannot be built.
        """
        return [self._digest(part, known, config) for part, known in zip(self._parts, self._known, strict=True)]

    def _digest(self, part: Any, known: list[tuple[dict[str, Any], str]], config: FlatConfig) -> str:
        for values, digest in known:
            if all(config[key] == value for key, value in values.items()):
                return digest
        read: set[str] = set()
        try:
            text = repr(list(part(config, read)))
        except AgropestError:
            raise
        except Exception as e:  # whatever Detectron2 and torch throw at a config that they cannot take
            cause = f"{type(e).__name__}: {e}"
            fix = "change the variant; a trial would end with the same error"
            raise TrialError(fault("MODEL", "expected what Detectron2 can build", cause, fix)) from e
        digest = hashlib.sha256(text.encode()).hexdigest()
        known.append(({key: config[key] for key in read if key in config}, digest))
        return digest

    def _training(self, config: FlatConfig, read: set[str]) -> Iterator[Any]:
        with _unfilled_weights():
            trainer = TrialTrainer(_watched_config(config, read, dict.fromkeys(WEIGHTS, "")), "cpu", lean=False)
        yield list(_described_model(trainer.model))
        if config["SOLVER.CLIP_GRADIENTS.ENABLED"]:  # these are read at every step
            read.update(key for key in config if key.startswith("SOLVER.CLIP_GRADIENTS."))
        read.add("MODEL.WEIGHTS")
        # Optimizer and schedule by what they read: Detectron2 keeps the schedule in a function.
        yield [(key, config[key]) for key in sorted(read) if key.startswith("SOLVER.") or key in WEIGHTS]

    def _augmented_test(self, config: FlatConfig, read: set[str]) -> Iterator[Any]:
        read.add("TEST.AUG.ENABLED")
        if config["TEST.AUG.ENABLED"]:
            cfg = _watched_config(config, read)
            _ = [cfg.TEST.AUG.MIN_SIZES, cfg.TEST.AUG.MAX_SIZE, cfg.TEST.AUG.FLIP]  # DatasetMapperTTA.from_config
            yield [(key, config[key]) for key in sorted(read)]

    def _batches(self, config: FlatConfig, read: set[str]) -> Iterator[Any]:
        stream = BatchStream(self.records, _watched_config(config, read), max(config["SEED"], 0), cache_bytes=0)
        yield [stream.images(n) for n in range(min(COMPARED_BATCHES, config["SOLVER.MAX_ITER"]))]
        yield [_plain(part, _DEPTH) for name, part in sorted(vars(stream._mapper).items()) if name not in _OF_THE_DATA]

    def _test(self, config: FlatConfig, read: set[str]) -> Iterator[Any]:
        yield _plain(TestMapper(_watched_config(config, read)), _DEPTH)

    def _run(self, config: FlatConfig, read: set[str]) -> Iterator[Any]:
        read.update(READ_WHILE_RUNNING)
        yield [config[key] for key in READ_WHILE_RUNNING]


class _Watched(CfgNode):
    """A config that notes the full name of every key that is read."""

    def __getattr__(self, name: str) -> Any:
        value = super().__getattr__(name)
        self._note(name, value)
        return value

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        self._note(name, value)
        return value

    def get(self, name: str, default: Any = None) -> Any:
        value = super().get(name, default)
        self._note(name, value)
        return value

    def _note(self, name: str, value: Any) -> None:
        noted = self.__dict__.get("noted")
        if noted is not None and not isinstance(value, CfgNode):
            noted.keys.add(f"{self.__dict__['prefix']}{name}")


class _Noted:
    """The noted keys, shared by a config and its copies."""

    def __init__(self, keys: set[str]) -> None:
        self.keys = keys

    def __deepcopy__(self, memo: Any) -> _Noted:
        return self


def _watched_config(config: FlatConfig, read: set[str], changes: Mapping[str, Any] | None = None) -> CfgNode:
    """Returns a config as Detectron2 takes it, which adds to ``read`` every key that is read."""
    full = {**config, "SEED": max(config["SEED"], 0), **(changes or {})}
    return _watched(detectron2_config(TrialSpec("", 0, full, ""), "cpu"), read)


def _watched(cfg: CfgNode, keys: set[str], prefix: str = "") -> CfgNode:
    node = _Watched()
    for name, value in cfg.items():
        dict.__setitem__(node, name, _watched(value, keys, f"{prefix}{name}.") if isinstance(value, CfgNode) else value)
    node.__dict__.update(noted=_Noted(keys), prefix=prefix)
    return node


@contextlib.contextmanager
def _unfilled_weights() -> Iterator[None]:
    """Leaves weights as the memory has them and sets vectors (biases, norms) to zero, unless they get a constant."""
    constant = ("constant_", "zeros_", "ones_")
    names = [name for name in dir(torch.nn.init) if name.endswith("_") and name[0] != "_" and name not in constant]
    before = {name: getattr(torch.nn.init, name) for name in names}

    def fill(tensor: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return tensor.detach().zero_() if tensor.ndim <= 1 else tensor

    try:
        for name in names:
            setattr(torch.nn.init, name, fill)
        yield
    finally:
        for name, function in before.items():
            setattr(torch.nn.init, name, function)


def _described_model(model: torch.nn.Module) -> Iterator[Any]:
    for name, module in model.named_modules():
        yield name, type(module).__qualname__
        own = {key: value for key, value in vars(module).items() if key not in _OF_EVERY_MODULE}
        yield [(key, _plain(value, _DEPTH)) for key, value in sorted(own.items())]
        if hasattr(module, "loss_module"):
            yield _probed(module)
    for name, parameter in model.named_parameters():
        yield name, tuple(parameter.shape), parameter.requires_grad, _values(parameter)
    for name, buffer in model.named_buffers():
        yield name, tuple(buffer.shape), _values(buffer)


def _probed(predictor: Any) -> float:
    """Returns our loss on logits and labels that are always the same: it reads its settings when it is called."""
    classes = predictor.cls_score.out_features
    logits = torch.linspace(-3.0, 3.0, 4 * classes).sin().reshape(4, classes) * 2.0
    labels = torch.tensor([0, classes - 1, classes - 1, classes - 2])
    return float(predictor.loss_module.loss(logits, labels, predictor.head))


def _values(tensor: torch.Tensor) -> str:
    """Returns a hash of what a tensor holds; of a weight, which is not filled, nothing."""
    is_filled = tensor.ndim <= 1 or not isinstance(tensor, torch.nn.Parameter)
    return hashlib.sha256(tensor.detach().cpu().numpy().tobytes()).hexdigest() if is_filled else ""


def _plain(value: Any, depth: int) -> Any:
    """Returns a value as something whose ``repr`` says what it is, not where it is in memory."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if isinstance(value, torch.Tensor | np.ndarray):
        return tuple(value.shape), str(value.dtype), hashlib.sha256(np.asarray(value).tobytes()).hexdigest()
    if isinstance(value, torch.nn.Module | CfgNode) or depth == 0:
        return type(value).__qualname__
    if isinstance(value, Mapping):
        return [(str(key), _plain(item, depth - 1)) for key, item in value.items()]
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, depth - 1) for item in value]
    if isinstance(value, partial):
        return _plain([value.func, value.args, value.keywords], depth - 1)
    if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType | types.MethodType):
        return value.__qualname__
    parts = getattr(value, "__dict__", {})
    return type(value).__qualname__, [(key, _plain(item, depth - 1)) for key, item in sorted(parts.items())]
