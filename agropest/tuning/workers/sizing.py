"""Turns ``auto`` into numbers: which probes are needed, what they say, what each trial gets.

What was measured is kept in the results folder, so that a sweep that is launched again measures nothing and gives its
trials what they had before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agropest.data.training_sets.opened import TrainingSets
from agropest.errors import EnvironmentFault, fault
from agropest.machine import Machine, this_machine
from agropest.planning import packing
from agropest.planning.measurement import Measurement, work_key
from agropest.planning.measurement_cache import MeasurementCache
from agropest.store.store import Store
from agropest.sweep.frameworks.command import is_command
from agropest.sweep.sections.resources import Resources
from agropest.sweep.trial import TrialSpec
from agropest.tuning.workers.probing import ProbeError, ProbeJob, run_together

Splits = Mapping[str, tuple[Path, Path]]
Ask = Callable[[ProbeJob], list[Measurement]]
# Loader workers of a probe on a card, so that it measures the card and not the decoding.
PROBE_WORKERS = 4


@dataclass
class Sizing:
    """Sizes the trials of one sweep.

    Args:
        store: the results folder; measurements are kept there.
        splits: split name to (COCO JSON, image folder).
        machine: whose cores and cards the trials get.
        say: called with what is being measured.
        ask: runs probes; another one than this machine's for a cluster.
        num_nodes: machines like this one that the trials are spread over.
        training: what trials train on beside the whole training split, by its words.
    """

    store: Store
    splits: Splits
    machine: Machine
    say: Callable[[str], None] = lambda text: None
    ask: Ask = run_together
    num_nodes: int = 1
    remarks: list[str] = field(default_factory=list)
    training: Mapping[str, tuple[Path, Path]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._shelf = MeasurementCache(self.store)

    def resolve(self, trials: Sequence[TrialSpec]) -> list[TrialSpec]:
        """Returns the trials with numbers for every ``auto``, in the same order.

        Args:
            trials: that wait to be run; those without ``auto`` are returned as they are.

        Raises:
            EnvironmentFault: a probe failed: the config cannot be trained here.
        """
        wanting = [trial for trial in trials if trial.resources.auto]
        if not wanting:
            return list(trials)
        on_gpu = [trial for trial in wanting if self._is_on_gpu(trial)]
        sized: dict[str, Resources] = {}
        if on_gpu:
            sized |= self._on_cards(on_gpu)
        sized |= self._on_cores([trial for trial in wanting if trial.name not in sized])
        return [replace(trial, resources=sized.get(trial.name, trial.resources)) for trial in trials]

    def resolve_kept(self, trials: Sequence[TrialSpec]) -> list[TrialSpec]:
        """Returns :meth:`resolve` where everything it needs was measured before; else the trials as they are."""
        try:
            kept = replace(self, ask=_refuse, say=_quiet, remarks=[])
            sized = kept.resolve(trials)
        except _NotMeasured:
            return list(trials)
        self.remarks.extend(kept.remarks)
        return sized

    def measure(self, trials: Sequence[TrialSpec]) -> None:
        """Measures every kind of work among sized trials as they will run, for the forecast; keeps it.

        Of a command nothing is measured: its own results say later how fast it is.
        """
        for trial in _kinds([trial for trial in trials if not is_command(trial.config)]).values():
            on_gpu = trial.resources.gpus > 0
            on_cores = max(1, int(self.machine.num_cores // max(trial.resources.cpus, 1)))
            concurrent = min(trial.resources.per_card, on_cores) if on_gpu else on_cores
            self._measured(trial, trial.resources, min(concurrent, max(1, len(trials))), on_gpu)

    def _is_on_gpu(self, trial: TrialSpec) -> bool:
        if "gpus" not in trial.resources.auto:
            return trial.resources.gpus > 0
        if not self.machine.cards:
            remark = "gpus: auto found no GPU: trials train on the CPU"
            if remark not in self.remarks:
                self.remarks.append(remark)
        return bool(self.machine.cards)

    def _on_cards(self, trials: Sequence[TrialSpec]) -> dict[str, Resources]:
        sized: dict[str, Resources] = {}
        for wanted in dict.fromkeys(trial.resources for trial in trials):
            group = [trial for trial in trials if trial.resources == wanted]
            packed = self._packed(group, wanted)
            sized |= {trial.name: _with(trial, packed, packed.shares[work_key(trial)]) for trial in group}
        return sized

    def _packed(self, trials: Sequence[TrialSpec], wanted: Resources) -> packing.CardPacking:
        cores = self.machine.num_cores
        fixed_cpus = 1.0 if "cpus" in wanted.auto else wanted.cpus
        workers = min(PROBE_WORKERS, max(0, cores - 1))
        probed = Resources(
            cpus=1, gpus=1, loader_workers=workers, threads=1, lean=wanted.lean, deterministic=wanted.deterministic
        )
        kinds = _kinds(trials)
        alone = {kind: self._measured(trial, probed, 1, on_gpu=True)[0] for kind, trial in kinds.items()}
        card = min(self.machine.cards, key=lambda card: card.memory_bytes)
        # Side by side the hungriest kind is measured: what is true of it holds for the others.
        hungriest = max(kinds, key=lambda kind: alone[kind].memory_bytes)
        throughput = {1: _images_per_s(kinds[hungriest], [alone[hungriest]])}
        if "gpus" in wanted.auto:
            for_card = packing.cores_for_card(cores, len(self.machine.cards))
            memory = alone[hungriest].memory_bytes
            while count := packing.next_count(throughput, memory, card, for_card, fixed_cpus):
                # With the loader workers that so many trials will have: with more, they would take each other's cores.
                times = alone[hungriest].load_s, alone[hungriest].step_s
                packed_so = replace(probed, loader_workers=packing.loader_workers(*times, for_card // count))
                try:
                    together = self._measured(kinds[hungriest], packed_so, count, on_gpu=True)
                except EnvironmentFault as error:  # so many do not fit, which is what is to be found out
                    self.remarks.append(f"gpus: auto stays below {count} trials on a card: {error}")
                    break
                throughput[count] = _images_per_s(kinds[hungriest], together)
        else:  # the file's author has decided how many share a card
            count = wanted.per_card
            throughput[count] = throughput[1] * count
        packed = packing.pack_cards(
            {kind: alone[kind].memory_bytes for kind in kinds},
            throughput,
            self.machine.cards,
            math.ceil(len(trials) / self.num_nodes),
            cores,
            alone[hungriest].load_s,
            alone[hungriest].step_s,
            fixed_cpus,
        )
        rates = ", ".join(f"{n} together {rate:.1f} images/s" for n, rate in sorted(throughput.items()))
        if "gpus" in wanted.auto:
            self.remarks.append(
                f"gpus: auto on {len(self.machine.cards)} x {card.name}: {packed.per_card} trials on a card ({rates})"
            )
        return packed

    def _on_cores(self, trials: Sequence[TrialSpec]) -> dict[str, Resources]:
        """Measures the layouts with the first trial (the baseline); the others get the same."""
        sized: dict[str, Resources] = {}
        for wanted in dict.fromkeys(trial.resources for trial in trials):
            group = [trial for trial in trials if trial.resources == wanted]
            layouts = [layout for layout in packing.cpu_layouts(self.machine.num_cores) if _allows(wanted, layout)]
            layouts = layouts or [packing.CpuLayout(1, max(1, int(wanted.cpus)), wanted.loader_workers)]
            on_each = math.ceil(len(group) / self.num_nodes)
            throughput = self._throughputs(group[0], packing.useful_layouts(layouts, on_each))
            best = packing.best_layout(throughput)
            rates = ", ".join(f"{_layout_words(layout)}: {rate:.1f}" for layout, rate in throughput.items())
            self.remarks.append(f"cpus: auto chose {_layout_words(best)} (images/s in all: {rates})")
            resources = Resources(
                float(best.cpus),
                0.0,
                best.loader_workers,
                threads=wanted.threads or best.threads,
                lean=wanted.lean,
                deterministic=wanted.deterministic,
            )
            sized |= {trial.name: resources for trial in group}
        return sized

    def _throughputs(self, trial: TrialSpec, layouts: Sequence[packing.CpuLayout]) -> dict[packing.CpuLayout, float]:
        """Returns images per second of every layout; without those that do not fit where others do."""
        found: dict[packing.CpuLayout, float] = {}
        for layout in layouts:
            try:
                found[layout] = self._throughput(trial, layout)
            except EnvironmentFault as error:
                if not found:
                    raise
                self.remarks.append(f"cpus: auto leaves out {_layout_words(layout)}: {error}")
        return found

    def _throughput(self, trial: TrialSpec, layout: packing.CpuLayout) -> float:
        threads = trial.resources.threads or layout.threads
        resources = Resources(
            float(layout.cpus),
            0.0,
            layout.loader_workers,
            threads=threads,
            lean=trial.resources.lean,
            deterministic=trial.resources.deterministic,
        )
        return _images_per_s(trial, self._measured(trial, resources, layout.trials, on_gpu=False))

    def _measured(self, trial: TrialSpec, resources: Resources, concurrent: int, on_gpu: bool) -> list[Measurement]:
        """Returns measurements of ``concurrent`` processes: kept ones (their mean, so often), or new ones."""
        from agropest.training.run_context import RunContext

        device, train = self.machine.device_name(on_gpu), self.training.get(trial.config["DATASETS.TRAIN"][0])
        modes = resources.is_lean, resources.deterministic
        kept = self._shelf.find(trial, device, (resources.num_threads, resources.loader_workers, concurrent, *modes))
        if kept is not None:
            return [kept] * concurrent
        self.say(f"measuring {trial.label}: {_together(concurrent)}, {resources.num_threads} threads each")
        context = RunContext(
            splits={**self.splits, **({"train": train} if train else {})},
            device="cuda" if on_gpu else "cpu",
            num_threads=resources.num_threads,
            loader_workers=resources.loader_workers,
            image_cache=self.store.decoded,
            lean=resources.is_lean,
            deterministic=resources.deterministic,
        )
        log = self._shelf.folder / "log.txt"
        try:
            found = self.ask(ProbeJob(trial, context, device, log, concurrent))
        except ProbeError as error:
            fix = f"see {log}; or give numbers in place of auto"
            rule = f"expected a probe of {_together(concurrent)} to train"
            raise EnvironmentFault(fault(trial.label, rule, str(error), fix)) from None
        mean = _mean(found)
        self._shelf.keep(trial, mean)
        return [mean] * concurrent


def sizing_here(sets: TrainingSets, store: Store, say: Callable[[str], None], cluster: bool = False) -> Sizing:
    """Returns what turns ``auto`` into numbers here, or on the cluster Ray is connected to.

    There it is the node with the most cards, then cores: a head that only directs has none. The others that have as
    much are taken to be like it.
    """
    if not cluster:
        return Sizing(store, sets.base.paths, this_machine(), say, training=sets.train_paths)
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]

    def size(one: Any) -> tuple[float, float]:
        return one["Resources"].get("GPU", 0.0), one["Resources"].get("CPU", 0.0)

    node = max(nodes, key=size)
    num_nodes = sum(size(one) == size(node) for one in nodes)
    there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    found_there = ray.remote(num_cpus=0)(this_machine).options(scheduling_strategy=there).remote()
    machine: Machine = ray.get(found_there)
    # Ray may have been started with fewer cores than there are: a probe that asks for more would wait for ever.
    machine = replace(machine, num_cores=max(1, min(machine.num_cores, int(node["Resources"].get("CPU", 1)))))

    def ask(job: ProbeJob) -> list[Measurement]:
        on_gpu = job.context.device == "cuda"
        task = ray.remote(num_cpus=machine.num_cores, num_gpus=int(on_gpu))(run_together)
        try:
            found: list[Measurement] = ray.get(task.options(scheduling_strategy=there).remote(job))
        except ray.exceptions.RayTaskError as error:
            raise ProbeError(str(error.cause)) from None
        return found

    return Sizing(store, sets.base.paths, machine, say, ask, num_nodes, training=sets.train_paths)


class _NotMeasured(Exception):
    """What a plan would have to measure first."""


def _refuse(job: ProbeJob) -> list[Measurement]:
    """Measures nothing, for a plan."""
    raise _NotMeasured


def _quiet(text: str) -> None:
    """Says nothing."""


def _kinds(trials: Sequence[TrialSpec]) -> dict[str, TrialSpec]:
    """Returns the first trial of each kind of work."""
    kinds: dict[str, TrialSpec] = {}
    for trial in trials:
        kinds.setdefault(work_key(trial), trial)
    return kinds


def _images_per_s(trial: TrialSpec, together: Sequence[Measurement]) -> float:
    """Returns the training images per second of all processes together."""
    batch = int(trial.config["SOLVER.IMS_PER_BATCH"])
    return sum(batch / measured.step_s for measured in together)


def _mean(found: Sequence[Measurement]) -> Measurement:
    """Returns what a process can expect: the rate that gives the same total; memory of the largest."""
    return replace(
        found[0],
        step_s=len(found) / sum(1 / m.step_s for m in found),
        load_s=sum(m.load_s for m in found) / len(found),
        evaluation_image_s=sum(m.evaluation_image_s for m in found) / len(found),
        start_s=max(m.start_s for m in found),
        memory_bytes=max(m.memory_bytes for m in found),
    )


def _with(trial: TrialSpec, packed: packing.CardPacking, share: float) -> Resources:
    """Returns a trial's resources on a card; what its file fixes stays."""
    fixed = trial.resources
    return replace(
        fixed,
        gpus=share if "gpus" in fixed.auto else fixed.gpus,
        cpus=packed.cpus if "cpus" in fixed.auto else fixed.cpus,
        loader_workers=packed.loader_workers if "loader_workers" in fixed.auto else fixed.loader_workers,
        auto=(),
    )


def _allows(wanted: Resources, layout: packing.CpuLayout) -> bool:
    """Returns whether a layout has the numbers that the file fixes."""
    cpus = "cpus" in wanted.auto or layout.cpus == wanted.cpus
    workers = "loader_workers" in wanted.auto or layout.loader_workers == wanted.loader_workers
    return cpus and workers


def _layout_words(layout: packing.CpuLayout) -> str:
    workers = f" + {layout.loader_workers} loader worker" if layout.loader_workers else ""
    return f"{layout.trials} x {layout.threads} threads{workers}"


def _together(concurrent: int) -> str:
    return "one trial" if concurrent == 1 else f"{concurrent} trials side by side"
