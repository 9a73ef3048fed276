"""The variants of several sweeps in one ranking, where they were evaluated on the same validation images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agropest.analysis.compared import Comparison
from agropest.analysis.ranking import RankedTrial, rank_trials
from agropest.analysis.sweep_comparison import compare_trials
from agropest.errors import StoreError, fault, nearest
from agropest.statistics.bootstrap import RESAMPLES
from agropest.statistics.detections.boxes import GroundTruth
from agropest.store.store import Store
from agropest.store.sweep_record import SweepRecord, read_sweep_record
from agropest.store.upkeep.results_root import results_root
from agropest.sweep.trial import TrialSpec


@dataclass(frozen=True)
class SweepsCompared:
    """Several sweeps compared as one; a variant is named ``<sweep>: <variant>``.

    Attributes:
        notes: what a reader must know beside the comparison.
    """

    comparison: Comparison
    trials: tuple[RankedTrial, ...]
    notes: tuple[str, ...]


def compare_sweeps(
    folders: Sequence[Path], metric: str = "", baseline: str = "", resamples: int = RESAMPLES
) -> SweepsCompared:
    """Returns one comparison of all variants.

    Args:
        folders: of the sweeps, two or more.
        metric: that all are ranked by; empty: the sweeps', which must be the same.
        baseline: ``<sweep>: <variant>``; empty: the first sweep's baseline.

    Raises:
        StoreError: they have no common metric or no common validation images, or no variant has that name.
    """
    if len({Path(folder).resolve() for folder in folders}) < len(folders):
        twice, different = ", ".join(map(str, folders)), list(dict.fromkeys(map(str, folders)))
        fix = f"give each of them once: {' '.join(different)}"
        if len(different) < 2:
            fix = "name another one beside it; what one sweep says of its own variants is on its page"
        raise StoreError(fault("compare", "expected different sweeps", twice, fix))
    roots = [results_root(folder) for folder in folders]
    records = [read_sweep_record(folder, root) for folder, root in zip(folders, roots, strict=True)]
    if len({record.name for record in records}) < len(records):  # of two results folders
        records = [replace(record, name=str(folder)) for record, folder in zip(records, folders, strict=True)]
    store = Store(roots[0])
    for root in roots[1:]:
        store.read_also(Store(root))
    truths, notes = _common_truths(records)
    metric = metric or _common_metric(records)
    trials, same = _named(records)
    names = list(dict.fromkeys(trial.label for trial in trials))
    first = baseline or f"{records[0].name}: {records[0].baseline}"
    if first not in names:
        raise StoreError(fault("--baseline", "expected <sweep>: <variant>", baseline, nearest(baseline, names)))
    if len({trial.data for trial in trials}) > 1:
        notes.append("The sweeps trained on different images: a difference may be the data's.")
    comparison = compare_trials(trials, store, truths, metric, first, resamples=resamples)
    ranked = rank_trials(trials, store, metric, comparison.damaged)
    return SweepsCompared(comparison, tuple(ranked), (*notes, *same))


def _common_metric(records: Sequence[SweepRecord]) -> str:
    metrics = {record.name: record.metric for record in records}
    if len(set(metrics.values())) > 1:
        found = ", ".join(f"{metric} ({name})" for name, metric in metrics.items())
        raise StoreError(fault("compare", "expected sweeps of one metric", found, "say which with --metric"))
    return records[0].metric


def _common_truths(records: Sequence[SweepRecord]) -> tuple[dict[str, GroundTruth], list[str]]:
    """Returns the ground truth that all sweeps have in common, and what is left out because it differs."""
    all_truths = [record.ground_truths() for record in records]
    for record, truths in zip(records[1:], all_truths[1:], strict=True):
        if truths["valid"].to_coco() != all_truths[0]["valid"].to_coco():
            pair = f"{records[0].name} ({_size(records[0])}) and {record.name} ({_size(record)})"
            fix = "AP on different images cannot be compared: launch one of them on the other's data set (--data)"
            raise StoreError(fault("compare", "expected the same validation images and boxes", pair, fix))
    tests = [truths["test"].to_coco() for truths in all_truths if "test" in truths]
    if len(tests) == len(all_truths) and all(test == tests[0] for test in tests):
        return all_truths[0], []
    notes = ["The sweeps have no test images in common: only validation is compared."] if tests else []
    return {"valid": all_truths[0]["valid"]}, notes


def _size(record: SweepRecord) -> str:
    split = record.splits["valid"]
    return f"{record.data_name}: {split.num_images} images, {split.num_boxes} boxes"


def _named(records: Sequence[SweepRecord]) -> tuple[list[TrialSpec], list[str]]:
    """Returns the trials under their sweep's name, and which variants are the same trainings as another's."""
    trials: list[TrialSpec] = []
    known: dict[frozenset[str], str] = {}
    same: list[str] = []
    for record in records:
        by_label: dict[str, list[TrialSpec]] = {}
        for trial in record.trials:
            by_label.setdefault(trial.label, []).append(trial)
        for label, own in by_label.items():
            name = f"{record.name}: {label}"
            first = known.setdefault(frozenset(trial.signature for trial in own), name)
            if first == name:
                trials += [replace(trial, label=name, levels={}) for trial in own]
            else:
                same.append(f"{name} is the same training as {first}.")
    return trials, same
