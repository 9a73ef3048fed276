"""The store: one folder for every trial, the truth about what was trained.

    results/trials/<label>-<signature>/
      trial.json                     the trial as a value: config, data, weights, seed
      config.yaml                    the same config as Detectron2 reads it
      status.json                    status, iteration, time, reason of a failure
      writer.json                    token of the one process that may write here
      evaluations/valid-00000300.json, .npz    metrics and boxes of every evaluation
      evaluations/test-00000300.json, .npz
      checkpoints/00000300.pth
      log.txt, events.out.tfevents.*

Everything is written atomically, an evaluation's boxes before its metrics: a JSON that is there is whole. What cannot
be read is treated as not there, so that damage costs the work behind it and nothing else.
"""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from agropest import files
from agropest.errors import StoreError, fault
from agropest.sweep.detectron2_keys import nest
from agropest.sweep.trial import TrialSpec

NEW, RUNNING, INTERRUPTED = "new", "running", "interrupted"
FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"
ENDED_WELL = (FINISHED, STOPPED)
STATUSES = (NEW, RUNNING, INTERRUPTED, FINISHED, STOPPED, FAILED)

# The split name of the one validation with test-time augmentation, of the checkpoint that plain validation chose.
VALID_AUGMENTED = "valid_augmented"


@dataclass(frozen=True)
class Status:
    """How a trial stands.

    Attributes:
        status: one of ``STATUSES``.
        iteration: iterations trained.
        time_s: seconds of training and evaluation, over all attempts.
        reason: of a failure or an early stop.
        notes: what a person should know, e.g. which layers were initialised afresh, retries.
    """

    status: str = NEW
    iteration: int = 0
    time_s: float = 0.0
    reason: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvaluationRecord:
    """One evaluation: ``metrics`` in percent under COCO's names (None where there is no ground truth)."""

    split: str
    iteration: int
    metrics: Mapping[str, float | None]
    num_boxes: int
    num_images: int
    time_s: float
    train_images_per_s: float = 0.0
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """File name without its suffix."""
        return f"{self.split}-{self.iteration:08d}"


class TrialFolder:
    """One trial's folder.

    Args:
        path: the folder; need not exist.
        token: of the writer that :meth:`claim` made; a reader has none.
    """

    def __init__(self, path: Path, token: str = "") -> None:
        self.path, self.token = Path(path), token
        self.checkpoints = self.path / "checkpoints"
        self.evaluations = self.path / "evaluations"
        self.log = self.path / "log.txt"

    def claim(self) -> TrialFolder:
        """Returns this folder with the right to write: whoever held it before has lost it.

        A process that Ray gave up for dead may still be training. Its next write finds another token than its own, and
        it ends (:class:`LostClaim`): only one writer of a trial ever counts.
        """
        token = uuid.uuid4().hex
        owner = {"token": token, "pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
        files.write_json(self.path / "writer.json", owner)
        return TrialFolder(self.path, token)

    def require_claim(self) -> None:
        """Raises :class:`LostClaim` when another process has claimed the folder since."""
        owner = _read(self.path / "writer.json")
        if not self.token or owner is None or owner.get("token") != self.token:
            raise LostClaim(fault(str(self.path), "expected to be this trial's writer", owner, "another one took over"))

    def write_spec(self, trial: TrialSpec) -> None:
        """Writes trial.json and config.yaml when they are not there yet."""
        if _read(self.path / "trial.json") is None:
            tree = nest(trial.config)
            files.write_text(self.path / "config.yaml", yaml.safe_dump(tree, sort_keys=True, allow_unicode=True))
            files.write_json(self.path / "trial.json", {**asdict(trial), "signature": trial.signature})

    def status(self) -> Status:
        """Returns the stored status; ``new`` when there is none."""
        content = _read(self.path / "status.json")
        try:
            status = Status(**{**(content or {}), "notes": tuple((content or {}).get("notes", ()))})
        except TypeError:
            return Status()
        return status if status.status in STATUSES else Status()

    def write_status(self, status: Status) -> None:
        """Replaces the status; needs the claim."""
        self.require_claim()
        files.write_json(self.path / "status.json", asdict(status))

    def write_evaluation(self, record: EvaluationRecord, save_boxes: Any) -> None:
        """Stores one evaluation; needs the claim.

        Args:
            record: the metrics.
            save_boxes: is called with the path of the .npz and writes it atomically.
        """
        self.require_claim()
        save_boxes(self.evaluations / f"{record.stem}.npz")
        files.write_json(self.evaluations / f"{record.stem}.json", asdict(record))

    def read_evaluations(self, split: str = "valid") -> list[EvaluationRecord]:
        """Returns the stored evaluations of a split, by iteration; unreadable ones are left out."""
        records = []
        for path in sorted(self.evaluations.glob(f"{split}-*.json")):
            content = _read(path)
            try:
                if content is not None and path.with_suffix(".npz").stat().st_size > 0:
                    records.append(EvaluationRecord(**content))
            except (TypeError, OSError):
                continue  # damaged: the trainer evaluates again when it comes by
        return records

    def boxes_path(self, record: EvaluationRecord) -> Path:
        """Returns where the boxes of an evaluation are."""
        return self.evaluations / f"{record.stem}.npz"


class LostClaim(StoreError):
    """Another process has taken over this trial; this one must end without writing."""


class Store:
    """The results folder.

    Args:
        root: the folder; is made when missing.

    Raises:
        StoreError: it cannot be made or written to.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root).expanduser().resolve()
        self.trials = self.root / "trials"
        try:
            self.trials.mkdir(parents=True, exist_ok=True)
            files.write_text(self.trials / ".writable", "")
        except OSError as error:
            fix = "give another folder with --results, or make room there"
            raise StoreError(fault(str(self.root), "expected a folder to write to", error.strerror, fix)) from None
        self._by_signature = {path.name[-16:]: path for path in self.trials.iterdir() if path.is_dir()}

    def folder(self, trial: TrialSpec) -> TrialFolder:
        """Returns the trial's folder; a trial that another sweep trained under another label keeps that folder."""
        path = self._by_signature.setdefault(trial.signature, self.trials / trial.folder_name)
        return TrialFolder(path)

    def sweep_folder(self, name: str) -> Path:
        """Returns ``results/<sweep>``, where a sweep's tables are."""
        return self.root / name


def _read(path: Path) -> Any:
    """Returns the JSON mapping in a file, or None when there is none to read."""
    try:
        content = files.read_json(path)
    except (OSError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return content if isinstance(content, dict) else None
