"""Race and HyperBand: trials make way for each other, continue from their checkpoints, and are stopped on record."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ray.tune.schedulers import TrialScheduler

from agropest.analysis.sweep_comparison import compare_trials
from agropest.data.dataset import Dataset, load_dataset
from agropest.data.demo.draw import draw_demo_dataset
from agropest.statistics.detections.boxes import Boxes, GroundTruth
from agropest.store.completeness import is_stopped
from agropest.store.records import OUT_OF_MEMORY, EvaluationRecord, Status, TrialState
from agropest.store.store import Store
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import SweepSpec, load_sweep
from agropest.sweep.trial import TrialSpec
from agropest.tuning.stopping.lockstep import Lockstep
from agropest.tuning.stopping.stopping_state import StoppingState, open_stopping_state
from launch import main

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow  # two launches; tests/scenarios/test_shared_launch.py has one with hyperband
def test_hyperband_through_a_launch_and_another_sweep_finishes_what_it_stopped(
    tiny_sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tiny_sweep.read_text()
    tiny_sweep.write_text(
        text + "  slow: {SOLVER.BASE_LR: 0.001}\n  slower: {SOLVER.BASE_LR: 0.0001}\n"
        "stop: {method: hyperband, reduction_factor: 2, keep_baseline: false}\n"
    )

    def words(sweep: Path) -> list[str]:
        # One trial at a time: of two side by side, one may be past a rung before the other has reached it.
        alone = (f"resources.cpus={os.cpu_count()}", "resources.threads=1")
        settings = ("SOLVER.MAX_ITER=8", "silence=[no-effect]", f"name={sweep.stem}", *alone)
        return [str(sweep), "--results", str(tmp_path / "r"), "--no-dashboard", *(f"--set={one}" for one in settings)]

    def launch(sweep: Path) -> str:
        command = [sys.executable, str(ROOT / "launch.py"), *words(sweep)]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    launch(tiny_sweep)
    rows = pd.read_csv(tmp_path / "r" / "tiny" / "ranking.csv")
    # One bracket of four: two are out at the first of four evaluations, one at the second.
    assert list(rows["status"]) == ["finished", "stopped", "stopped", "stopped"]
    assert sorted(rows["iteration"]) == [2, 2, 4, 8]
    assert "stopped early: " in (tmp_path / "r" / "tiny" / "ranking.md").read_text()
    for folder in (tmp_path / "r" / "trials").glob("*-*"):  # at most the best and the last
        assert 1 <= len(list(folder.glob("checkpoints/*.pth"))) <= 2

    one = rows["signature"][rows["iteration"] == 2].iloc[0]
    [boxes] = (tmp_path / "r" / "trials").glob(f"*-{one}/evaluations/valid-00000002.npz")
    whole = boxes.read_bytes()
    boxes.write_bytes(b"?" * len(whole))
    assert main([*words(tiny_sweep), "--plan"]) == 0
    assert "1 unfinished (an evaluation is missing or damaged)" in capsys.readouterr().out
    assert "damaged since: evaluated again, and not trained further: " in launch(tiny_sweep)
    assert boxes.read_bytes() == whole
    columns = ["label", "status", "iteration", "val_AP", "val_AP50", "signature"]
    again = pd.read_csv(tmp_path / "r" / "tiny" / "ranking.csv")
    pd.testing.assert_frame_equal(rows[columns], again[columns])

    every = tiny_sweep.with_name("every.yaml")
    every.write_text(tiny_sweep.read_text().split("stop:")[0] + "stop: none\n")
    assert "stopped early in other sweeps, continued here: " in launch(every)
    rows = pd.read_csv(tmp_path / "r" / "every" / "ranking.csv")
    assert list(rows["status"]) == ["finished"] * 4
    assert main(words(tiny_sweep)) == 0
    assert "starting Ray" not in capsys.readouterr().out


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A data set with 100 validation images: enough for a race."""
    folder = tmp_path_factory.mktemp("hundred") / "insects"
    draw_demo_dataset(folder, seed=4, train=2, valid=100, test=2, image_size_px=64)
    return load_dataset(folder, tmp_path_factory.mktemp("converted"))


def plan(tmp_path: Path, dataset: Dataset, more: str = "") -> tuple[SweepSpec, list[TrialSpec], Store]:
    path = tmp_path / "a.yaml"
    path.write_text(
        "config: {SOLVER: {MAX_ITER: 1000, STEPS: [600], WARMUP_ITERS: 10}, TEST.EVAL_PERIOD: 200}\n"
        f"variants: {{good: {{}}, bad: {{DATALOADER.REPEAT_THRESHOLD: 0.3}}}}\nseeds: [1]\n{more}"
    )
    spec = load_sweep(path)
    return spec, expand_trials(spec, dataset.fingerprint, dataset.class_names), Store(tmp_path / "results")


