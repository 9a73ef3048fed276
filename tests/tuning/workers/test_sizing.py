"""``auto`` becomes numbers: with a simulated card, with a real probe on the CPU, and from what was kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agropest.data.dataset import Dataset
from agropest.errors import EnvironmentFault
from agropest.machine import Card, Machine
from agropest.planning.measurement import Measurement, similar_key, work_key
from agropest.planning.measurement_cache import MeasurementCache
from agropest.planning.speeds import Speeds
from agropest.store.store import Store
from agropest.sweep.plan import expand_trials
from agropest.sweep.sections.resources import Resources
from agropest.sweep.spec import load_sweep
from agropest.sweep.trial import TrialSpec
from agropest.training.dry_run.probe import Probe, largest_evaluated
from agropest.training.run_context import RunContext
from agropest.training.trial import detectron2_config
from agropest.tuning.workers.probing import ProbeError, ProbeJob, run_together
from agropest.tuning.workers.sizing import Sizing

GIB = 1 << 30
CARDS = Machine("EPYC", 16, (Card("simulated", 24 * GIB),) * 2)
CORES = Machine("EPYC", 4)


def trials_of(path: Path, dataset: Dataset, *settings: str) -> list[TrialSpec]:
    return expand_trials(load_sweep(path, settings), dataset.fingerprint, dataset.class_names)


class Simulated:
    """Answers as a card that is busy with two trials would, and counts what it was asked."""

    def __init__(self, memory_gib: dict[str, float]) -> None:
        self.memory_gib = memory_gib
        self.asked: list[tuple[str, int]] = []

    def __call__(self, job: ProbeJob) -> list[Measurement]:
        self.asked.append((job.trial.label, job.concurrent))
        step_s = 0.1 * max(1.0, job.concurrent / 2)
        memory = int(self.memory_gib.get(job.trial.label, 1.0) * GIB)
        threads, workers = job.context.num_threads, job.context.loader_workers
        modes = job.context.lean, job.context.deterministic
        found = Measurement(job.device, threads, workers, step_s, 0.15, 0.01, 1.0, memory, job.concurrent, *modes)
        return [found] * job.concurrent


def test_each_kind_gets_its_share_and_a_second_launch_measures_nothing(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    trials = trials_of(tiny_sweep, tiny_dataset, "resources=auto", "seeds=[1,2,3]")
    store, card = Store(tmp_path / "r"), Simulated({"baseline": 3, "focal": 14})
    sized = Sizing(store, {}, CARDS, ask=card).resolve(trials)
    assert [trial.name for trial in sized] == [trial.name for trial in trials]
    assert card.asked == [("baseline", 1), ("focal", 1)]  # of focal, which needs more, one fits on a card
    assert {trial.label: trial.resources.gpus for trial in sized} == {"baseline": 1.0, "focal": 1.0}

    card = Simulated({"baseline": 3, "focal": 4})
    sized = Sizing(Store(tmp_path / "other"), {}, CARDS, ask=card).resolve(trials)
    assert card.asked == [("baseline", 1), ("focal", 1), ("focal", 2), ("focal", 3)]
    assert {trial.resources.gpus for trial in sized} == {0.5}
    assert {trial.resources.cpus for trial in sized} == {4}  # 16 cores, two trials on each of two cards
    assert {trial.resources.loader_workers for trial in sized} == {2}  # 0.15 s to load, 0.1 s to train
    assert not any(trial.resources.auto for trial in sized)
    again = Simulated({})
    assert Sizing(Store(tmp_path / "other"), {}, CARDS, ask=again).resolve(trials) == sized
    assert again.asked == []


def test_a_measurement_of_other_modules_is_made_again(tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    """Lean and stock modules, and deterministic algorithms, have speeds and memory of their own."""
    store = Store(tmp_path / "r")
    asked = []
    for resources in ("{gpus: auto}", "{gpus: auto, lean: true}", "{gpus: auto, deterministic: true}") * 2:
        trials = trials_of(tiny_sweep, tiny_dataset, f"resources={resources}", "seeds=[1]")[:1]
        card = Simulated({"baseline": 14})
        Sizing(store, {}, CARDS, ask=card).resolve(trials)
        asked.append(len(card.asked))
    assert all(number > 0 for number in asked[:3])
    assert asked[3:] == [0, 0, 0]
    ways = {(one.lean, one.deterministic) for one in MeasurementCache(store).read(trials[0], "simulated")}
    assert ways == {(False, False), (True, False), (False, True)}


def test_fixed_numbers_stay(tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    trials = trials_of(
        tiny_sweep, tiny_dataset, "resources={gpus: auto, cpus: 3}", "variants.focal.resources={gpus: 1, cpus: 2}"
    )
    sized = Sizing(Store(tmp_path / "r"), {}, CARDS, ask=Simulated({})).resolve(trials)
    assert [(trial.label, trial.resources.cpus) for trial in sized] == [("baseline", 3), ("focal", 2)]
    assert sized[1].resources == trials[1].resources


def test_without_a_card_the_cores_are_measured_and_it_is_said(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    trials = trials_of(tiny_sweep, tiny_dataset, "resources=auto")
    sizing = Sizing(Store(tmp_path / "r"), {}, CORES, ask=Simulated({}))
    sized = sizing.resolve(trials)
    # The simulated step is as fast with one thread as with four, up to two processes: 2 and 4 at a time are level.
    assert {(trial.resources.cpus, trial.resources.num_threads) for trial in sized} == {(2.0, 2)}
    assert "no GPU" in sizing.remarks[0]
    assert "2 x 2 threads" in sizing.remarks[1]


def test_what_does_not_fit_side_by_side_is_left_out_and_said(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    class Full(Simulated):
        def __call__(self, job: ProbeJob) -> list[Measurement]:
            if job.concurrent > 2:
                raise ProbeError("out of memory")
            return super().__call__(job)

    trials = trials_of(tiny_sweep, tiny_dataset, "resources=auto", "seeds=[1,2,3]")
    sizing = Sizing(Store(tmp_path / "card"), {}, CARDS, ask=Full({}))
    assert {trial.resources.gpus for trial in sizing.resolve(trials)} == {0.5}
    assert any("gpus: auto stays below 3 trials on a card" in remark for remark in sizing.remarks)
    sizing = Sizing(Store(tmp_path / "cores"), {}, CORES, ask=Full({}))
    assert {trial.resources.cpus for trial in sizing.resolve(trials)} == {2}
    assert any("cpus: auto leaves out 4 x 1 threads" in remark for remark in sizing.remarks)


def test_a_fixed_number_of_threads_stays_and_few_trials_share_all_cores(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    trials = trials_of(tiny_sweep, tiny_dataset, "resources={cpus: auto, threads: 1, gpus: 0}")
    many = Machine("EPYC", 16)
    sized = Sizing(Store(tmp_path / "r"), {}, many, ask=Simulated({})).resolve(trials)
    assert {(trial.resources.threads, trial.resources.cpus) for trial in sized} == {(1, 8)}


def test_a_probe_that_fails_names_variant_reason_and_log(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    def fails(job: ProbeJob) -> list[Measurement]:
        raise ProbeError("OutOfMemoryError: CUDA out of memory")

    with pytest.raises(EnvironmentFault) as caught:
        Sizing(Store(tmp_path / "r"), {}, CARDS, ask=fails).resolve(
            trials_of(tiny_sweep, tiny_dataset, "resources=auto")
        )
    for piece in ("baseline", "out of memory", "log.txt", "auto"):
        assert piece in str(caught.value)


def briefly(job: ProbeJob) -> list[Measurement]:
    """A real probe, as short as it can be."""
    return run_together(replace(job, seconds=0.2))


def test_a_real_probe_of_two_processes_on_the_cpu(tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    trial = trials_of(tiny_sweep, tiny_dataset)[0]
    context = RunContext(tiny_dataset.paths, loader_workers=1)
    together = run_together(ProbeJob(trial, context, "EPYC", tmp_path / "p" / "log.txt", concurrent=2, seconds=0.2))
    assert len(together) == 2
    for found in together:
        assert (found.threads, found.loader_workers, found.concurrent) == (1, 1, 2)
        assert found.load_s > 0
        assert found.step_s > 0
        assert found.evaluation_image_s > 0
        assert 50 << 20 < found.memory_bytes < 8 << 30


def test_a_real_probe_is_kept_and_leaves_no_trial(tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    store = Store(tmp_path / "r")
    trials = trials_of(tiny_sweep, tiny_dataset, "resources={cpus: auto}")
    sized = Sizing(store, tiny_dataset.paths, Machine("EPYC", 1), ask=briefly).resolve(trials)
    assert [trial.resources for trial in sized] == [Resources(threads=1)] * 2
    kept = MeasurementCache(store).read(trials[0], "EPYC, 1 cores")
    assert [(m.threads, m.loader_workers, m.concurrent) for m in kept] == [(1, 0, 1)]
    assert not list((tmp_path / "r" / "trials").glob("*/status.json"))


def test_a_real_probe_says_why_it_failed(tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    trials = trials_of(tiny_sweep, tiny_dataset, "resources={cpus: auto}", "MODEL.PIXEL_STD=[0.0, 0.0, 0.0]")
    trials = [trials[0]]
    with pytest.raises(EnvironmentFault, match="expected finite losses"):
        Sizing(Store(tmp_path / "r"), tiny_dataset.paths, Machine("EPYC", 1), ask=briefly).resolve(trials)


def test_a_forecast_on_a_card_is_that_of_trials_that_share_it(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    trials = trials_of(tiny_sweep, tiny_dataset, "resources={gpus: 0.25, cpus: 1}", "seeds=[1,2,3,4]")
    store, card = Store(tmp_path / "r"), Simulated({})
    Sizing(store, {}, CARDS, ask=card).measure(trials)
    assert {concurrent for _, concurrent in card.asked} == {4}
    speed = Speeds(store, "simulated").of(trials[0])
    assert speed is not None
    assert speed.step_s == pytest.approx(0.2)  # 0.1 alone; four share a card that is busy with two
    MeasurementCache(store).keep(trials[0], Measurement("simulated", 1, 0, 0.1, 0.15, 0.01, 1.0, GIB, 1))
    MeasurementCache(store).keep(trials[0], Measurement("simulated", 1, 0, 0.4, 0.15, 0.01, 1.0, GIB, 8))
    assert Speeds(store, "simulated").of(trials[0]) == speed


def test_trials_of_a_cluster_are_spread_over_its_nodes(tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    trials = trials_of(tiny_sweep, tiny_dataset, "resources=auto", "seeds=[1,2]")
    here, of_four = (
        Sizing(Store(tmp_path / str(nodes)), {}, CARDS, ask=Simulated({}), num_nodes=nodes).resolve(trials)
        for nodes in (1, 4)
    )
    assert {trial.resources.gpus for trial in here} == {0.5}  # four trials, two cards
    assert {trial.resources.gpus for trial in of_four} == {1.0}  # four trials, eight cards


def test_a_probe_changes_no_weight_whatever_the_schedule(tiny_sweep: Path, tiny_dataset: Dataset) -> None:
    settings = ("SOLVER.BASE_LR=1e30", "SOLVER.CLIP_GRADIENTS.ENABLED=false", "SOLVER.LR_SCHEDULER_NAME=WarmupCosineLR")
    trial = trials_of(tiny_sweep, tiny_dataset, *settings)[0]
    probe = Probe(trial, RunContext(tiny_dataset.paths))
    assert probe._cfg.SOLVER.LR_SCHEDULER_NAME == "WarmupMultiStepLR"  # main's cosine divides by the learning rate
    before = {name: tensor.clone() for name, tensor in probe._trainer.model.named_parameters()}
    probe.warm_up()
    assert probe.measure(0.1, "EPYC").step_s > 0
    assert all(tensor.equal(before[name]) for name, tensor in probe._trainer.model.named_parameters())


def test_the_largest_evaluated_batch_is_of_one_size(tiny_sweep: Path, tiny_dataset: Dataset) -> None:
    cfg = detectron2_config(trials_of(tiny_sweep, tiny_dataset)[0], "cpu").clone()
    cfg.defrost()
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = 100, 1000
    sizes = [(100, 100)] * 9 + [(100, 1000)] + [(200, 300)] * 8  # at the input: 8 x 1e4, 1 x 1e5, 8 x 1.5e4 pixels
    records = [{"height": height, "width": width} for height, width in sizes]
    assert largest_evaluated(records, cfg) == [{"height": 200, "width": 300}] * 8
    cfg.INPUT.MIN_SIZE_TEST = 0  # nothing is resized: 8 x 6e4 against 1e5
    assert largest_evaluated(records, cfg) == [{"height": 200, "width": 300}] * 8
    assert len(largest_evaluated(records[:10], cfg)) == 1


def test_the_work_is_the_same_whatever_seed_and_schedule(tiny_sweep: Path, tiny_dataset: Dataset) -> None:
    def keys(*settings: str) -> tuple[str, str]:
        trial = trials_of(tiny_sweep, tiny_dataset, *settings)[0]
        return work_key(trial), similar_key(trial.config, trial.data)

    base = keys()
    assert keys("seeds=[9]", "SOLVER.MAX_ITER=99", "SOLVER.BASE_LR=0.5", "TEST.EVAL_PERIOD=7") == base
    assert keys("MODEL.FPN.OUT_CHANNELS=64")[0] != base[0]
    assert keys("MODEL.FPN.OUT_CHANNELS=64")[1] == base[1]
    assert keys("SOLVER.IMS_PER_BATCH=1")[1] != base[1]
