"""What a sweep was, kept beside its tables: results/<sweep>/sweep.json, from which everything can be exported again.

The launch writes it before anything trains. It holds the trials as values, so that neither the YAML nor the data set's
folder is needed to rank, compare and draw; the ground truth is found in results/data, the pictures where they were.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from agropest import __version__, files
from agropest.data.dataset import Dataset, Split
from agropest.errors import StoreError, fault
from agropest.machine import this_machine
from agropest.statistics.detections.boxes import GroundTruth
from agropest.store.checksummed import checksummed, verified
from agropest.store.store import Store
from agropest.store.upkeep.results_root import results_root
from agropest.sweep.command_line.run import AS_IT_IS, Run
from agropest.sweep.history import SEGMENT_END_KEY, read_history, stored_history
from agropest.sweep.sections.guard import Guard
from agropest.sweep.sections.reference import Reference
from agropest.sweep.spec import SweepSpec
from agropest.sweep.trial import EvaluatedCheckpoint, TrialSpec

RECORD = "sweep.json"
FORMAT = 1
PACKAGES = ("torch", "torchvision", "detectron2", "pb1-detectron2", "ray", "numpy", "pillow", "hotcoco", "timm")


@dataclass(frozen=True)
class SplitRecord:
    """Where a split was: its COCO JSON and what ``file_name`` in it is relative to."""

    annotations: Path
    image_root: Path
    num_images: int
    num_boxes: int


@dataclass(frozen=True)
class SweepRecord:
    """A sweep as it was launched.

    Attributes:
        trials: as values; resources are left out, ``resources`` has them in words, by trial name.
        stop: method of early stopping, ``none`` where there was none.
        launched: when, in ISO 8601, UTC.
        environment: versions and devices, for people.
        reference: published figures to show beside the measured ones.
        looks: with how many seeds the results are looked at while seeds are added; empty: once, at the end.
        indifference: differences that are smaller do not matter.
        changes: what this launch changed in its sweep file's question (:mod:`agropest.sweep.command_line.run`).
        sweep: the name in the sweep file; empty: an older version did not store it.
        fingerprint: of the data set; empty: an older version did not store it.
    """

    name: str
    question: str
    baseline: str
    metric: str
    design: str
    stop: str
    guards: tuple[Guard, ...]
    trials: tuple[TrialSpec, ...]
    resources: Mapping[str, str]
    data_name: str
    class_names: tuple[str, ...]
    splits: Mapping[str, SplitRecord]
    launched: str
    environment: Mapping[str, str] = field(default_factory=dict)
    reference: Reference = field(default_factory=Reference)
    looks: tuple[int, ...] = ()
    indifference: float = 0.0
    changes: tuple[str, ...] = ()
    sweep: str = ""
    fingerprint: str = ""

    @property
    def title(self) -> str:
        """The question, or the name where no question was asked."""
        return self.question or self.name

    def ground_truths(self) -> dict[str, GroundTruth]:
        """Returns the ground truth of validation, and of test where there is one.

        Raises:
            DataError: it is not there any more.
            ChangedInput: it is not as it was converted.
        """
        return {
            name: GroundTruth.from_coco(self.splits[name].annotations)
            for name in ("valid", "test")
            if name in self.splits
        }


def describe_sweep(
    spec: SweepSpec,
    trials: Sequence[TrialSpec],
    dataset: Dataset,
    others: Mapping[str, Split] | None = None,
    run: Run = AS_IT_IS,
) -> SweepRecord:
    """Returns the record of a sweep that is about to be launched on this machine.

    Args:
        others: training splits beside the data set's own, by their words.
        run: which launch of the sweep file it is.
    """
    return SweepRecord(
        name=spec.name,
        question=spec.question,
        baseline=spec.baseline,
        metric=spec.metric,
        design=spec.design,
        stop=spec.stop.method,
        guards=spec.guards,
        trials=tuple(trials),
        resources={trial.name: trial.resources.in_words() for trial in trials},
        data_name=dataset.root.name,
        class_names=dataset.class_names,
        splits={
            name: SplitRecord(split.annotations, split.image_root, split.num_images, split.num_boxes)
            for name, split in {**dataset.splits, **(others or {})}.items()
        },
        launched=datetime.now(UTC).isoformat(timespec="seconds"),
        environment=environment(),
        reference=spec.reference,
        looks=spec.seed_rule.looks,
        indifference=spec.indifference,
        changes=run.changes,
        sweep=run.sweep,
        fingerprint=dataset.fingerprint,
    )


def environment() -> dict[str, str]:
    """Returns versions of what decides the numbers, and the devices of this machine; nothing heavy is imported."""
    machine = this_machine()
    versions = {"agropest": __version__, "Python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    cards = ", ".join(f"{card.name} ({card.memory_bytes / 2**30:.0f} GiB)" for card in machine.cards)
    return {**versions, "CPU": f"{machine.cpu}, {machine.num_cores} cores", "GPU": cards or "none"}


def write_sweep_record(record: SweepRecord, store: Store) -> Path:
    """Writes results/<sweep>/sweep.json, atomically, and returns where."""
    base = next((trial.config for trial in record.trials if trial.label == record.baseline), {})
    content = {
        "format": FORMAT,
        **{key: getattr(record, key) for key in ("name", "question", "baseline", "metric", "design", "stop")},
        "guards": [asdict(guard) for guard in record.guards],
        "launched": record.launched,
        "looks": list(record.looks),
        "indifference": record.indifference,
        "changes": list(record.changes),
        "sweep": record.sweep,
        "results": str(store.root),
        "data": {
            "name": record.data_name,
            "fingerprint": record.fingerprint,
            "class_names": list(record.class_names),
            "splits": {
                name: {
                    "annotations": _relative(split.annotations, store.root),
                    "image_root": _relative(split.image_root, store.root),
                    "num_images": split.num_images,
                    "num_boxes": split.num_boxes,
                }
                for name, split in record.splits.items()
            },
        },
        "environment": dict(record.environment),
        "reference": asdict(record.reference),
        "baseline_config": dict(base),
        "trials": [_trial_content(trial, base, record.resources.get(trial.name, "")) for trial in record.trials],
    }
    path = store.sweep_folder(record.name) / RECORD
    files.write_json(path, checksummed(content))
    return path


def read_sweep_record(folder: Path, results: Path | None = None) -> SweepRecord:
    """Returns the record in results/<sweep>.

    Args:
        folder: of the sweep.
        results: that its trials and annotations are in; None: as ``results_root`` finds it.

    Raises:
        StoreError: there is none, or it is damaged.
    """
    path = Path(folder) / RECORD
    fix = "give results/<sweep> of a sweep that was launched; launching it again (nothing is trained twice) writes it"
    try:
        # Unlike read_checksummed this tells a file that is not there from one that is damaged.
        content = verified(files.read_json(path))
        if content["format"] != FORMAT:
            raise StoreError(fault(str(path), f"expected format {FORMAT}", content["format"], fix))
        return _record(content, results or results_root(folder))
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(fault(str(path), "expected the record of a sweep", error.strerror, fix)) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        cause = f"{type(error).__name__}: {error}"
        raise StoreError(fault(str(path), "expected the record of a sweep", cause, fix)) from None


def _trial_content(trial: TrialSpec, base: Mapping[str, Any], resources: str) -> dict[str, Any]:
    """Returns a trial as its differences from the baseline's config: 50 whole configs would be megabytes."""
    return {
        "label": trial.label,
        "seed": trial.seed,
        "signature": trial.signature,
        "config": {key: value for key, value in trial.config.items() if key not in base or base[key] != value},
        "without": [key for key in base if key not in trial.config],
        "data": trial.data,
        "weights": trial.weights,
        "training_version": trial.training_version,
        "code": trial.code,
        "overrides": dict(trial.overrides),
        "levels": dict(trial.levels),
        "resources": resources,
        **(stored_history(trial.history, trial.segment_end) if trial.segment_end else {}),
        **({"evaluates": asdict(trial.evaluates)} if trial.evaluates is not None else {}),
    }


