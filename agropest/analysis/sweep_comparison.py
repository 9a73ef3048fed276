"""The comparison of a sweep's variants, from what the store holds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from agropest.analysis.candidates import Candidate, Drawn
from agropest.analysis.compared import Comparison
from agropest.analysis.comparison import compare_candidates
from agropest.analysis.evidence import Borrowed
from agropest.analysis.ranking import DAMAGED
from agropest.errors import DataError
from agropest.statistics.accuracy.average_precision import AP, AP_DEPLOYED
from agropest.statistics.accuracy.metric import Basis, basis_of
from agropest.statistics.bootstrap import RESAMPLES, Replicates
from agropest.statistics.detections.boxes import GroundTruth
from agropest.statistics.detections.matching import Targets, read_targets
from agropest.store.chosen import chosen_evaluation
from agropest.store.completeness import is_intact
from agropest.store.records import EvaluationRecord, TrialState
from agropest.store.replicate_cache import TEST, read_replicates
from agropest.store.seeds.borrowed_seeds import borrowed_trials
from agropest.store.store import Store
from agropest.store.sweep_record import SweepRecord
from agropest.sweep.sections.guard import Guard
from agropest.sweep.stages.training import written_training
from agropest.sweep.trial import TrialSpec

APART = "nothing of it was evaluated at the same seed and iteration as the baseline: not compared"
STATUS_ORDER = (
    TrialState.FINISHED,
    TrialState.STOPPED,
    TrialState.RUNNING,
    TrialState.INTERRUPTED,
    TrialState.NEW,
    TrialState.FAILED,
)


def compare_trials(
    trials: Sequence[TrialSpec],
    store: Store,
    ground_truths: Mapping[str, GroundTruth],
    metric: str = AP,
    baseline: str = "baseline",
    guards: Sequence[Guard] = (),
    resamples: int = RESAMPLES,
    design: str = "",
    looks: Sequence[int] = (),
    indifference: float = 0.0,
) -> Comparison:
    """Returns what the sweep can say so far.

    A finished trial of which something was damaged after the launch had found it intact counts as interrupted.

    Args:
        trials: of the sweep, in any state.
        ground_truths: split name ("valid", and "test" where there is one) to its ground truth.
        metric: of the sweep.
        baseline: label of the variant that the others are compared with.
        guards: of the sweep.
        resamples: of the bootstrap.
        design: of the sweep's factors.
        looks: with how many seeds the sweep is looked at while seeds are added; empty: once.
        indifference: differences that are smaller do not matter.
    """
    targets = {name: read_targets(truth) for name, truth in ground_truths.items()}
    reader = functools.partial(_Reader, store, targets, metric, resamples)
    judge = functools.partial(
        compare_candidates,
        metric=metric,
        baseline=baseline,
        targets=targets["valid"],
        guards=guards,
        design=design,
        looks=looks,
        indifference=indifference,
        is_of_checkpoints=bool(trials) and all((trial.source or trial).max_iter == 0 for trial in trials),
    )
    try:
        return _compare(trials, reader(doubts_boxes=False), baseline, judge)
    except DataError:  # once more with every file read and checked, which takes its time
        return _compare(trials, reader(doubts_boxes=True), baseline, judge)


def compare_record(record: SweepRecord, store: Store) -> Comparison:
    """Returns the comparison of a recorded sweep.

    Raises:
        DataError: the ground truth is not there any more.
    """
    return compare_trials(
        record.trials,
        store,
        record.ground_truths(),
        record.metric,
        record.baseline,
        record.guards,
        design=record.design,
        looks=record.looks,
        indifference=record.indifference,
    )


def _compare(
    trials: Sequence[TrialSpec], reader: _Reader, baseline: str, judge: Callable[..., Comparison]
) -> Comparison:
    read = [reader.read(trial) for trial in trials]
    by_label: dict[str, list[_Read]] = {}
    for one in read:
        by_label.setdefault(one.trial.label, []).append(one)
    base = by_label.get(baseline, [])
    trained_as = _trained_as(by_label)
    candidates = [
        replace(reader.candidate(group, base if label != baseline else []), trained_as=trained_as.get(label, ""))
        for label, group in by_label.items()
    ]
    shows_seeds = any(one.status == TrialState.FINISHED and len(one.shown.seeds) > 1 for one in candidates)
    borrowed = Borrowed() if shows_seeds else reader.borrowed(trials, baseline)
    comparison = judge(candidates, borrowed=borrowed)
    return replace(comparison, damaged=tuple(one.trial.name for one in read if one.is_damaged))


def _trained_as(by_label: Mapping[str, Sequence[_Read]]) -> dict[str, str]:
    """Returns the label of the first variant that was trained alike, for every variant that is not that one itself."""
    first = dict[str, str]()
    names = {label: written_training(group[0].trial, with_seed=False) for label, group in by_label.items()}
    for label, name in names.items():
        first.setdefault(name, label)
    return {label: first[name] for label, name in names.items() if first[name] != label}


@dataclass(frozen=True)
class _Read:
    """What the store holds of one trial.

    Attributes:
        chosen: what a finished trial is ranked by; None while it has not finished.
        valid: iteration to evaluation.
        test: of the chosen checkpoint.
        is_damaged: whether it has finished, and what it is ranked by is no longer as it was written.
    """

    trial: TrialSpec
    status: TrialState
    chosen: EvaluationRecord | None
    valid: Mapping[int, EvaluationRecord]
    test: EvaluationRecord | None
    is_damaged: bool = False

    @property
    def seed(self) -> int:
        return self.trial.seed

    @property
    def shown(self) -> EvaluationRecord | None:
        """The chosen evaluation, or the last one of a trial that has not finished."""
        return self.chosen or (self.valid[max(self.valid)] if self.valid else None)


class _Reader:
    """Reads evaluations and their replicates from the store.

    Args:
        doubts_boxes: whether all boxes are read and checked first; else those of finished trials that have the right
            size are taken for intact, as which the launch has found them.
    """

    def __init__(
        self, store: Store, targets: Mapping[str, Targets], metric: str, resamples: int, doubts_boxes: bool
    ) -> None:
        self.store, self.targets, self.metric, self.resamples = store, targets, metric, resamples
        self.doubts_boxes = doubts_boxes

    def read(self, trial: TrialSpec) -> _Read:
        """Returns what there is of a trial."""
        folder = self.store.folder(trial)
        status = folder.status().status
        chosen = chosen_evaluation(folder, self.metric) if status == TrialState.FINISHED else None
        if status == TrialState.FINISHED and chosen is None:
            status = TrialState.FAILED  # not one evaluation has the metric
        is_damaged = status == TrialState.FINISHED and not is_intact(
            trial, folder, self.metric, self.targets, self.doubts_boxes
        )
        if is_damaged:
            status, chosen = TrialState.INTERRUPTED, None
        tests = folder.read_evaluations(TEST) if chosen and TEST in self.targets else []
        test = next((record for record in tests if chosen and record.iteration == chosen.iteration), None)
        whole = folder.read_evaluations("valid", check_boxes=self.doubts_boxes or status != TrialState.FINISHED)
        valid = {record.iteration: record for record in whole}
        return _Read(trial, status, chosen, valid, test, is_damaged)

    def candidate(self, trials: Sequence[_Read], base: Sequence[_Read]) -> Candidate:
        """Returns a variant by its chosen evaluations where all seeds have finished, else as far as they have got."""
        finished = sum(one.chosen is not None for one in trials)
        complete = finished == len(trials)
        fair = complete and all(one.chosen for one in base)
        against = None if not base or fair else self._equal(trials, base)
        is_apart = bool(base) and not fair and against is None and trials[0].trial.label != base[0].trial.label
        own = [(one.trial, record) for one in trials if (record := one.shown)]
        shown = against[0] if against and not complete else self._drawn(own)
        tests = [(one.trial, one.test) for one in trials if one.test] if complete else []
        tests = tests if len(tests) == len(trials) else []
        wanted = basis_of(self.metric)
        return Candidate(
            label=trials[0].trial.label,
            status=_status([one.status for one in trials], finished),
            shown=replace(
                shown,
                test=tuple(self._replicates(*one, wanted) for one in tests),
                test_deployed=tuple(record.metrics.get(AP_DEPLOYED) for _, record in tests),
            ),
            against=against,
            notes=(
                *_notes(finished, len(trials), bool(against), any(one.is_damaged for one in trials)),
                *([APART] if is_apart and own else []),
            ),
            levels=trials[0].trial.levels,
            is_apart=is_apart,
            has_ended=all(one.status.ended_well for one in trials),
        )

    def borrowed(self, trials: Sequence[TrialSpec], baseline: str) -> Borrowed:
        """Returns the trainings of other sweeps that show what a seed does, on the same images."""
        drawn, sweeps = [], []
        for name, group in borrowed_trials(trials, self.store, baseline).items():
            read = [self.read(trial) for trial in group]
            chosen = [(one.trial, one.chosen) for one in read if one.chosen is not None]
            if len(chosen) > 1:
                drawn.append((name, self._drawn(chosen)))
                sweeps.append(name.partition(": ")[0])
        names = ", ".join(dict.fromkeys(sweeps))
        return Borrowed(drawn, f"finished trials of the same data and baseline in this store ({names})")

    def _equal(self, trials: Sequence[_Read], base: Sequence[_Read]) -> tuple[Drawn, Drawn] | None:
        """Returns both sides at the last iteration that both have evaluated, for every seed that both have."""
        opponents = {one.seed: one for one in base}
        ours, theirs = [], []
        for one in trials:
            other = opponents.get(one.seed)
            common = max(one.valid.keys() & other.valid.keys(), default=None) if other else None
            if other is not None and common is not None:
                ours.append((one.trial, one.valid[common]))
                theirs.append((other.trial, other.valid[common]))
        return (self._drawn(ours), self._drawn(theirs)) if ours else None

    def _drawn(self, evaluations: Sequence[tuple[TrialSpec, EvaluationRecord]]) -> Drawn:
        wanted, ap = basis_of(self.metric), basis_of(AP)
        of_metric = tuple(self._replicates(*one, wanted) for one in evaluations)
        return Drawn(
            seeds=tuple(trial.seed for trial, _ in evaluations),
            iterations=tuple(record.iteration for _, record in evaluations),
            metric=of_metric,
            by_class=of_metric if wanted == ap else tuple(self._replicates(*one, ap) for one in evaluations),
            deployed=tuple(record.metrics.get(AP_DEPLOYED) for _, record in evaluations),
        )

    def _replicates(self, trial: TrialSpec, record: EvaluationRecord, basis: Basis) -> Replicates:
        targets = self.targets[TEST if record.split == TEST else "valid"]
        return read_replicates(self.store.folder(trial), record, targets, basis, trial.config, self.resamples)


def _status(statuses: Sequence[str], num_finished: int) -> str:
    """Returns the status of a variant; FINISHED only where every seed has, so that no survivor speaks for all."""
    if 0 < num_finished < len(statuses):
        return f"{num_finished} of {len(statuses)} {TrialState.FINISHED}"
    return min(statuses, key=STATUS_ORDER.index)


def _notes(num_finished: int, num_trials: int, at_equal: bool, is_damaged: bool) -> tuple[str, ...]:
    notes = [DAMAGED] if is_damaged else []
    if 0 < num_finished < num_trials:
        notes.append(f"{num_finished} of {num_trials} seeds have finished")
    if at_equal:
        notes.append("compared with the baseline at equal iterations, not by the best evaluation")
    return tuple(notes)
