"""Which trials a trial can take checkpoints and evaluations from, and which wait for its own.

Every trial keeps its own folder. Whoever needs the weights of an iteration takes the checkpoint of a trial that shares
the training up to there (a second name for the same file), and trains only where there is none. So it does not matter
which of them trained it, in which launch, or how that ended.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agropest.statistics.accuracy.metric import metric_value
from agropest.store.checksummed import read_checksummed
from agropest.store.records import EvaluationRecord
from agropest.store.store import Store
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.history import SEGMENT_END_KEY, read_history
from agropest.sweep.stages.forward import with_common_forward
from agropest.sweep.stages.training import average_decay, training_key, validation_key
from agropest.sweep.stages.tree import Stage, StageTree, num_shared, stage_tree
from agropest.sweep.trial import TrialSpec

# Beside the sweeps' folders: a lock for every stage that several trials need.
STAGES = "stages"
# In an evaluation's extra fields: the trial whose checkpoint or evaluation was taken over, where one was.
TAKEN_FROM = "taken_from"
# In a checkpoint: the averaged weights, by decay. In its checksum file: their decays alone.
AVERAGES = "averages"


@dataclass(frozen=True)
class Sharer:
    """Another trial that trains the same first iterations.

    Attributes:
        folder: the trial's.
        until: the iteration up to which the training is the same.
        wanted: iterations up to there at which it needs a checkpoint: where it is evaluated or continues alone.
        decay: of the averaged weights that it evaluates; None: the weights themselves.
        validates_alike: whether its evaluations on validation are this trial's, too.
    """

    name: str
    folder: Path
    until: int
    wanted: tuple[int, ...]
    decay: float | None
    validates_alike: bool

    @property
    def has_ended(self) -> bool:
        """Whether it needs nothing any more."""
        return TrialFolder(self.folder).status().status.has_ended

    def still_needs(self, iterations: Collection[int]) -> set[int]:
        """Returns those of the iterations whose checkpoint it has still to take over or to make."""
        wanted = set(self.wanted).intersection(iterations)
        if not wanted:
            return set()
        status = TrialFolder(self.folder).status()
        return set() if status.status.has_ended else {i for i in wanted if i > status.iteration}


@dataclass(frozen=True)
class Sharing:
    """What one trial has in common with others.

    Attributes:
        stages: of its training, in order; empty: one of its own.
        sharers: in the order of the sweep.
        decays: of averaged weights that trials evaluate which train nothing; its checkpoints hold them.
        has_common_forward: of a trial that trains nothing, whether another one needs the same forward passes.
    """

    stages: tuple[Stage, ...] = ()
    sharers: tuple[Sharer, ...] = ()
    decays: tuple[float, ...] = ()
    has_common_forward: bool = False

    def still_needed(self, iterations: Collection[int]) -> set[int]:
        """Returns those of the iterations whose checkpoint somebody else has still to take over."""
        return {i for sharer in self.sharers for i in sharer.still_needs(iterations)}


@dataclass(frozen=True)
class Taken:
    """One step of a trial that others have done.

    Attributes:
        iteration: where it leads.
        weights_of: who has a checkpoint of it; None: only its evaluation is there.
        evaluated_by: the trial whose evaluation is this one's, too; None: there is none, or nothing is due here.
        record: that evaluation.
    """

    iteration: int
    weights_of: Sharer | None
    evaluated_by: Sharer | None = None
    record: EvaluationRecord | None = None


class SharedWork:
    """What others have done of one trial, as the store has it now.

    Args:
        metric: an evaluation that lacks it is made again.
    """

    def __init__(self, trial: TrialSpec, sharing: Sharing, metric: str) -> None:
        self.trial, self.sharing, self._metric = trial, sharing, metric
        self._decay = average_decay(trial)

    def done_by_others(self, now: int, end: int) -> list[Taken]:
        """Returns the steps to the newest iteration in (now, end] that others' checkpoints and evaluations lead to."""
        there = {
            i: sharer for sharer in reversed(self.sharing.sharers) for i in self._checkpointed(sharer) if now < i <= end
        }
        if not there:
            return []
        stored = self._evaluated(now, end)
        steps: list[Taken] = []
        for iteration in sorted({*there, *(i for i in self.trial.evaluation_iters if now < i <= end)}):
            step = Taken(iteration, there.get(iteration), *stored.get(iteration, (None, None)))
            if step.weights_of is None and step.record is None:
                break  # here this trial has to be evaluated, and the weights are not there
            steps.append(step)
        while steps and steps[-1].weights_of is None:
            steps.pop()
        return steps

    def _checkpointed(self, sharer: Sharer) -> list[int]:
        """Returns the iterations whose checkpoints can be had from one of the others."""
        kept = TrialFolder(sharer.folder).checkpointed()
        return [i for i in kept if i <= sharer.until and self._fits(sharer, i)]

    def _fits(self, sharer: Sharer, iteration: int) -> bool:
        """Returns whether a checkpoint is there with the averaged weights that are evaluated of this trial."""
        wanted = [self._decay, *self.sharing.decays]
        return all(holds_average(sharer.folder, iteration, decay, sharer.decay) for decay in wanted)

    def _evaluated(self, now: int, end: int) -> dict[int, tuple[Sharer, EvaluationRecord]]:
        """Returns the evaluations of others that are this trial's, too, by iteration."""
        return {
            record.iteration: (sharer, record)
            for sharer in reversed(self.sharing.sharers)
            if sharer.validates_alike
            for record in TrialFolder(sharer.folder).read_evaluations("valid", check_boxes=True)
            if now < record.iteration <= min(end, sharer.until)
            if self.trial.is_evaluation(record.iteration) and metric_value(record.metrics, self._metric) is not None
        }


