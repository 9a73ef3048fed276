"""The comparison of a sweep's variants, from what the store holds.

Replicates are kept under ``results/replicates/``, named by a hash of everything that decides them (the boxes, the
ground truth, the metric, the draws), so that a second launch of a finished sweep computes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from agropest import files
from agropest.results.average_precision import AP
from agropest.results.bootstrap import RESAMPLES, Replicates, replicate
from agropest.results.boxes import Boxes, GroundTruth
from agropest.results.comparison import Candidate, Comparison, Drawn, compare_candidates
from agropest.results.matching import Targets, match, read_targets
from agropest.results.metric import Basis, basis_of
from agropest.results.ranking import chosen_evaluation
from agropest.results.store import FAILED, FINISHED, INTERRUPTED, NEW, RUNNING, STOPPED, EvaluationRecord, Store
from agropest.sweep.guard import Guard
from agropest.sweep.trial import TrialSpec

# Raise this when the same inputs would give other replicates than before.
REPLICATES_VERSION = 1
STATUS_ORDER = (FINISHED, STOPPED, RUNNING, INTERRUPTED, NEW, FAILED)


def compare_trials(
    trials: Sequence[TrialSpec],
    store: Store,
    ground_truths: Mapping[str, GroundTruth],
    metric: str = AP,
    baseline: str = "baseline",
    guards: Sequence[Guard] = (),
    resamples: int = RESAMPLES,
) -> Comparison:
    """Returns what the sweep can say so far.

    Args:
        trials: of the sweep, in any state.
        ground_truths: split name ("valid", and "test" where there is one) to its ground truth.
        metric: of the sweep.
        baseline: label of the variant that the others are compared with.
        guards: of the sweep.
        resamples: of the bootstrap.
    """
    reader = _Reader(store, {name: read_targets(truth) for name, truth in ground_truths.items()}, metric, resamples)
    by_label: dict[str, list[TrialSpec]] = {}
    for trial in trials:
        by_label.setdefault(trial.label, []).append(trial)
    base = by_label.get(baseline, [])
    base_finished = bool(reader.finished(base))
    candidates = [
        reader.candidate(group, base if label != baseline else [], base_finished) for label, group in by_label.items()
    ]
    return compare_candidates(candidates, metric, baseline, reader.targets["valid"], guards)


class _Reader:
    """Reads evaluations and their replicates from the store."""

    def __init__(self, store: Store, targets: Mapping[str, Targets], metric: str, resamples: int) -> None:
        self.store, self.targets, self.metric, self.resamples = store, targets, metric, resamples
        self.fingerprints = {name: _fingerprint(one) for name, one in targets.items()}
        self.folder = store.root / "replicates"

    def status(self, trial: TrialSpec) -> str:
        return self.store.folder(trial).status().status

    def finished(self, trials: Sequence[TrialSpec]) -> list[TrialSpec]:
        """Returns the trials that have finished and have something to be compared by."""
        return [t for t in trials if self.status(t) == FINISHED and self._chosen(t) is not None]

    def candidate(self, trials: Sequence[TrialSpec], base: Sequence[TrialSpec], base_finished: bool) -> Candidate:
        """Returns a variant by its finished trials, or by those that have got somewhere."""
        finished = self.finished(trials)
        status = min((self.status(trial) for trial in trials), key=STATUS_ORDER.index)
        if status == FINISHED and not finished:
            status = FAILED  # finished without one evaluation that has the metric
        against = None if not base or (finished and base_finished) else self._equal(finished or trials, base)
        shown = [(t, record) for t in finished if (record := self._chosen(t)) is not None]
        last = [(t, record) for t in trials if (record := self._last(t)) is not None]
        return Candidate(
            label=trials[0].label,
            status=status,
            shown=self._drawn(shown) if shown else against[0] if against else self._drawn(last),
            against=against,
            test=self._test(finished),
            notes=self._notes(trials, finished, bool(against)),
        )

    def _chosen(self, trial: TrialSpec) -> EvaluationRecord | None:
        return chosen_evaluation(self.store.folder(trial), self.metric)

    def _last(self, trial: TrialSpec) -> EvaluationRecord | None:
        return next(reversed(self.store.folder(trial).read_evaluations("valid")), None)

    def _equal(self, trials: Sequence[TrialSpec], base: Sequence[TrialSpec]) -> tuple[Drawn, Drawn] | None:
        """Returns both sides at the last iteration that both have evaluated, for every seed that both have."""
        opponents = {trial.seed: trial for trial in base}
        ours, theirs = [], []
        for trial in trials:
            if trial.seed in opponents:
                mine = {r.iteration: r for r in self.store.folder(trial).read_evaluations("valid")}
                other = opponents[trial.seed]
                its = {r.iteration: r for r in self.store.folder(other).read_evaluations("valid")}
                common = max(mine.keys() & its.keys(), default=None)
                if common is not None:
                    ours.append((trial, mine[common]))
                    theirs.append((other, its[common]))
        return (self._drawn(ours), self._drawn(theirs)) if ours else None

    def _test(self, finished: Sequence[TrialSpec]) -> tuple[Replicates, ...]:
        if "test" not in self.targets:
            return ()
        records = [(t, next(reversed(self.store.folder(t).read_evaluations("test")), None)) for t in finished]
        if any(record is None for _, record in records):
            return ()
        return tuple(self._replicates(t, record, basis_of(self.metric)) for t, record in records if record is not None)

    def _drawn(self, evaluations: Sequence[tuple[TrialSpec, EvaluationRecord]]) -> Drawn:
        wanted, ap = basis_of(self.metric), basis_of(AP)
        of_metric = tuple(self._replicates(*one, wanted) for one in evaluations)
        return Drawn(
            seeds=tuple(trial.seed for trial, _ in evaluations),
            iterations=tuple(record.iteration for _, record in evaluations),
            metric=of_metric,
            by_class=of_metric if wanted == ap else tuple(self._replicates(*one, ap) for one in evaluations),
        )

    def _replicates(self, trial: TrialSpec, record: EvaluationRecord, basis: Basis) -> Replicates:
        """Returns the replicates of one evaluation, from the kept file where there is one."""
        split = "test" if record.split == "test" else "valid"
        targets = self.targets[split]
        path = self.store.folder(trial).boxes_path(record)
        threshold = float(trial.config.get("TEST.DEPLOYED_SCORE_THRESH", 0.5))
        most = int(trial.config.get("TEST.DETECTIONS_PER_IMAGE", 100))
        seed = 1 if split == "test" else 0  # the splits are independent samples
        told = [REPLICATES_VERSION, self.fingerprints[split], asdict(basis), self.resamples, seed, threshold, most]
        key = hashlib.sha256(json.dumps(told).encode() + path.read_bytes()).hexdigest()[:32]
        kept = self.folder / f"{key}.npy"
        content = _read(kept, (len(targets.class_names) if basis.kind != "F1" else 1, self.resamples + 1))
        if content is None:
            matches = match(targets, Boxes.load(path), most, [basis.area])
            one = replicate(matches, basis, self.resamples, seed, threshold)
            content = np.column_stack([one.value, one.samples])
            files.write_with(kept, lambda file: np.save(file, content))
        return Replicates(basis, content[:, 0], content[:, 1:], targets.class_names)

    def _notes(self, trials: Sequence[TrialSpec], finished: Sequence[TrialSpec], at_equal: bool) -> tuple[str, ...]:
        notes = []
        if len(finished) == 1 or (not finished and len(trials) == 1):
            notes.append("one seed: the interval is of image sampling only")
        if finished and len(finished) < len(trials):
            notes.append(f"{len(finished)} of {len(trials)} seeds have finished")
        if at_equal:
            notes.append("compared with the baseline at equal iterations, not by its best evaluation")
        return tuple(notes)


def _fingerprint(targets: Targets) -> str:
    """Returns a hash of everything in a ground truth that decides a replicate."""
    digest = hashlib.sha256(json.dumps(targets.class_names).encode())
    for name in ("image_ids", "category_ids", "group", "cell", "bbox_xywh", "area", "crowd"):
        digest.update(np.ascontiguousarray(getattr(targets, name)).tobytes())
    return digest.hexdigest()


def _read(path: Path, shape: tuple[int, int]) -> npt.NDArray[np.float64] | None:
    """Returns the kept array, or None where there is none or it is damaged."""
    try:
        content = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return content if content.shape == shape else None