def evaluate(store: Store, trial: TrialSpec, dataset: Dataset, iteration: int, share: float) -> None:
    """Stores an evaluation that finds a share of the objects, exactly."""
    truth = GroundTruth.from_coco(dataset.splits["valid"].annotations)
    some = [a for i, a in enumerate(truth.annotations) if (i * 7919) % 100 < 100 * share]
    boxes = Boxes(
        np.array([a["image_id"] for a in some]),
        np.array([a["category_id"] for a in some]),
        np.array([a["bbox"] for a in some], dtype=np.float32).reshape(-1, 4),
        np.full(len(some), 0.9, dtype=np.float32),
    )
    folder = store.folder(trial).claim()
    folder.write_status(Status(TrialState.RUNNING, iteration))
    record = EvaluationRecord("valid", iteration, {"AP": 100 * share}, len(boxes), len(truth.images), 0.1)
    folder.write_evaluation(record, boxes.save)


def test_the_race_is_read_from_the_store_and_the_next_launch_begins_with_its_stops(
    hundred: Dataset, tmp_path: Path
) -> None:
    spec, (good, bad), store = plan(tmp_path, hundred)
    assert spec.stop.method == "race"
    for iteration in (200, 400):
        evaluate(store, good, hundred, iteration, 0.9)
        evaluate(store, bad, hundred, iteration, 0.2)
    stopping = open_stopping_state(spec, [good, bad], set(), hundred, store)
    assert stopping is not None
    stop = stopping.decide()["bad"]
    assert (stop.iteration, stop.rival) == (200, "good")
    assert stop.std_error > 1
    assert stopping.still_in([good, bad]) == [good]
    status = store.folder(bad).status()
    assert (status.status, status.iteration) == (TrialState.STOPPED, 400)
    assert "stopped early: worse than good at iteration 200" in status.reason


