"""The store: one folder for every trial, the truth about what was trained.

    results/trials/<label>-<signature>/
      trial.json                     the trial as a value: config, data, weights, seed
      config.yaml                    the same config as Detectron2 reads it
      status.json                    status, iteration, time, reason of a failure
      ended.json                     the same once more where the trial has ended: nothing else says that it was stopped
      writer.json                    token of the one process that may write here
      .writer.lock                   held while that changes hands, and while a status is written
      heartbeat.json                 where a running trial is between two evaluations; of no consequence
      evaluations/valid-00000300.json, .npz    metrics and boxes of every evaluation
      evaluations/test-00000300.json, .npz
      referee.json                   what pycocotools says of the metrics that count
      checkpoints/00000300.pth
      log.txt, events.out.tfevents.*

Everything is written atomically, an evaluation's boxes before its metrics. Status and evaluations carry a hash of
their content, an evaluation also that of its boxes. What is not as it was written is treated as not there, so that
damage costs the work behind it and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from agropest import files
from agropest.errors import StoreError, fault
from agropest.results.lock import held_alone
from agropest.results.sealed import read_sealed, sealed
from agropest.statistics.referee import Referee
from agropest.sweep.detectron2_keys import nest
from agropest.sweep.trial import TrialSpec

# libyaml's writes the same in a third of the time.
YAML_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

NEW, RUNNING, INTERRUPTED = "new", "running", "interrupted"
FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"
ENDED_WELL = (FINISHED, STOPPED)
# The reason of a trial that is interrupted until it gets a larger share.
OUT_OF_MEMORY = "out of GPU memory"
STATUSES = (NEW, RUNNING, INTERRUPTED, FINISHED, STOPPED, FAILED)

# The split name of the one validation with test-time augmentation, of the checkpoint that plain validation chose.
VALID_AUGMENTED = "valid_augmented"
WRITER_LOCK = ".writer.lock"


@dataclass(frozen=True)
class Status:
    """How a trial stands.

    Attributes:
        status: one of ``STATUSES``.
        iteration: iterations trained.
        time_s: seconds of training and evaluation, over all attempts.
        reason: of a failure or an early stop.
        notes: what a person should know, e.g. which layers were initialised afresh, retries.
        gpu_share: of a card that the trial was raised to when it ran out of memory; 0: never.
        stopped_for: the sweeps, each with its rule, that have stopped the trial early (``SweepSpec.stopper``): for any
            other it has not ended.
    """

    status: str = NEW
    iteration: int = 0
    time_s: float = 0.0
    reason: str = ""
    notes: tuple[str, ...] = ()
    gpu_share: float = 0.0
    stopped_for: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvaluationRecord:
    """One evaluation: ``metrics`` in percent under COCO's names (None where there is no ground truth).

    ``stored_at`` is in seconds since 1970: the order in which a sweep's trials were evaluated.
    """

    split: str
    iteration: int
    metrics: Mapping[str, float | None]
    num_boxes: int
    num_images: int
    time_s: float
    train_images_per_s: float = 0.0
    extra: Mapping[str, Any] = field(default_factory=dict)
    stored_at: float = 0.0

    @property
    def stem(self) -> str:
        """File name without its suffix."""
        return f"{self.split}-{self.iteration:08d}"


@dataclass(frozen=True)
class Heartbeat:
    """Where a running trial is, for those who watch; nothing is decided by it.

    Attributes:
        time: when it was written, seconds since 1970.
        images_per_s: trained lately.
        gpu_memory_gib: what the process has reserved on its cards; 0 without any.
    """

    iteration: int
    time: float
    images_per_s: float = 0.0
    gpu_memory_gib: float = 0.0


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

    def beside(self, signature: str) -> TrialFolder | None:
        """Returns the folder of another trial of the same store, to read, or None when it has none."""
        return next((TrialFolder(path) for path in sorted(self.path.parent.glob(f"*-{signature}"))), None)

    def claim(self) -> TrialFolder:
        """Returns this folder with the right to write: whoever held it before has lost it.

        A process that Ray gave up for dead may still be training. Its next write finds another token than its own, and
        it ends (:class:`LostClaim`): only one writer of a trial ever counts.
        """
        self._require_results_folder()
        token = uuid.uuid4().hex
        owner = {"token": token, "pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
        self.path.mkdir(exist_ok=True)
        with held_alone(self.path / WRITER_LOCK):
            files.write_json(self.path / "writer.json", owner)
        return TrialFolder(self.path, token)

    def is_being_written(self, known_only: bool = False) -> bool:
        """Returns whether the trial says that it is running, and its process is not known to have ended.

        Known is that only of processes of this machine.

        Args:
            known_only: whether a process of another machine counts as ended.
        """
        if self.status().status != RUNNING:
            return False
        owner = read_sealed(self.path / "writer.json") or {}
        if owner.get("host") != socket.gethostname():
            return not known_only
        return Path(f"/proc/{owner.get('pid')}").is_dir()

    def _require_results_folder(self) -> None:
        """A results folder that was removed under a running launch must not come back with next to nothing in it."""
        if not self.path.parent.is_dir():
            fix = "it was removed or unmounted; bring it back and launch again"
            raise StoreError(fault(str(self.path.parent), "expected the results folder", "no such folder", fix))

    def require_claim(self) -> None:
        """Checks that this process may write.

        Raises:
            LostClaim: another process has claimed the folder since.
            StoreError: the results folder is gone, or the claim cannot be read.
        """
        self._require_results_folder()
        owner = read_sealed(self.path / "writer.json")
        if self.token and owner is None:
            rule, fix = "expected this trial's claim", "it was removed or damaged; the trial starts again by itself"
            raise StoreError(fault(str(self.path / "writer.json"), rule, owner, fix))
        if not self.token or owner is None or owner.get("token") != self.token:
            raise LostClaim(fault(str(self.path), "expected to be this trial's writer", owner, "another one took over"))

    def write_spec(self, trial: TrialSpec, sweep: str = "") -> None:
        """Writes trial.json and config.yaml when they are not there yet.

        Args:
            sweep: whose launch runs the trial first.
        """
        if read_sealed(self.path / "trial.json") is None:
            tree = nest(trial.config)
            text = yaml.dump(tree, Dumper=YAML_DUMPER, sort_keys=True, allow_unicode=True)
            files.write_text(self.path / "config.yaml", text)
            files.write_json(self.path / "trial.json", {**asdict(trial), "signature": trial.signature, "sweep": sweep})

    def origin(self) -> tuple[str, str]:
        """Returns the sweep that ran the trial first, and the label it has there; empty where that is not known."""
        content = read_sealed(self.path / "trial.json") or {}
        return str(content.get("sweep", "")), str(content.get("label", ""))

    def remove_leftovers(self) -> None:
        """Removes the half-written files of a process that was killed; needs the claim."""
        self.require_claim()
        for path in self.path.rglob(".*.tmp"):
            path.unlink(missing_ok=True)

    def remove_checkpoints(self, but: Collection[int] = ()) -> None:
        """Removes every checkpoint but those of the given iterations; needs the claim."""
        self.require_claim()
        kept = self.checkpointed() & set(but)
        for path in sorted(self.checkpoints.glob("*")):  # .json before .pth: what has no seal is no checkpoint
            if not path.stem.isdecimal() or int(path.stem) not in kept:
                path.unlink(missing_ok=True)

    def checkpointed(self) -> set[int]:
        """Returns the iterations that have a checkpoint, whole or not."""
        return {int(path.stem) for path in self.checkpoints.glob("*.json") if path.stem.isdecimal()}

    def has_unsealed_checkpoint(self) -> bool:
        """Returns whether there are bytes of a checkpoint that was never finished."""
        return any(not path.with_suffix(".json").exists() for path in self.checkpoints.glob("*.pth"))

    def status(self) -> Status:
        """Returns the stored status; ``new`` when there is none."""
        return _status(self.path / "status.json") or _status(self.path / "ended.json") or Status()

    def write_status(self, status: Status) -> None:
        """Replaces the status; needs the claim, which nobody else gets before it is written."""
        with held_alone(self.path / WRITER_LOCK):
            self.require_claim()
            copy = self.path / "ended.json"
            if status.status in (*ENDED_WELL, FAILED):
                files.write_json(copy, sealed(asdict(status)))
            else:
                copy.unlink(missing_ok=True)
            files.write_json(self.path / "status.json", sealed(asdict(status)))

    def heartbeat(self) -> Heartbeat | None:
        """Returns the last heartbeat; it stays when the trial has ended."""
        try:
            return Heartbeat(**(read_sealed(self.path / "heartbeat.json") or {}))
        except TypeError:
            return None

    def write_heartbeat(self, heartbeat: Heartbeat) -> None:
        """Replaces the heartbeat; needs the claim. A power cut may lose it."""
        self.require_claim()
        text = json.dumps(asdict(heartbeat)).encode()
        files.write_with(self.path / "heartbeat.json", lambda file: file.write(text), durable=False)

    def write_evaluation(self, record: EvaluationRecord, save_boxes: Any) -> None:
        """Stores one evaluation; needs the claim.

        Args:
            record: the metrics.
            save_boxes: is called with the path of the .npz and writes it atomically.
        """
        self.require_claim()
        boxes = self.boxes_path(record)
        save_boxes(boxes)
        self.require_claim()  # boxes without metrics are no evaluation
        files.write_json(boxes.with_suffix(".json"), sealed({**asdict(record), "boxes": _fingerprint(boxes)}))

    def read_evaluations(self, split: str = "valid", check_boxes: bool = False) -> list[EvaluationRecord]:
        """Returns the stored evaluations of a split, by iteration; damaged ones are left out.

        Args:
            split: "valid", "test" or ``VALID_AUGMENTED``.
            check_boxes: whether the boxes are read and compared with their hash, too; else only their size is.
        """
        records = []
        for path in sorted(self.evaluations.glob(f"{split}-*.json")):
            with contextlib.suppress(OSError):
                state = path.stat()
                record, written = _evaluation(path, state.st_mtime_ns, state.st_size, state.st_ino)
                if record is not None and _are_whole(path.with_suffix(".npz"), written, check_boxes):
                    records.append(record)
        return records

    def write_referee(self, findings: Sequence[Referee]) -> None:
        """Stores what the referee says; needs the claim."""
        self.require_claim()
        files.write_json(self.path / "referee.json", [asdict(finding) for finding in findings])

    def has_whole_boxes(self, record: EvaluationRecord) -> bool:
        """Returns whether the boxes of an evaluation are as they were written."""
        boxes = self.boxes_path(record)
        try:
            return _are_whole(boxes, (read_sealed(boxes.with_suffix(".json")) or {}).get("boxes"), True)
        except OSError:
            return False

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
        self.root = files.without_tilde(root).resolve()
        self.trials = self.root / "trials"
        try:
            self.trials.mkdir(parents=True, exist_ok=True)
            files.write_text(self.trials / ".writable", "")
        except OSError as error:
            fix = "give another folder with --results, or make room there"
            raise StoreError(fault(str(self.root), "expected a folder to write to", error.strerror, fix)) from None
        self._identity = _identity(self.trials)
        self._by_signature = {path.name[-16:]: path for path in self.trials.iterdir() if path.is_dir()}

    def folder(self, trial: TrialSpec) -> TrialFolder:
        """Returns the trial's folder; a trial that another sweep trained under another label keeps that folder."""
        path = self._by_signature.setdefault(trial.signature, self.trials / trial.folder_name)
        return TrialFolder(path)

    def stands_at(self, trial: TrialSpec) -> Status:
        """Returns the trial's status, with at least its ancestor's iterations and seconds, which its own begin from."""
        status = self.folder(trial).status()
        if trial.ancestor is None:
            return status
        time_s = max(status.time_s, self.folder(trial.ancestor).status().time_s)
        return replace(status, iteration=max(status.iteration, trial.start_iter), time_s=time_s)

    def move_aside(self, trial: TrialSpec, target: Path) -> None:
        """Moves the trial's folder into ``target``; a process that still writes there loses its claim.

        Raises:
            OSError: it cannot be moved.
        """
        target.mkdir(parents=True, exist_ok=True)
        path = self._by_signature.pop(trial.signature, self.trials / trial.folder_name)
        path.rename(target / path.name)

    def is_there(self) -> bool:
        """Returns whether the folder is still the one that was opened: not removed, unmounted or replaced."""
        return _identity(self.trials) == self._identity

    def problem(self) -> str:
        """Returns the fault of a folder that is no longer the one that was opened; empty where it is."""
        if self.is_there():
            return ""
        fix = "it was removed, unmounted or replaced while the launch ran; bring it back and launch again"
        return fault(str(self.root), "expected the results folder to stay", "another or none", fix)

    def require_there(self) -> None:
        """Raises StoreError when the folder is no longer the one that was opened."""
        if problem := self.problem():
            raise StoreError(problem)

    def sweep_folder(self, name: str) -> Path:
        """Returns ``results/<sweep>``, where a sweep's tables are."""
        return self.root / name


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        state = folder.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino


def _status(path: Path) -> Status | None:
    content = read_sealed(path)
    lists = {name: tuple((content or {}).get(name, ())) for name in ("notes", "stopped_for")}
    try:
        status = Status(**{**(content or {}), **lists})
    except TypeError:
        return None
    return status if content and status.status in STATUSES else None


@lru_cache(maxsize=30_000)  # some 100 MB
def _evaluation(path: Path, *_state: int) -> tuple[EvaluationRecord | None, Any]:
    """Returns an evaluation, None where it is damaged, and what is known of its boxes.

    Evaluations are written once and read by everyone who looks at a sweep.

    Args:
        _state: of the file, which is read again when that has changed.
    """
    content = read_sealed(path) or {}
    written = content.pop("boxes", None)
    try:
        return EvaluationRecord(**content), written
    except TypeError:
        return None, written


def _are_whole(boxes: Path, written: Any, check_content: bool) -> bool:
    size = boxes.stat().st_size
    if not isinstance(written, dict):  # of a version that did not keep it
        return size > 0
    return size == written.get("bytes") and (not check_content or _fingerprint(boxes) == written)


def _fingerprint(boxes: Path) -> dict[str, Any]:
    content = boxes.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
