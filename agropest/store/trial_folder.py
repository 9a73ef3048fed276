"""A trial's folder: everything that is stored of one trial, and the right to write there.

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
      log.txt, losses.csv, events.out.tfevents.*

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
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from agropest import files
from agropest.errors import StoreError, fault
from agropest.statistics.accuracy.referee import Referee
from agropest.store.checksummed import checksummed, read_checksummed
from agropest.store.lock import held_alone
from agropest.store.records import EvaluationRecord, Heartbeat, Status, TrialState, read_evaluation, read_status
from agropest.sweep.detectron2_keys import nest
from agropest.sweep.history import stored_history
from agropest.sweep.trial import TrialSpec

# libyaml's writes the same in a third of the time.
YAML_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
WRITER_LOCK = ".writer.lock"


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
        if self.status().status != TrialState.RUNNING:
            return False
        owner = read_checksummed(self.path / "writer.json") or {}
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
        owner = read_checksummed(self.path / "writer.json")
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
        if read_checksummed(self.path / "trial.json") is None:
            tree = nest(trial.config)
            text = yaml.dump(tree, Dumper=YAML_DUMPER, sort_keys=True, allow_unicode=True)
            files.write_text(self.path / "config.yaml", text)
            content = {**asdict(trial), **stored_history(trial.history, trial.segment_end)}
            del content["history"], content["segment_end"]
            if trial.evaluates is None:
                del content["evaluates"]
            content |= {"signature": trial.signature, "sweep": sweep}
            files.write_json(self.path / "trial.json", checksummed(content))

    def origin(self) -> tuple[str, str]:
        """Returns the sweep that ran the trial first, and the label it has there; empty where that is not known."""
        content = read_checksummed(self.path / "trial.json") or {}
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
        for path in sorted(self.checkpoints.glob("*")):  # .json before .pth: what has no checksum is no checkpoint
            if not path.stem.isdecimal() or int(path.stem) not in kept:
                path.unlink(missing_ok=True)

    def checkpointed(self) -> set[int]:
        """Returns the iterations that have a checkpoint, whole or not."""
        return {int(path.stem) for path in self.checkpoints.glob("*.json") if path.stem.isdecimal()}

    def has_intact_checkpoint(self, iteration: int) -> bool:
        """Returns whether the checkpoint of an iteration is there as it was written; reads all of it."""
        path = self.checkpoints / f"{iteration:08d}.pth"
        try:
            checksum = files.read_json(path.with_suffix(".json"))
            with open(path, "rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except (OSError, ValueError):
            return False
        return isinstance(checksum, dict) and checksum.get("sha256") == found

    def has_unfinished_checkpoint(self) -> bool:
        """Returns whether there are bytes of a checkpoint that was never finished."""
        return any(not path.with_suffix(".json").exists() for path in self.checkpoints.glob("*.pth"))

    def status(self) -> Status:
        """Returns the stored status; ``new`` when there is none."""
        return read_status(self.path / "status.json") or read_status(self.path / "ended.json") or Status()

    def write_status(self, status: Status) -> None:
        """Replaces the status; needs the claim, which no other process gets before it is written."""
        with held_alone(self.path / WRITER_LOCK):
            self.require_claim()
            copy = self.path / "ended.json"
            if status.status.has_ended:
                files.write_json(copy, checksummed(asdict(status)))
            else:
                copy.unlink(missing_ok=True)
            files.write_json(self.path / "status.json", checksummed(asdict(status)))

    def heartbeat(self) -> Heartbeat | None:
        """Returns the last heartbeat; it stays when the trial has ended."""
        try:
            return Heartbeat(**(read_checksummed(self.path / "heartbeat.json") or {}))
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
        files.write_json(boxes.with_suffix(".json"), checksummed({**asdict(record), "boxes": _fingerprint(boxes)}))

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
                record, written = read_evaluation(path, state.st_mtime_ns, state.st_size, state.st_ino)
                if record is not None and _are_intact(path.with_suffix(".npz"), written, check_boxes):
                    records.append(record)
        return records

    def write_referee(self, findings: Sequence[Referee]) -> None:
        """Stores what the referee says; needs the claim."""
        self.require_claim()
        files.write_json(self.path / "referee.json", [asdict(finding) for finding in findings])

    def has_intact_boxes(self, record: EvaluationRecord) -> bool:
        """Returns whether the boxes of an evaluation are as they were written."""
        boxes = self.boxes_path(record)
        try:
            return _are_intact(boxes, (read_checksummed(boxes.with_suffix(".json")) or {}).get("boxes"), True)
        except OSError:
            return False

    def boxes_path(self, record: EvaluationRecord) -> Path:
        """Returns where the boxes of an evaluation are."""
        return self.evaluations / f"{record.stem}.npz"


class LostClaim(StoreError):
    """Another process has taken over this trial; this one must end without writing."""


def _are_intact(boxes: Path, written: Any, check_content: bool) -> bool:
    size = boxes.stat().st_size
    if not isinstance(written, dict):  # of a version that did not keep it
        return size > 0
    return size == written.get("bytes") and (not check_content or _fingerprint(boxes) == written)


def _fingerprint(boxes: Path) -> dict[str, Any]:
    content = boxes.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
