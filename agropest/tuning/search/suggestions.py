"""``search: {method: optuna}``: variants suggested in rounds, each from what the rounds before came to.

A round is suggested by Optuna's tree-structured Parzen estimator (Bergstra et al., NIPS 2011) when every trial of the
rounds before has ended, and written to ``results/<sweep>/search.json`` before its trials start. So a launch that
continues reads what was suggested and trains what is missing. Without that file the same seed and the same results
give the same suggestions: the sampler is made anew for every round, seeded with the search's seed and the round's
number. (But where trials of the search are stored, Optuna would then get them as known before it. So the file
has a copy, and damage to both is an error.)

Optuna also gets what the store holds when the search begins: trials of any sweep on the same data that differ from this
sweep's plain config in keys of the space alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from agropest.errors import EnvironmentFault, StoreError, fault
from agropest.statistics.accuracy.metric import metric_value
from agropest.store.checksummed import copy_of, read_checksummed, read_either, write_twice
from agropest.store.chosen import best_evaluation
from agropest.store.completeness import has_ended_for
from agropest.store.records import TrialState
from agropest.store.store import Store
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.history import SEGMENT_END_KEY
from agropest.sweep.sections.distributions import CHOICE, Distribution, draw_point
from agropest.sweep.sections.search import OPTUNA, PBT, variant_name
from agropest.sweep.spec import SweepSpec, Variant
from agropest.sweep.trial import NOT_IDENTITY, TrialSpec
from agropest.tuning.search.generations import Expand, Population

Point = dict[str, Any]
# Points are drawn at random until so many are known, as Optuna does.
START_UP = 10


@dataclass(frozen=True)
class Observation:
    """What a point came to.

    Attributes:
        status: ``FINISHED``, ``STOPPED`` (early) or ``FAILED``.
        value: the metric: of a finished one its best, mean over seeds; of a stopped one its last.
        iteration: of a stopped one's last evaluation.
    """

    point: Point
    status: TrialState
    value: float = 0.0
    iteration: int = 0


class Suggestions:
    """The rounds of one sweep's search.

    Args:
        spec: the sweep as its file has it.
        expand: from a sweep to its trials.
    """

    def __init__(self, spec: SweepSpec, expand: Expand, store: Store) -> None:
        self.spec, self.expand, self.store = spec, expand, store
        self._origin = expand(replace(spec, variants=(Variant("origin", {}),), baseline="origin"))[0]
        self._file = store.sweep_folder(spec.name) / "search.json"
        kept = _read(self._file)
        self._header = {"rule": spec.search.identity, "metric": spec.metric, "origin": self._origin.signature}
        fits = kept.get("header") == self._header
        self.rounds: list[list[Point]] = kept["rounds"] if fits else []
        self._known: list[Mapping[str, Any]] | None = kept["known_before"] if fits else None

    @property
    def num_suggested(self) -> int:
        """Variants suggested so far."""
        return sum(len(points) for points in self.rounds)

    @property
    def is_complete(self) -> bool:
        """Whether every variant has been suggested."""
        return self.num_suggested >= self.spec.search.num_variants

    def sweep(self) -> SweepSpec:
        """Returns the sweep with every variant that has been suggested so far."""
        points = [point for points in self.rounds for point in points]
        rule = self.spec.search
        drawn = [Variant(variant_name(rule, n), rule.names.overrides(point)) for n, point in enumerate(points)]
        return replace(self.spec, variants=(*self.spec.variants, *drawn))

    def in_words(self) -> str:
        """Returns how far the search is."""
        return f"optuna: {self.num_suggested} of {self.spec.search.num_variants} variants are suggested so far"

    def earlier_trials(self) -> list[TrialSpec]:
        """Returns the trials of rounds that are not in the sweep any more: none."""
        return []

    def restart(self) -> None:
        """Does nothing: what was suggested stays, and its trials are trained anew."""

    def next_round(self) -> bool:
        """Suggests the next round where all before has ended and something is left to suggest; returns whether it did.

        Raises:
            EnvironmentFault: Optuna is not installed.
        """
        rule = self.spec.search
        trials = self.expand(self.sweep())
        ended = all(has_ended_for(self.store.folder(t).status(), self.spec.stopper) for t in trials)
        size = min(rule.at_once, rule.num_variants - self.num_suggested)
        if size <= 0 or (self.rounds and not ended):
            return False
        if self._known is None:
            self._known = [vars(one) for one in self._stored_observations()]
        observations = [Observation(**one) for one in self._known] + self._own_observations(trials)
        number = len(self.rounds)
        points = suggest(rule.space, observations, size, [rule.seed, number], first=self.num_suggested)
        if not points:
            return False
        self.rounds.append(points)
        content = {"header": self._header, "known_before": self._known, "rounds": self.rounds}
        write_twice(self._file, content)
        return True

    def _own_observations(self, trials: Sequence[TrialSpec]) -> list[Observation]:
        points = {
            variant_name(self.spec.search, number): point
            for number, point in enumerate(point for points in self.rounds for point in points)
        }
        by_label: dict[str, list[TrialFolder]] = {}
        for trial in trials:
            by_label.setdefault(trial.label, []).append(self.store.folder(trial))
        return [_observe(points[label], by_label[label], self.spec.metric) for label in points if label in by_label]

    def _stored_observations(self) -> list[Observation]:
        """Returns what the store's trials tell about the space, in the order of their folders' names.

        Of a space with choices of several keys, or with conditions, no config tells the point that it was drawn as.
        """
        space = self.spec.search.space
        if not self.spec.search.names.is_plain:
            return []
        found: dict[str, tuple[Point, list[TrialFolder]]] = {}
        for path in sorted(self.store.trials.iterdir()):
            content = read_checksummed(path / "trial.json") or {}
            config = content.get("config", {})
            point = {key: config.get(key) for key in space}
            # What a member of a population came to, its config alone does not tell.
            same = content and not content.get(SEGMENT_END_KEY) and content["data"] == self._origin.data
            same = same and content["weights"] == self._origin.weights
            same = same and content.get("code", "") == self._origin.code
            if not same or not all(law.holds(point[key]) for key, law in space.items()):
                continue
            if content["training_version"] != self._origin.training_version or _rest(config, space) != _rest(
                self._origin.config, space
            ):
                continue
            found.setdefault(json.dumps(point, sort_keys=True), (point, []))[1].append(TrialFolder(path))
        seen = [_observe(point, folders, self.spec.metric) for point, folders in found.values()]
        return [one for one in seen if one.status.ended_well]


def suggest(
    space: Mapping[str, Distribution],
    observations: Sequence[Observation],
    size: int,
    seed: Sequence[int],
    first: int = 0,
) -> list[Point]:
    """Returns up to ``size`` points that are not among those observations: a function of the arguments alone.

    Args:
        observations: what is known.
        seed: of the sampler.
        first: the number of the first point, for those that are drawn at random where Optuna repeats itself.
    """
    optuna = _import_optuna()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    laws = {key: _optuna_distribution(optuna, law) for key, law in space.items()}
    state = int(np.random.SeedSequence(list(seed)).generate_state(1)[0])
    # The points of one round are suggested as if those before them had come to nothing: they spread.
    sampler = optuna.samplers.TPESampler(seed=state, n_startup_trials=START_UP, constant_liar=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for one in observations:
        study.add_trial(_optuna_trial(optuna, one, space, laws))
    seen = [one.point for one in observations]
    points: list[Point] = []
    for number in range(first, first + size):
        params = study.ask(laws).params
        point = {key: _from_optuna(law, params[key]) for key, law in space.items()}
        tries = 0
        while point in seen and tries < 100:
            tries += 1
            point = draw_point(space, seed[0], 100 * number + tries)
        if point not in seen:
            seen.append(point)
            points.append(point)
    return points


def _import_optuna() -> Any:
    try:
        import optuna
    except ImportError:
        fix = "pip install -r requirements.txt, or pip install optuna, or search with method: random"
        raise EnvironmentFault(
            fault("search.method", "expected the package optuna to be installed", None, fix)
        ) from None
    return optuna


def _optuna_distribution(optuna: Any, law: Distribution) -> Any:
    """Steps and digits are rounded to afterwards; a choice is named by its place, so that lists can be chosen."""
    kinds = optuna.distributions
    if law.kind == CHOICE:
        return kinds.CategoricalDistribution(range(len(law.arguments)))
    if law.is_intact:
        return kinds.IntDistribution(int(law.arguments[0]), int(law.highest), log=law.is_log)
    return kinds.FloatDistribution(float(law.arguments[0]), law.highest, log=law.is_log)


def _from_optuna(law: Distribution, value: Any) -> Any:
    return law.arguments[value] if law.kind == CHOICE else law.rounded(value)


def _to_optuna(law: Distribution, value: Any) -> Any:
    if law.kind == CHOICE:
        return law.arguments.index(value)
    within = min(max(value, law.arguments[0]), law.highest)  # rounding may have left it by a digit
    return round(within) if law.is_intact else float(within)


def _optuna_trial(optuna: Any, one: Observation, space: Mapping[str, Distribution], laws: Mapping[str, Any]) -> Any:
    states = optuna.trial.TrialState
    common = {"params": {key: _to_optuna(space[key], one.point[key]) for key in space}, "distributions": dict(laws)}
    if one.status == TrialState.FINISHED:
        return optuna.trial.create_trial(value=one.value, **common)
    if one.status == TrialState.STOPPED:
        return optuna.trial.create_trial(state=states.PRUNED, intermediate_values={one.iteration: one.value}, **common)
    return optuna.trial.create_trial(state=states.FAIL, **common)


def _observe(point: Point, folders: Sequence[TrialFolder], metric: str) -> Observation:
    """Returns what the seeds of a point came to."""
    finished, stopped = [], []
    for folder in folders:
        records = folder.read_evaluations("valid")
        status = folder.status().status
        best = best_evaluation(records, metric)
        if best is None:
            continue
        if status == TrialState.FINISHED:
            finished.append(metric_value(best.metrics, metric) or 0.0)
        elif status == TrialState.STOPPED:
            stopped.append((records[-1].iteration, metric_value(records[-1].metrics, metric) or 0.0))
    if finished:
        return Observation(point, TrialState.FINISHED, fmean(finished))
    if stopped:
        iteration, value = max(stopped)
        return Observation(point, TrialState.STOPPED, value, iteration)
    return Observation(point, TrialState.FAILED)


def _rest(config: Mapping[str, Any], space: Mapping[str, Distribution]) -> dict[str, Any]:
    return {k: v for k, v in config.items() if k not in space and k not in NOT_IDENTITY and k != "SEED"}


def _read(path: Path) -> dict[str, Any]:
    """Returns what was suggested so far, empty where nothing was.

    Raises:
        StoreError: it was, and is damaged.
    """
    kept = read_either(path, ("header",))  # another method's search has other keys beside it
    if kept is None and (path.exists() or copy_of(path).exists()):
        anew = "the search then begins again, and its stored trials count as known before it"
        fix = f"bring it or {copy_of(path).name} back, or remove both: {anew}"
        raise StoreError(fault(str(path), "expected what was suggested so far", "damage, in the copy, too", fix))
    return kept or {}


def open_search(spec: SweepSpec, expand: Expand, store: Store) -> Suggestions | Population | None:
    """Returns what suggests a sweep's variants while it runs; None where all of them are known from the beginning."""
    if spec.search.method == PBT:
        return Population(spec, expand, store)
    return Suggestions(spec, expand, store) if spec.search.method == OPTUNA else None
