"""The training sets of a sweep, each as a data set of its own, and all with one validation and one test split.

A ranking compares what was measured on the same pictures. So validation and test are those of the first version of the
data, whatever the others hold; and no version may train on a picture of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agropest import files
from agropest.data.annotations import require_as_converted
from agropest.data.dataset import Dataset, Split
from agropest.data.training_sets.selection import TrainingSelection, chosen_part
from agropest.errors import DataError, fault

# Raise this when the same share would choose other pictures.
SELECTION_VERSION = 1
EVALUATED = ("valid", "test")


@dataclass(frozen=True)
class TrainingSets:
    """What the variants of a sweep train on.

    Attributes:
        base: the first version, by which all are validated and tested.
        others: what is not its whole training split, by :meth:`TrainingSelection.in_words`.
        remarks: what a person must know of the versions' own validation and test splits.
    """

    base: Dataset
    others: Mapping[str, Dataset] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def of(self, config: Mapping[str, Any]) -> Dataset:
        """Returns the data set that a trial with this effective config trains on."""
        return self.others.get(str(config["DATASETS.TRAIN"][0]), self.base)

    @property
    def fingerprints(self) -> dict[str, str]:
        """The fingerprints of the others, by their words."""
        return {words: dataset.fingerprint for words, dataset in self.others.items()}

    @property
    def train_paths(self) -> dict[str, tuple[Path, Path]]:
        """The annotations and the images' folder of the others' training splits, by their words."""
        return {words: dataset.paths["train"] for words, dataset in self.others.items()}

    @property
    def splits(self) -> dict[str, Split]:
        """The splits of the base, and the training split of each other by its words."""
        return {**self.base.splits, **{words: dataset.splits["train"] for words, dataset in self.others.items()}}


def open_training_sets(
    selections: Iterable[TrainingSelection], base: Dataset, versions: Mapping[str, Dataset]
) -> TrainingSets:
    """Returns what a sweep trains on; a share is written beside the conversion that it is of.

    Args:
        selections: of the variants.
        base: the first version.
        versions: the others by name, converted.

    Raises:
        DataError: a version has other classes, or trains on pictures that are validated or tested on.
    """
    faults = [text for name, dataset in versions.items() for text in _faults(name, dataset, base)]
    if faults:
        raise DataError(*faults)
    whole = {name: _validated_by(base, dataset) for name, dataset in versions.items()}
    others = {}
    for selection in dict.fromkeys(selections):
        dataset = whole[selection.version] if selection.version else base
        if selection.version or not selection.is_whole:
            others[selection.in_words()] = dataset if selection.is_whole else _share_of(dataset, selection)
    remarks = [text for name, dataset in versions.items() for text in _remarks(name, dataset, base)]
    return TrainingSets(base, others, tuple(remarks))


def _faults(name: str, dataset: Dataset, base: Dataset) -> list[str]:
    """Returns what keeps a version from being compared with the first one."""
    where = f"data.{name}"
    if dataset.class_names != base.class_names:
        only = sorted(set(dataset.class_names) ^ set(base.class_names)) or "another order"
        rule = "expected the classes of the first version, in its order: AP is the mean over them"
        return [fault(where, rule, only, "map the classes of one onto those of the other")]
    trained = set(_pictures(dataset, "train").values())
    found = []
    for split in EVALUATED:
        shared = sorted(path for path, digest in _pictures(base, split).items() if digest in trained)
        if shared:
            rule = f"expected no picture of the first version's {split} among its training pictures"
            value = f"{len(shared)} of {base.splits[split].num_images}, such as {shared[0]}"
            fix = f"take them out of {dataset.root}: what is measured on them says nothing"
            found.append(fault(where, rule, value, fix))
    return found


def _remarks(name: str, dataset: Dataset, base: Dataset) -> list[str]:
    """Returns where a version's own validation and test splits are others than the first version's."""
    found = []
    for split in EVALUATED:
        ours, theirs = (set(_pictures(one, split).values()) for one in (base, dataset))
        if split in dataset.splits and not _is_same(dataset, base, split):
            words = f"{len(ours & theirs)} of its {len(theirs)} pictures are"
            value = f"{words} in the first version's" if ours != theirs else "the same pictures with other annotations"
            found.append(f"data.{name}: its own {split} split is not used ({value}): all variants share the first's")
    sources = {image["source"] for split in EVALUATED for image in _images(base, split)}
    copies = {image["source"] for image in _images(dataset, "train")} & sources
    if copies:
        found.append(
            f"data.{name}: {len(copies)} source pictures of its train split have copies in the first version's "
            "validation or test (the stem before .rf.): AP of its variants is too high"
        )
    return found


def _validated_by(base: Dataset, dataset: Dataset) -> Dataset:
    """Returns a version with the first one's validation and test splits.

    Where these are the same files, its fingerprint stays, so that its trials are those of a sweep on it alone.
    """
    splits = {**{name: base.splits[name] for name in EVALUATED if name in base.splits}}
    if all(_is_same(dataset, base, name) for name in EVALUATED):
        return dataset
    value = f"train of {dataset.fingerprint}, validated and tested by {base.fingerprint}"
    joined = {"train": dataset.splits["train"], **splits}
    return replace(dataset, splits=joined, fingerprint=hashlib.sha256(value.encode()).hexdigest())


def _is_same(dataset: Dataset, base: Dataset, split: str) -> bool:
    """Returns whether a split has the same names, pictures and annotations in both."""
    if split not in dataset.splits or split not in base.splits:
        return split not in dataset.splits and split not in base.splits
    one, two = (files.read_json(some.splits[split].annotations) for some in (dataset, base))
    return bool(one == two)


def _share_of(dataset: Dataset, selection: TrainingSelection) -> Dataset:
    """Returns a data set whose training split is a share of another's, and writes its annotations."""
    train = dataset.splits["train"]
    require_as_converted(train.annotations)
    content = chosen_part(files.read_json(train.annotations), selection.share, selection.seed)
    stem = f"train-{selection.share!r}-{selection.seed}"
    folder = train.annotations.parent.parent / "shares"
    path = folder / stem / "annotations" / f"{stem}.json"
    _write(path, content)
    split = Split("train", path, train.image_root, len(content["images"]), len(content["annotations"]))
    value = f"{dataset.fingerprint} share {selection.share!r} seed {selection.seed} selection {SELECTION_VERSION}"
    fingerprint = hashlib.sha256(value.encode()).hexdigest()
    return replace(dataset, splits={**dataset.splits, "train": split}, fingerprint=fingerprint)


def _write(path: Path, content: dict[str, Any]) -> None:
    """Writes annotations and their hash, as a conversion has them; what is there and the same is left alone."""
    files.write_json(path, content, indent=None)
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    files.write_json(path.parent.parent / "dataset.json", {"splits": {path.stem: {"sha256": digest}}})


def _images(dataset: Dataset, split: str) -> list[dict[str, Any]]:
    if split not in dataset.splits:
        return []
    images: list[dict[str, Any]] = files.read_json(dataset.splits[split].annotations)["images"]
    return images


def _pictures(dataset: Dataset, split: str) -> dict[str, str]:
    """Returns the SHA-256 of each picture of a split, by its file name."""
    return {image["file_name"]: image["sha256"] for image in _images(dataset, split)}