def _record(content: Mapping[str, Any], root: Path) -> SweepRecord:
    data = content["data"]
    base = content["baseline_config"]
    return SweepRecord(
        **{key: str(content[key]) for key in ("name", "question", "baseline", "metric", "design", "stop", "launched")},
        guards=tuple(Guard(**guard) for guard in content["guards"]),
        trials=tuple(_trial(trial, base) for trial in content["trials"]),
        resources={f"{one['label']}/s{one['seed']}": str(one["resources"]) for one in content["trials"]},
        data_name=str(data["name"]),
        class_names=tuple(data["class_names"]),
        splits={
            name: SplitRecord(
                root / split["annotations"], root / split["image_root"], split["num_images"], split["num_boxes"]
            )
            for name, split in data["splits"].items()
        },
        environment={str(key): str(value) for key, value in content["environment"].items()},
        reference=Reference(**content["reference"]),
        looks=tuple(looks) if isinstance(looks := content.get("looks"), list) else (),  # once it was their number
        indifference=float(content.get("indifference", 0.0)),
        changes=tuple(content.get("changes", ())),
        sweep=str(content.get("sweep", "")),
        fingerprint=str(data.get("fingerprint", "")),
    )


def _trial(content: Mapping[str, Any], base: Mapping[str, Any]) -> TrialSpec:
    config = {key: value for key, value in {**base, **content["config"]}.items() if key not in content["without"]}
    trial = TrialSpec(
        label=content["label"],
        seed=content["seed"],
        config=config,
        data=content["data"],
        weights=content["weights"],
        training_version=content["training_version"],
        overrides=content["overrides"],
        levels=content["levels"],
        history=read_history(content),
        segment_end=content.get(SEGMENT_END_KEY, 0),
        code=content.get("code", ""),
        evaluates=EvaluatedCheckpoint(**content["evaluates"]) if "evaluates" in content else None,
    )
    if trial.signature != content["signature"]:
        raise ValueError(f"trial {trial.name} has signature {trial.signature}, not {content['signature']}")
    return trial


def _relative(path: Path, root: Path) -> str:
    """Returns a path below the results folder relative to it, so that the folder may be moved; else as it is."""
    path = Path(path).resolve()
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
