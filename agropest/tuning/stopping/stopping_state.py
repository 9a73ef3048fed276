"""How the variants of a sweep stand, read from the store evaluation by evaluation, and who is out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from agropest.data.dataset import Dataset
from agropest.planning.early_stopping import why_nothing_stops
from agropest.statistics.detections.boxes import GroundTruth
from agropest.statistics.detections.matching import Targets, read_targets
from agropest.statistics.race.entrant import Entrant, Sample, Stop
from agropest.statistics.race.racing import Known
from agropest.statistics.race.training_noise import NoiseVariance
from agropest.store.records import OUT_OF_MEMORY, TrialState
from agropest.store.seeds.stored_samples import StoredSamples
from agropest.store.store import Store
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.learning_rate import curve_key, decay_to_come, start_key
from agropest.sweep.sections.stop_rule import StopRule
from agropest.sweep.spec import SweepSpec
from agropest.sweep.trial import TrialSpec
from agropest.tuning.stopping import rules
from agropest.tuning.stopping.race_noise import seed_noise_at_start


class StoppingState:
    """Reads what the trials have stored; each evaluation's boxes are read and resampled once.

    Args:
        spec: with a rule that looks at all variants at once.
        trials: of the whole sweep.
        left_out: names of those that this launch does not run: no rule waits for them.
    """

    def __init__(
        self,
        spec: SweepSpec,
        trials: Sequence[TrialSpec],
        left_out: set[str],
        dataset: Dataset,
        store: Store,
    ) -> None:
        self.rule, self.metric, self.stopper = spec.stop, spec.metric, spec.stopper
        self._rule: Any = rules.decision_of(spec.stop.method)
        self.left_out, self.store, self._spec, self._trials = left_out, store, spec, trials
        self._folders = {trial.name: store.folder(trial) for trial in trials}
        self._annotations = dataset.splits["valid"].annotations
        self._by_label: dict[str, list[TrialSpec]] = {}
        for trial in trials:
            self._by_label.setdefault(trial.label, []).append(trial)
        kept = spec.baseline if spec.stop.keep_baseline else ""
        self._outlines = {
            label: replace(_outline(label, ts[0], spec.stop), stays=label == kept)
            for label, ts in self._by_label.items()
        }
        self._stored: dict[str, set[int]] = {}
        self._status: dict[str, str] = {}
        self._over: set[str] = set()  # names of trials of which no evaluation will come before the next launch
        self._known: Known = {}
        for trial in trials:
            self.note(trial)

    def reached(self, name: str) -> int:
        """Returns the iteration of a trial's last evaluation, or 0."""
        return max(self._stored[name], default=0)

    def note(self, trial: TrialSpec) -> None:
        """Reads how a trial stands now."""
        folder = self.store.folder(trial)
        before = self._status.get(trial.name)
        self._stored[trial.name] = {record.iteration for record in folder.read_evaluations("valid", check_boxes=True)}
        status = folder.status()
        self._status[trial.name] = status.status
        # One that needs more of a card than it has is run again when all others have ended: they would wait for it.
        lacks_memory = status.status == TrialState.INTERRUPTED and status.reason == OUT_OF_MEMORY
        self._over.discard(trial.name)
        if lacks_memory or status.status.ended_well:
            self._over.add(trial.name)
        if TrialState.FAILED in (before, self._status[trial.name]) and before != self._status[trial.name]:
            self._known.clear()  # a seed less, or one more

    def still_in(self, pending: Sequence[TrialSpec]) -> list[TrialSpec]:
        """Returns the trials that are not out by what is stored; of the others it is written that they are stopped."""
        out = self.decide()
        for trial in pending:
            if trial.label in out:
                self.record(trial.name, self.reached(trial.name), out[trial.label])
        return [trial for trial in pending if trial.label not in out]

    def record(self, name: str, iteration: int, stop: Stop) -> None:
        """Writes that a trial is stopped."""
        record_stop(self._folders[name], iteration, f"stopped early: {stop}", self.stopper)

    def decide(self) -> Mapping[str, Stop]:
        """Returns who is out, by label."""
        entrants = [self._entrant(label, trials) for label, trials in self._by_label.items()]
        decided: Mapping[str, Stop] = self._rule.decide(
            entrants, self.rule, self._known, lambda: self.num_sources, lambda: self._seed_noise
        )
        return decided

    @property
    def num_sources(self) -> int:
        """Independent validation images."""
        return self._targets.num_groups

    @cached_property
    def _seed_noise(self) -> NoiseVariance:
        return seed_noise_at_start(self._spec, self._trials, self._read)

    @cached_property
    def _read(self) -> StoredSamples:
        return StoredSamples(self.store, self._targets, self.metric, self._rule.RESAMPLES)

    @cached_property
    def _targets(self) -> Targets:
        return read_targets(GroundTruth.from_coco(self._annotations))

    def _entrant(self, label: str, trials: Sequence[TrialSpec]) -> Entrant:
        """Returns a variant: at an iteration, the mean over its seeds, once all of them have been evaluated there.

        A seed that has failed counts up to where it came, so that what was decided before still is. One that this
        launch leaves out is not waited for, and nothing is decided without it.
        """
        will_come = [t for t in trials if self._status[t.name] != TrialState.FAILED]
        known = set().union(*(self._stored[trial.name] for trial in trials))
        samples = {}
        for iteration in sorted(known):
            if all(iteration in self._stored[trial.name] for trial in will_come):
                there = [trial for trial in trials if iteration in self._stored[trial.name]]
                samples[iteration] = Sample.mean([self._read.of(trial, iteration) for trial in there])
        stand = [t for t in will_come if t.name in self._over or t.name in self.left_out]
        comes_until = min((self.reached(t.name) for t in stand), default=math.inf)
        is_over = len(stand) == len(will_come)
        return replace(self._outlines[label], samples=samples, is_over=is_over, comes_until=comes_until)


def open_stopping_state(
    spec: SweepSpec, trials: Sequence[TrialSpec], left_out: set[str], dataset: Dataset, store: Store
) -> StoppingState | None:
    """Returns the stopping of a sweep that is stopped by them; None where another rule stops, or nothing can be."""
    if not rules.looks_at_all(spec.stop.method):
        return None
    outlines = {trial.label: _outline(trial.label, trial, spec.stop) for trial in reversed(trials)}
    if not any(one.looks for one in outlines.values()):
        return None
    is_idle = bool(why_nothing_stops(spec.stop, trials, dataset))
    return None if is_idle else StoppingState(spec, trials, left_out, dataset, store)


def record_stop(folder: TrialFolder, iteration: int, reason: str, stopper: str) -> None:
    """Writes that a trial is stopped, unless it has ended already; its process loses the right to write.

    Args:
        stopper: the sweep that stops it (``SweepSpec.stopper``).
    """
    if folder.status().status.has_ended:
        return
    claimed = folder.claim()
    status = claimed.status()
    if status.status.has_ended:  # it ended before it lost its claim
        return
    stoppers = (*(one for one in status.stopped_for if one != stopper), stopper)
    claimed.write_status(
        replace(status, status=TrialState.STOPPED, iteration=iteration, reason=reason, stopped_for=stoppers)
    )


def _outline(label: str, trial: TrialSpec, rule: StopRule) -> Entrant:
    """Returns a variant without its evaluations."""
    looks = trial.evaluation_iters
    first_look = rules.decision_of(rule.method).first_look(rule, trial)  # type: ignore[union-attr]
    to_come = {t: decay_to_come(trial.config, t) for t in looks}
    return Entrant(label, looks, {}, first_look, to_come, curve_key(trial.config), start_key(trial.config))
