"""Which trained model is meant by ``SWEEP[/variant[/seed]]``, and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agropest import files
from agropest.analysis.compared import Comparison
from agropest.analysis.ranking import RankedTrial, rank_trials
from agropest.errors import StoreError, fault, nearest
from agropest.statistics.accuracy.metric import basis_of, metric_value
from agropest.statistics.detections.matching import read_targets
from agropest.statistics.inference import Estimate, estimate
from agropest.statistics.sums import mean_over_seeds
from agropest.statistics.trainings import trainings_of
from agropest.store.chosen import chosen_evaluation
from agropest.store.records import EvaluationRecord, TrialState
from agropest.store.replicate_cache import TEST, read_replicates
from agropest.store.store import Store
from agropest.store.sweep_record import RECORD, SplitRecord, SweepRecord
from agropest.store.upkeep.sweep_names import nearest_sweep
from agropest.sweep.frameworks.command import is_command
from agropest.sweep.trial import TrialSpec

MOST_CHECKED = 8  # pictures on which a model is checked or measured


@dataclass(frozen=True)
class ModelAddress:
    """A sweep's folder, and which of its variants and seeds is meant; None: the best one."""

    sweep: Path
    variant: str | None = None
    seed: int | None = None


@dataclass(frozen=True)
class ChosenModel:
    """One trained model of a sweep.

    Attributes:
        folder: of its trial.
        evaluation: on validation, of the checkpoint that is meant.
        checkpoint: that file; it may be gone.
        status: of the trial.
        rank: of its variant; None where the variant has not finished.
        tied: variants that are not distinguishable from the best, this one's among them or not.
    """

    trial: TrialSpec
    folder: Path
    evaluation: EvaluationRecord
    checkpoint: Path
    status: str
    rank: int | None
    tied: tuple[str, ...] = ()


def parse_address(text: str, results: Path) -> ModelAddress:
    """Returns what ``SWEEP[/variant[/seed]]`` means: SWEEP is a folder, or a name in the results folder.

    Raises:
        StoreError: there is no such sweep, or the seed is no number.
    """
    path = Path(text)
    for count in range(3):
        rest = path.parts[len(path.parts) - count :]
        folder = Path(*path.parts[: len(path.parts) - count])
        for candidate in (folder, results / folder):
            if folder.parts and (candidate / RECORD).is_file():
                return ModelAddress(candidate, *_variant_and_seed(text, rest))
    rule = f"expected the folder of a sweep that was launched, or its name in {results}"
    raise StoreError(fault("SWEEP", rule, text, nearest_sweep(path, results)))


def _variant_and_seed(text: str, rest: Sequence[str]) -> tuple[str | None, int | None]:
    if len(rest) < 2:
        return (rest[0] if rest else None), None
    digits = rest[1].removeprefix("s")
    if not digits.isdecimal():
        fix = f"write a seed of the sweep, as its table names them, or leave it out: {Path(text).parent}"
        raise StoreError(fault(text, "expected a seed after the variant", rest[1], fix))
    return rest[0], int(digits)


def trials_at(record: SweepRecord, address: ModelAddress) -> list[TrialSpec]:
    """Returns the trials of a sweep that an address means: all of them, a variant's, or one.

    Raises:
        StoreError: there is none.
    """
    where = str(address.sweep)
    trials = [one for one in record.trials if address.variant in (None, one.label)]
    if not trials:
        fix = nearest(str(address.variant), {one.label for one in record.trials})
        raise StoreError(fault(where, "expected a variant", address.variant, fix))
    own = [one for one in trials if address.seed in (None, one.seed)]
    if not own:
        fix = f"its seeds are {', '.join(str(one.seed) for one in trials)}"
        raise StoreError(fault(where, f"expected a seed of {address.variant}", address.seed, fix))
    return own