def test_a_damaged_evaluation_is_not_there_and_stops_nothing(hundred: Dataset, tmp_path: Path) -> None:
    spec, (good, bad), store = plan(tmp_path, hundred)
    for iteration in (200, 400):
        evaluate(store, good, hundred, iteration, 0.9)
        evaluate(store, bad, hundred, iteration, 0.2)
    [first, _] = store.folder(bad).read_evaluations("valid")
    boxes = store.folder(bad).boxes_path(first)
    content = bytearray(boxes.read_bytes())
    content[len(content) // 2] ^= 1
    boxes.write_bytes(content)
    stopping = open_stopping_state(spec, [good, bad], set(), hundred, store)
    assert stopping is not None
    assert all(stop.iteration != 200 for stop in stopping.decide().values())
    truth = {"valid": GroundTruth.from_coco(hundred.splits["valid"].annotations)}
    table = compare_trials([good, bad], store, truth, baseline="good")
    assert {one.label: one.equal_iterations for one in table.variants}["bad"] == (400,)


def test_a_sweep_that_cannot_be_raced_is_not(hundred: Dataset, tiny_dataset: Dataset, tmp_path: Path) -> None:
    spec, trials, store = plan(tmp_path, hundred)
    assert open_stopping_state(spec, trials[:1], set(), hundred, store) is None
    assert open_stopping_state(spec, trials, set(), tiny_dataset, store) is None  # 6 validation images
    spec, trials, store = plan(tmp_path, hundred, "stop: none\n")
    assert open_stopping_state(spec, trials, set(), hundred, store) is None


class Controller:
    """As much of Tune's controller as the scheduler needs."""

    def __init__(self, trials: list[TrialSpec]) -> None:
        self.trials = [SimpleNamespace(config={"trial": t.name}, status="PENDING", label=t.label) for t in trials]

    def get_trials(self) -> list[Any]:
        return self.trials

    def pause_trial(self, trial: Any, should_checkpoint: bool) -> None:
        trial.status = "PAUSED"

    def stop_trial(self, trial: Any) -> None:
        trial.status = "TERMINATED"


def test_who_is_ahead_makes_way_and_who_is_out_never_runs_again(hundred: Dataset, tmp_path: Path) -> None:
    spec, trials, store = plan(tmp_path, hundred)
    good, bad = trials
    controller = Controller(trials)
    first, second = controller.trials
    scheduler = Lockstep(trials, StoppingState(spec, trials, set(), hundred, store))
    assert scheduler.choose_trial_to_run(controller) is first
    first.status = "RUNNING"
    evaluate(store, good, hundred, 200, 0.9)
    assert scheduler.on_trial_result(controller, first, {"iteration": 200}) == TrialScheduler.NOOP
    assert (first.status, scheduler.choose_trial_to_run(controller)) == ("PAUSED", second)
    second.status = "RUNNING"
    evaluate(store, bad, hundred, 200, 0.2)
    assert scheduler.on_trial_result(controller, second, {"iteration": 200}) == TrialScheduler.STOP
    assert store.folder(bad).status().status == TrialState.STOPPED
    second.status = "TERMINATED"
    scheduler.on_trial_complete(controller, second, {})
    assert scheduler.choose_trial_to_run(controller) is first
    first.status = "RUNNING"
    # It continues: what it had told before is told again, and nobody waits any more.
    assert scheduler.on_trial_result(controller, first, {"iteration": 200}) == TrialScheduler.CONTINUE
    evaluate(store, good, hundred, 400, 0.9)
    assert scheduler.on_trial_result(controller, first, {"iteration": 400}) == TrialScheduler.CONTINUE


def test_a_trial_that_ray_takes_up_again_is_waited_for_again(hundred: Dataset, tmp_path: Path) -> None:
    """A lost node: Ray tells of the trial's error, and adds it again."""
    spec, trials, store = plan(tmp_path, hundred)
    controller = Controller(trials)
    first, second = controller.trials
    scheduler = Lockstep(trials, StoppingState(spec, trials, set(), hundred, store))
    scheduler.on_trial_error(controller, second)
    scheduler.on_trial_add(controller, second)
    first.status = "RUNNING"
    evaluate(store, trials[0], hundred, 200, 0.9)
    assert scheduler.on_trial_result(controller, first, {"iteration": 200}) == TrialScheduler.NOOP


def test_a_paused_trial_that_is_out_is_ended_where_it_waits(hundred: Dataset, tmp_path: Path) -> None:
    spec, trials, store = plan(tmp_path, hundred)
    good, bad = trials
    controller = Controller([bad, good])
    waiting, running = controller.trials
    scheduler = Lockstep(trials, StoppingState(spec, trials, set(), hundred, store))
    waiting.status = "RUNNING"
    evaluate(store, bad, hundred, 200, 0.2)
    assert scheduler.on_trial_result(controller, waiting, {"iteration": 200}) == TrialScheduler.NOOP
    running.status = "RUNNING"
    evaluate(store, good, hundred, 200, 0.9)
    assert scheduler.on_trial_result(controller, running, {"iteration": 200}) == TrialScheduler.CONTINUE
    assert waiting.status == "TERMINATED"
    status = store.folder(bad).status()
    assert (status.status, status.iteration) == (TrialState.STOPPED, 200)
    assert not math.isnan(status.time_s)
    assert store.folder(good).status().status != TrialState.FINISHED


def test_a_trial_whose_node_was_lost_is_still_ended_when_it_is_out(hundred: Dataset, tmp_path: Path) -> None:
    """Ray takes it for one with an error, and adds it again."""
    spec, trials, store = plan(tmp_path, hundred)
    good, bad = trials
    controller = Controller([bad, good])
    lost, running = controller.trials
    scheduler = Lockstep(trials, StoppingState(spec, trials, set(), hundred, store))
    running.status = "RUNNING"
    evaluate(store, bad, hundred, 200, 0.2)
    scheduler.on_trial_result(controller, lost, {"iteration": 200})
    scheduler.on_trial_error(controller, lost)
    lost.status = "PENDING"
    scheduler.on_trial_add(controller, lost)
    evaluate(store, good, hundred, 200, 0.9)
    assert scheduler.on_trial_result(controller, running, {"iteration": 200}) == TrialScheduler.CONTINUE
    assert (lost.status, store.folder(bad).status().status) == ("TERMINATED", TrialState.STOPPED)


def test_what_a_failed_trial_had_stored_still_counts(hundred: Dataset, tmp_path: Path) -> None:
    spec, (good, bad), store = plan(tmp_path, hundred)
    evaluate(store, good, hundred, 200, 0.9)
    evaluate(store, bad, hundred, 200, 0.2)
    before = StoppingState(spec, [good, bad], set(), hundred, store).decide()
    store.folder(good).claim().write_status(Status(TrialState.FAILED, 200))
    assert StoppingState(spec, [good, bad], set(), hundred, store).decide() == before
    assert set(before) == {"bad"}


def test_nobody_waits_for_a_trial_that_lacks_gpu_memory(hundred: Dataset, tmp_path: Path) -> None:
    """It is run again when all others have ended: they would train to their end for it."""
    spec, _, store = plan(tmp_path, hundred)
    spec = load_sweep(spec.path, ["variants.late.DATALOADER.REPEAT_THRESHOLD=0.4", "baseline=good"])
    good, bad, late = expand_trials(spec, hundred.fingerprint, hundred.class_names)
    for trial, shares in ((good, [0.9, 0.9, 0.9]), (bad, [0.9, 0.9, 0.2]), (late, [0.9])):
        for iteration, share in zip((200, 400, 600), shares, strict=False):
            evaluate(store, trial, hundred, iteration, share)

    def out(status: Status) -> set[str]:
        store.folder(late).claim().write_status(status)
        return set(StoppingState(spec, [good, bad, late], set(), hundred, store).decide())

    assert out(Status(TrialState.INTERRUPTED, 200, reason="its process was killed")) == set()
    assert out(Status(TrialState.INTERRUPTED, 200, reason=OUT_OF_MEMORY)) == {"bad"}


def test_a_variant_is_not_judged_without_the_seeds_that_a_launch_leaves_out(hundred: Dataset, tmp_path: Path) -> None:
    spec, _, store = plan(tmp_path, hundred)
    spec = load_sweep(spec.path, ["seeds=[1, 2]", "stop.level=0.5"])
    trials = expand_trials(spec, hundred.fingerprint, hundred.class_names)
    [first, left] = [trial for trial in trials if trial.label == "bad"]
    for trial in trials:
        if trial is not left:
            evaluate(store, trial, hundred, 200, 0.2 if trial is first else 0.9)
    assert StoppingState(spec, trials, {left.name}, hundred, store).decide() == {}
    evaluate(store, left, hundred, 200, 0.2)
    assert set(StoppingState(spec, trials, {left.name}, hundred, store).decide()) == {"bad"}


def test_a_seed_that_stands_does_not_hold_up_the_others(hundred: Dataset, tmp_path: Path) -> None:
    """Of "late" one seed is left out at iteration 200 and the other runs: beyond 200 nobody waits for their mean."""
    spec, _, store = plan(tmp_path, hundred)
    settings = ["seeds=[1, 2]", "baseline=good", "variants.late.DATALOADER.REPEAT_THRESHOLD=0.4", "stop.level=0.5"]
    spec = load_sweep(spec.path, settings)
    trials = expand_trials(spec, hundred.fingerprint, hundred.class_names)
    left = next(trial for trial in trials if trial.label == "late")
    for trial in trials:
        for iteration, share in ((200, 0.9), (400, 0.9), (600, 0.2 if trial.label == "bad" else 0.9)):
            if trial.label != "late" or iteration == 200:
                evaluate(store, trial, hundred, iteration, share)
    assert set(StoppingState(spec, trials, {left.name}, hundred, store).decide()) == {"bad"}
    assert (
        set(StoppingState(spec, trials, set(), hundred, store).decide()) == set()
    )  # both will come: they are waited for


def test_the_baseline_is_never_out(hundred: Dataset, tmp_path: Path) -> None:
    spec, trials, store = plan(tmp_path, hundred, "baseline: bad\n")
    bad, good = trials
    for iteration in (200, 400):
        evaluate(store, good, hundred, iteration, 0.9)
        evaluate(store, bad, hundred, iteration, 0.2)
    stopping = open_stopping_state(spec, trials, set(), hundred, store)
    assert stopping is not None
    assert stopping.decide() == {}
    assert stopping.still_in(trials) == trials
    spec, trials, store = plan(tmp_path, hundred, "baseline: good\n")
    stopping = open_stopping_state(spec, trials, set(), hundred, store)
    assert stopping is not None
    assert list(stopping.decide()) == ["bad"]
    assert [trial.label for trial in stopping.still_in(trials)] == ["good"]
    assert store.folder(bad).status().stopped_for == (spec.stopper,)
    # When it is made the baseline, what was decided of it no longer counts.
    spec, trials, store = plan(tmp_path, hundred, "baseline: bad\n")
    assert not is_stopped(store.folder(bad).status(), spec.stopper)
    spec, trials, store = plan(tmp_path, hundred, "baseline: bad\nstop: {method: race, keep_baseline: false}\n")
    stopping = open_stopping_state(spec, trials, set(), hundred, store)
    assert stopping is not None
    assert list(stopping.decide()) == ["bad"]