def holds_average(folder: Path, iteration: int, decay: float | None, own: float | None) -> bool:
    """Returns whether a trial's checkpoint is there and holds averaged weights with a decay.

    Args:
        decay: None: the weights themselves are enough.
        own: decay of the trial's own config.
    """
    seal = folder / "checkpoints" / f"{iteration:08d}.json"
    if decay is None:
        return seal.with_suffix(".pth").is_file()
    kept = (read_checksummed(seal) or {}).get(AVERAGES)
    # Before there were several, a checkpoint held that of its own config.
    return decay in kept if isinstance(kept, list) else own == decay


def all_sharing(trials: Sequence[TrialSpec], store: Store, others: Iterable[TrialSpec] = ()) -> dict[str, Sharing]:
    """Returns what each of a sweep's trials shares, by its name.

    Args:
        trials: of the sweep, which share with each other.
        others: trials of other sweeps, from which is taken what they have stored (:func:`with_checkpoints`).
    """
    evaluations = [trial for trial in trials if not trial.trains]
    trials = [trial for trial in trials if trial.trains]
    tree = stage_tree(trials)
    different = {trial.signature: trial for trial in reversed(trials)}
    keys = {training_key(trial) for trial in trials}
    stored: defaultdict[str, list[TrialSpec]] = defaultdict(list)
    for trial in others:
        if trial.signature not in different and (key := training_key(trial)) in keys:
            stored[key].append(trial)
    common, decays = with_common_forward(evaluations), _decays(evaluations)
    alone = {one.name: Sharing(has_common_forward=one.name in common) for one in evaluations}
    shared = {trial.name: _sharing(trial, different, tree, stored[training_key(trial)], store) for trial in trials}
    kept = {trial.name: tuple(sorted(decays[trial.signature])) for trial in trials}
    return {**alone, **{name: replace(one, decays=kept[name]) for name, one in shared.items()}}


def _decays(evaluations: Iterable[TrialSpec]) -> defaultdict[str, set[float]]:
    """Returns the averaged weights that are evaluated of each trial, by its signature."""
    found: defaultdict[str, set[float]] = defaultdict(set)
    for trial in evaluations:
        if trial.source is not None and (decay := average_decay(trial)) is not None:
            found[trial.source.signature].add(decay)
    return found


def reached(sharing: Mapping[str, Sharing], pending: Sequence[TrialSpec], store: Store, metric: str) -> dict[str, int]:
    """Returns up to which iteration each pending trial takes over what others have stored, where that is any.

    Args:
        sharing: of each trial, by its name.
        metric: of the sweep.
    """
    found = {}
    for trial in (trial for trial in pending if trial.trains):
        its, now = sharing[trial.name], store.folder(trial).status().iteration
        if its.sharers and (steps := SharedWork(trial, its, metric).done_by_others(now, trial.max_iter)):
            found[trial.name] = steps[-1].iteration
    return found


def with_checkpoints(store: Store) -> Iterator[TrialSpec]:
    """Yields the trials of all sweeps of which the store has a checkpoint; what cannot be read is left out."""
    for path in sorted(store.trials.glob("*/trial.json")):
        if not TrialFolder(path.parent).checkpointed():
            continue
        content = read_checksummed(path) or {}
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
            trial = TrialSpec(
                label=str(content["label"]),
                seed=int(content["seed"]),
                config=dict(content["config"]),
                data=content["data"],
                weights=content["weights"],
                training_version=content["training_version"],
                history=read_history(content),
                segment_end=content[SEGMENT_END_KEY],
                code=content.get("code", ""),
            )
            if path.parent.name.endswith(trial.signature):
                training_key(trial)
                yield trial


def _sharing(
    trial: TrialSpec,
    different: Mapping[str, TrialSpec],
    tree: StageTree,
    stored: Sequence[TrialSpec],
    store: Store,
) -> Sharing:
    with_it = dict.fromkeys(one for stage in tree.path(trial) if stage.is_shared for one in stage.trials)
    others = [different[signature] for signature in with_it if signature != trial.signature]
    sharers = [_sharer(other, trial, tree.shared_until(trial, other), store) for other in others]
    # Nothing is kept for those of other sweeps: this launch does not run them.
    sharers += [replace(_sharer(other, trial, num_shared(trial, other), store), wanted=()) for other in stored]
    return Sharing(tree.path(trial), tuple(sharer for sharer in sharers if sharer.until))


def _sharer(other: TrialSpec, trial: TrialSpec, until: int, store: Store) -> Sharer:
    wanted = {iteration for iteration in other.evaluation_iters if iteration <= until}
    return Sharer(
        name=other.name,
        folder=store.folder(other).path,
        until=until,
        wanted=tuple(sorted(wanted | {until})),
        decay=average_decay(other),
        validates_alike=validation_key(other) == validation_key(trial),
    )
