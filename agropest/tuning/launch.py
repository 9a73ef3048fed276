"""One launch of a sweep as a value: what is trained, on which data, where it is stored, on which Ray.

:func:`open_launch` reads top to bottom what a launch is made of. What has to be read from the store or computed is
computed once, when it is first asked for, so a launch is opened again after the store was changed on purpose.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from agropest.data.anchors.fitted import fitted_anchors
from agropest.data.dataset import Dataset
from agropest.data.health import findings_in_words, read_findings
from agropest.data.opening import open_dataset, require_splits
from agropest.data.set_apart import SetApart
from agropest.data.training_sets.opened import TrainingSets, open_training_sets
from agropest.errors import DataError, fault
from agropest.files import from_here
from agropest.machine import Machine, this_machine
from agropest.planning.capacity import node_of, unplaceable
from agropest.planning.early_stopping import why_nothing_stops
from agropest.planning.measurable import require_ground_truth
from agropest.planning.sweep_forecast import SweepForecast, forecast_sweep
from agropest.report.tables.stages import extensions_in_words
from agropest.statistics.accuracy.metric import require_metric
from agropest.store.completeness import has_ended_for, is_done
from agropest.store.records import TrialState
from agropest.store.sharing.evaluated_checkpoint import missing_checkpoint
from agropest.store.sharing.shared_work import Sharing, all_sharing, reached, with_checkpoints
from agropest.store.store import Store
from agropest.store.stored_versions import at_stored_versions
from agropest.store.upkeep.run_folder import in_own_folder, require_own_page
from agropest.sweep.command_line.run import AS_IT_IS, Run, run_of
from agropest.sweep.detectron2_keys import FlatConfig
from agropest.sweep.frameworks.command import is_command
from agropest.sweep.lint import NO_EFFECT, Remark, lint
from agropest.sweep.lint.subject import MOST_BUILT, first_seeds, may_fail_late
from agropest.sweep.plan import expand_trials
from agropest.sweep.sections.guard import require_guards
from agropest.sweep.sections.stop_rule import StopRule
from agropest.sweep.spec import SweepSpec, load_sweep
from agropest.sweep.trial import TrialSpec
from agropest.tuning.ray.connection import RayOptions
from agropest.tuning.search.generations import Population
from agropest.tuning.search.seed_rounds import SeedRounds
from agropest.tuning.search.suggestions import Suggestions, open_search

DEFAULT_RAY = RayOptions()


@dataclass(frozen=True)
class LaunchOptions:
    """What the command line says of a launch; None and empty: what the sweep file or the default says.

    Attributes:
        sweep: path of the sweep file.
        data: the data set's folder, over the file's ``data:``.
        results: the results folder.
        settings: ``KEY=VALUE``, over the file's.
        name: of the folder in the results folder; empty: that of the run (:mod:`agropest.sweep.command_line.run`).
        ray: how the launch gets its Ray.
    """

    sweep: Path
    data: Path | None = None
    results: Path = Path("results")
    settings: Sequence[str] = ()
    name: str = ""
    ray: RayOptions = DEFAULT_RAY


@dataclass(frozen=True)
class Launch:
    """One launch, or one round of it where a search suggests trials round after round.

    Attributes:
        spec: the sweep.
        trials: all of the sweep's, in any state.
        dataset: checked and converted; the first of several versions, by which all trials are evaluated.
        store: the results folder.
        ray: the cluster to use, or how to start one on this machine.
        search: what suggests trials, or adds seeds; None where the file enumerates them.
        others: what variants train on beside the data set's whole training split, by its words.
        run: which launch of the sweep file it is.
    """

    spec: SweepSpec
    trials: Sequence[TrialSpec]
    dataset: Dataset
    store: Store
    ray: RayOptions = DEFAULT_RAY
    search: Suggestions | Population | SeedRounds | None = None
    others: Mapping[str, Dataset] = field(default_factory=dict)
    run: Run = AS_IT_IS

    @property
    def training_sets(self) -> TrainingSets:
        """What each trial trains on."""
        return TrainingSets(self.dataset, self.others)

    @property
    def folder(self) -> Path:
        """``results/<sweep>``."""
        return self.store.sweep_folder(self.spec.name)

    @property
    def all_trials(self) -> list[TrialSpec]:
        """The trials of this round and those of the rounds before it."""
        return [*(self.search.earlier_trials() if self.search else []), *self.trials]

    @cached_property
    def trained(self) -> list[TrialSpec]:
        """The trials that train, without those that only evaluate weights."""
        return [trial for trial in self.trials if trial.trains]

    @cached_property
    def pending(self) -> list[TrialSpec]:
        """The trials that are not done: what a launch has to run or to complete."""
        spec = self.spec
        return [t for t in self.trials if not is_done(t, self.store, spec.metric, self.dataset.splits, spec.stopper)]

    @cached_property
    def sharing(self) -> dict[str, Sharing]:
        """What each trial has in common with others, of this sweep or stored by another, by its name."""
        return all_sharing(self.trials, self.store, with_checkpoints(self.store))

    @cached_property
    def why_nothing_stops(self) -> str:
        """Why early stopping stops nothing although the sweep asks for it; empty where it may."""
        return why_nothing_stops(self.spec.stop, self.trained, self.dataset)

    @property
    def planned_stop(self) -> StopRule:
        """The rule of early stopping that a forecast may count on."""
        return StopRule() if self.why_nothing_stops else self.spec.stop

    def unplaceable(self, fresh: bool, retry_failed: bool) -> list[str]:
        """Returns a fault for every demand of trials to be run that this machine cannot meet.

        Nothing is known of a cluster.

        Args:
            fresh: whether ``--fresh`` sets aside what is stored before: then every trial is run.
            retry_failed: whether ``--retry-failed`` takes the failed trials up before.
        """
        if self.ray.cluster:
            return []
        statuses = {trial.name: self.store.folder(trial).status().status for trial in self.trials}
        failed = [trial for trial in self.trials if statuses[trial.name] == TrialState.FAILED]
        trials = self.trials if fresh else [*self.pending, *(failed if retry_failed else [])]
        return unplaceable(trials, [node_of(this_machine())], self.spec.with_own_resources)

    @cached_property
    def missing_checkpoints(self) -> list[str]:
        """A fault for every pending evaluation whose training is done and has not kept what is to be evaluated."""
        trained = {trial.signature for trial in self.pending if trial.evaluates is None}
        faults = []
        for trial in self.pending:
            if trial.source is not None and trial.source.signature not in trained:
                faults.append(missing_checkpoint(trial, self.store.folder(trial.source)))
        return [fault for fault in faults if fault]

    def lint(self, build_silenced: bool = False) -> list[Remark]:
        """Returns the linter's remarks.

        Args:
            build_silenced: whether every variant is built once even where the file silences the rule that needs it;
                those with settings that show only late (test-time augmentation, crops) are in any case.

        Raises:
            SweepFileError: Detectron2 cannot build a variant.
        """
        return lint(self.spec, self.trials, self.dataset, self._idle_overrides(build_silenced), self.others)

    def forecast(self, probe: bool = False) -> tuple[list[TrialSpec], SweepForecast]:
        """Returns the trials as this machine would run them, and what the pending ones are expected to take.

        Args:
            probe: whether to measure what was not measured before.
        """
        from agropest.tuning.workers.sizing import Sizing  # imports torch where it measures

        say, sets = functools.partial(print, flush=True), self.training_sets
        sizing = Sizing(self.store, self.dataset.paths, this_machine(), say, training=sets.train_paths)
        if probe:
            pending = sizing.resolve(self.pending)
            sizing.measure(pending)
        else:
            pending = sizing.resolve_kept(self.pending)
        for remark in sizing.remarks:
            print(remark)
        sized = {trial.name: trial for trial in pending}
        forecast = self.forecast_on(sizing.machine, pending)
        return [sized.get(trial.name, trial) for trial in self.trials], forecast

    def forecast_on(self, machine: Machine, pending: Sequence[TrialSpec]) -> SweepForecast:
        """Returns what sized trials that are not done are expected to take on a machine."""
        spec, num_images, known = self.spec, self.dataset.num_images, self.reached(pending)
        return forecast_sweep(
            self.planned_stop,
            pending,
            self.store,
            machine,
            num_images,
            spec.baseline,
            known,
            spec.max_concurrent,
            spec.stopper,
        )

    def reached(self, pending: Sequence[TrialSpec]) -> dict[str, int]:
        """Returns up to which iteration pending trials take over what others have stored, where that is any."""
        return reached(self.sharing, pending, self.store, self.spec.metric)

    def extensions_in_words(self) -> list[str]:
        """Returns where each pending trial of ``extend:`` continues from."""
        sources = {variant.name: variant.extends for variant in self.spec.variants if variant.extends}
        return extensions_in_words(sources, self.trials, self.reached(self.pending), self.store) if sources else []

    def next_round(self) -> Launch | None:
        """Returns the launch of the next round that the search suggests; None where there is none."""
        if self.search is None or not self.search.next_round():
            return None
        spec = self.search.sweep()
        return replace(self, spec=spec, trials=self.search.expand(spec))

    def last_ended_round(self) -> Launch | None:
        """Returns the launch with the seeds whose round has ended, where this one's has not; else None.

        Half a round has no verdict: some variants would have seeds that others, and the baseline, have not.
        """
        statuses = [self.store.folder(trial).status() for trial in self.trials]
        has_ended = all(has_ended_for(status, self.spec.stopper) for status in statuses)
        if not isinstance(self.search, SeedRounds) or has_ended:
            return None
        spec = self.search.ended_sweep()
        return replace(self, spec=spec, trials=self.search.expand(spec)) if spec else None

    def reread(self) -> Launch:
        """Returns the same launch for which nothing was computed yet: after the store was changed on purpose."""
        return replace(self, trials=at_stored_versions(self.trials, self.store))

    def _idle_overrides(self, build_silenced: bool) -> Mapping[str, Sequence[str]]:
        from agropest.training.dry_run.remembered_effects import idle_overrides

        is_silent = NO_EFFECT in self.spec.silence
        variants = [trial for trial in first_seeds(self.trained) if not is_command(trial.config)]
        baseline = next(trial for trial in self.trials if trial.label == self.spec.baseline)
        if is_silent and not build_silenced:
            variants = [trial for trial in variants if may_fail_late(trial)]
        variants = variants[:MOST_BUILT]
        why = "whether it can be" if is_silent else "what it changes"
        if is_silent:
            variants = [replace(trial, overrides={}) for trial in variants]
        text = f"building each of {len(variants)} variants once, to see {why}"
        say = functools.cache(functools.partial(print, text, flush=True))  # said once, whatever is asked how often
        idle: dict[str, Sequence[str]] = {}
        for words in dict.fromkeys(trial.config["DATASETS.TRAIN"][0] for trial in variants):
            its = [trial for trial in variants if trial.config["DATASETS.TRAIN"][0] == words]
            dataset = self.training_sets.of(its[0].config)
            idle |= idle_overrides(its, baseline, dataset, self.store.root / "plans", self.spec.path, say)
        return idle


def open_launch(options: LaunchOptions) -> Launch:
    """Returns the launch that the command line asks for: the sweep read, the data opened, the trials expanded.

    Raises:
        AgropestError: the sweep file, the data set or the results folder is at fault.
    """
    named = (f"name={options.name}",) if options.name else ()  # checked as the file's own is
    spec = load_sweep(options.sweep, [*options.settings, *named])
    spec, run = run_of(spec, options.settings, options.data, options.name)
    root = options.data or spec.data
    if options.data and len(spec.versions) > 1:
        fix = "leave --data out, or --set data=DIR for one of them"
        raise DataError(fault("--data", "expected none where a sweep has several versions of its data", root, fix))
    if root is None:
        raise DataError(
            fault(f"{spec.path}: data", "expected the data set's folder", None, "add it, or give --data DIR")
        )
    store = Store(options.results)
    if spec.draws_demo and options.data is None:
        _draw_missing_demo(root)
    dataset = _open_data(root, store, spec.split, "--data" if options.data else f"{spec.path}: data")
    require_metric(spec.metric, dataset.class_names, f"{spec.path}: metric")
    require_ground_truth(spec.metric, dataset, f"{spec.path}: metric")
    require_guards(spec.guards, dataset.class_names, f"{spec.path}: guard")
    spec, run = in_own_folder(spec, run, dataset, store)
    sets = _open_training_sets(spec, dataset, store)

    def fit_anchors(config: FlatConfig, per_level: int, where: str) -> FlatConfig:
        return fitted_anchors(sets.of(config), config, per_level, where)

    def expand(some: SweepSpec) -> list[TrialSpec]:
        planned = expand_trials(some, dataset.fingerprint, dataset.class_names, fit_anchors, sets.fingerprints)
        return at_stored_versions(planned, store)

    search = (
        SeedRounds(spec, expand, store, dataset) if spec.seed_rule.is_adaptive else open_search(spec, expand, store)
    )
    spec = search.sweep() if search else spec
    trials = expand(spec)
    require_own_page(spec, trials, run, dataset, store)
    return Launch(spec, trials, dataset, store, options.ray, search, sets.others, run)


def _open_training_sets(spec: SweepSpec, dataset: Dataset, store: Store) -> TrainingSets:
    """Opens the further versions of the data, and chooses the shares of training pictures that variants ask for."""
    others = dict(list(spec.versions.items())[1:])
    versions = {
        name: _open_data(root, store, None, f"{spec.path}: data.{name}", ("train",)) for name, root in others.items()
    }
    try:
        sets = open_training_sets([variant.training for variant in spec.variants], dataset, versions)
    except DataError as error:
        raise DataError(
            *(f"{spec.path}: {text}" if text.startswith("data.") else text for text in error.faults)
        ) from None
    for remark in sets.remarks:
        print(remark, flush=True)
    for words, chosen in sets.others.items():
        split = chosen.splits["train"]
        print(f"data: {words}: {split.num_images} images with {split.num_boxes} boxes", flush=True)
    return sets


def _draw_missing_demo(folder: Path) -> None:
    """Draws the demo's pictures into a folder that does not exist yet; an existing one is taken as it is."""
    from agropest.data.demo.draw import draw_demo_dataset

    if not folder.exists():
        print(f"data: drawing the demo's pictures into {folder} (once, about ten seconds)", flush=True)
        draw_demo_dataset(folder)


def _open_data(
    root: Path, store: Store, split: SetApart | None, where: str, needed: Sequence[str] = ("train", "valid")
) -> Dataset:
    """Returns the data set, checked and converted once, and says what it holds.

    Args:
        split: of the sweep file.
        where: its folder is named.
        needed: the splits that it must have.

    Raises:
        DataError: it cannot be read, lacks a split, or has one that cannot be trained on.
    """
    try:
        dataset = open_dataset(root, cache_root=store.root / "data", split=split)
        require_splits(dataset, needed)
    except DataError as error:  # of a file in it: that file is named
        faults = (f"{where}: {text}" if text.startswith("data set ") else text for text in error.faults)
        raise DataError(*faults) from None
    images = ", ".join(f"{split.num_images} {name}" for name, split in dataset.splits.items())
    kinds = findings_in_words(read_findings(dataset.health))
    remark = f"; {kinds} ({from_here(dataset.health)})" if kinds else ""
    print(f"data: {from_here(root)}: {len(dataset.class_names)} classes, images: {images}{remark}", flush=True)
    return dataset