def choose_model(record: SweepRecord, store: Store, comparison: Comparison, address: ModelAddress) -> ChosenModel:
    """Returns the model an address means: of the variant ranked first, and of its best seed, unless others are named.

    Raises:
        StoreError: no such variant or seed, nothing of it was evaluated, or nothing has finished and none is named.
    """
    rows = rank_trials(record.trials, store, record.metric, comparison.damaged)
    where = str(address.sweep)
    label = address.variant or next((one.label for one in comparison.variants if one.rank == 1), None)
    if label is None:
        evaluated = sorted({row.label for row in rows if row.val_iteration is not None})
        named = f", or name a variant for its best checkpoint so far: {', '.join(evaluated)}" if evaluated else ""
        fix = f"let it finish{named}"
        raise StoreError(fault(where, "expected a variant that has finished", "none", fix))
    meant = {trial.name for trial in trials_at(record, ModelAddress(address.sweep, label, address.seed))}
    wanted = [row for row in rows if f"{row.label}/s{row.seed}" in meant and row.val_iteration is not None]
    if not wanted:
        raise StoreError(fault(where, f"expected an evaluation of {label}", "none", "launch the sweep: it trains it"))
    best = max(
        wanted, key=lambda row: (row.status == TrialState.FINISHED, metric_value(row.valid, record.metric) or 0.0)
    )
    chosen = _chosen(best, record, store, comparison)
    if is_command(chosen.trial.config):
        rule, fix = "expected a variant that Detectron2 trained", f"its own weights are in {chosen.folder / 'output'}"
        raise StoreError(fault(f"{where}: {label}", rule, "a command", f"{fix}; name another variant to package it"))
    return chosen


def _chosen(row: RankedTrial, record: SweepRecord, store: Store, comparison: Comparison) -> ChosenModel:
    trial = next(one for one in record.trials if (one.label, one.seed) == (row.label, row.seed))
    folder = store.folder(trial)
    evaluation = chosen_evaluation(folder, record.metric)
    assert evaluation is not None, "a row with an iteration has an evaluation"
    return ChosenModel(
        trial=trial,
        folder=folder.path,
        evaluation=evaluation,
        checkpoint=folder.checkpoints / f"{evaluation.iteration:08d}.pth",
        status=row.status,
        rank=next((one.rank for one in comparison.variants if one.label == row.label), None),
        tied=tuple(one.label for one in comparison.variants if one.ties_with_best),
    )


def model_estimates(record: SweepRecord, store: Store, chosen: ChosenModel) -> dict[str, Estimate]:
    """Returns the sweep's metric of this very checkpoint on each split it was evaluated on, with its image interval.

    Raises:
        DataError: the ground truth or the stored boxes are damaged or gone.
    """
    folder, basis = store.folder(chosen.trial), basis_of(record.metric)
    tests = [one for one in folder.read_evaluations(TEST) if one.iteration == chosen.evaluation.iteration]
    estimates = {}
    truths = record.ground_truths()
    for name, evaluation in (("valid", chosen.evaluation), *((TEST, one) for one in tests)):
        if name in truths:
            targets = read_targets(truths[name])
            one = read_replicates(folder, evaluation, targets, basis, chosen.trial.config)
            trainings = trainings_of(chosen.trial.label, [chosen.trial.seed], [one], record.metric)
            estimates[name] = estimate(mean_over_seeds(trainings, None), 0.0, 100.0)
    return estimates


def signatures_of(record: SweepRecord) -> dict[str, str]:
    """Returns the signatures of a sweep's trials by their names."""
    return {trial.name: trial.signature for trial in record.trials}


def some_pictures(split: SplitRecord) -> list[tuple[int, Path]]:
    """Returns image ids and paths of pictures that are still there, spread over the split."""
    content = files.read_json(split.annotations)["images"]
    step = max(1, len(content) // MOST_CHECKED)
    wanted = [(int(one["id"]), split.image_root / one["file_name"]) for one in content[::step]]
    return [(number, path) for number, path in wanted if path.is_file()][:MOST_CHECKED]
