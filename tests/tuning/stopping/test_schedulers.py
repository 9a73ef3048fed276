"""Early stopping after the driver was killed decides as it would have: its state is rebuilt from the store."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.tune.schedulers import TrialScheduler

from agropest import files
from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.store import Store
from agropest.sweep.sections.stop_rule import ASHA, MEDIAN, StopRule
from agropest.sweep.trial import TrialSpec
from agropest.tuning.stopping.schedulers import build_scheduler, read_history
from agropest.tuning.workers.trainable import flat_metrics

MAX_ITER, PERIOD = 12, 2
TRIALS = [
    TrialSpec(f"v{i}", 1, {"SOLVER.MAX_ITER": MAX_ITER, "TEST.EVAL_PERIOD": PERIOD, "SEED": i}, data="d")
    for i in range(6)
]


class Nobody:
    def get_live_trials(self) -> list[object]:
        return []


def scheduler(rule: StopRule, store: Store, baseline: str = "") -> TrialScheduler:
    folders = {trial.name: store.folder(trial) for trial in TRIALS}
    history, stays = read_history(TRIALS, store, "AP"), {t.name for t in TRIALS if t.label == baseline}
    return build_scheduler(rule, "AP", MAX_ITER, PERIOD, "tiny: rule", folders, history, stays)


def steps(seed: int) -> list[tuple[TrialSpec, int, float]]:
    """The order in which six trials would report, two at a time, with made-up metrics."""
    draw = random.Random(seed)
    order = []
    for pair in (TRIALS[i : i + 2] for i in range(0, len(TRIALS), 2)):
        for iteration in range(PERIOD, MAX_ITER + 1, PERIOD):
            for trial in draw.sample(pair, 2):
                order.append((trial, iteration, draw.uniform(0, 50)))
    return order


def run(rule: StopRule, store: Store, order: list[tuple[TrialSpec, int, float]], kill_at: frozenset[int]) -> list[str]:
    """Plays a sweep whose driver is killed before some steps; returns what the trials came to."""
    decider = scheduler(rule, store)
    for step, (trial, iteration, value) in enumerate(order):
        folder = store.folder(trial)
        if folder.status().status in (TrialState.STOPPED, TrialState.FINISHED):
            continue
        record = EvaluationRecord("valid", iteration, {"AP": value}, 1, 1, 0.1, stored_at=1000.0 + step)
        claimed = folder.claim()
        claimed.write_evaluation(record, lambda path: (path.parent.mkdir(exist_ok=True), path.write_bytes(b"x")))
        claimed.write_status(Status(TrialState.RUNNING, iteration))
        if step in kill_at:  # between the evaluation and what the scheduler makes of it
            decider = scheduler(rule, store)
            if folder.status().status == TrialState.STOPPED:
                continue
        its_trial = SimpleNamespace(trial_id=f"{trial.label}-{len(kill_at)}", config={"trial": trial.name})
        if iteration == MAX_ITER:
            claimed.write_status(Status(TrialState.FINISHED, iteration))
            decider.on_trial_complete(Nobody(), its_trial, flat_metrics(record, "AP"))
        else:
            decider.on_trial_result(Nobody(), its_trial, flat_metrics(record, "AP"))
    return [f"{store.folder(t).status().status} {store.folder(t).status().iteration}" for t in TRIALS]


@pytest.mark.parametrize("method", [ASHA, MEDIAN])
def test_stops_after_kills_are_those_of_an_undisturbed_sweep(method: str, tmp_path: Path) -> None:
    rule = StopRule(method=method, grace_period_iters=PERIOD)
    stopped = 0
    for seed in range(12):
        order = steps(seed)
        kills = frozenset(random.Random(100 + seed).sample(range(len(order)), 5))
        undisturbed = run(rule, Store(tmp_path / f"{seed}-whole"), order, frozenset())
        killed = run(rule, Store(tmp_path / f"{seed}-killed"), order, kills)
        assert killed == undisturbed
        stopped += sum(outcome.startswith(TrialState.STOPPED) for outcome in killed)
    assert stopped > 6


def test_a_trial_that_went_on_is_not_stopped_afterwards(tmp_path: Path) -> None:
    """It was the best when it reported; that others were better later does not stop it when it is told again."""
    store = Store(tmp_path)
    for step, (trial, iteration, value) in enumerate([(TRIALS[0], 2, 1.0), (TRIALS[0], 4, 1.0), (TRIALS[1], 2, 9.0)]):
        claimed = store.folder(trial).claim()
        record = EvaluationRecord("valid", iteration, {"AP": value}, 1, 1, 0.1, stored_at=float(step))
        claimed.write_evaluation(record, lambda path: (path.parent.mkdir(exist_ok=True), path.write_bytes(b"x")))
        claimed.write_status(Status(TrialState.RUNNING, iteration))
    decider = scheduler(StopRule(method=ASHA, grace_period_iters=2), store)
    told = SimpleNamespace(trial_id="new", config={"trial": TRIALS[0].name})
    for iteration in (2, 4):
        assert decider.on_trial_result(Nobody(), told, {"AP": 1.0, "iteration": iteration}) == TrialScheduler.CONTINUE
    assert store.folder(TRIALS[0]).status().status == TrialState.RUNNING


@pytest.mark.parametrize("method", [ASHA, MEDIAN])
def test_the_baseline_and_what_another_sweep_finished_are_heard_of_and_never_stopped(
    method: str, tmp_path: Path
) -> None:
    """By the metric alone the worst of them is out; the median rule asks not to hear of it again."""
    rule, worst = StopRule(method=method, grace_period_iters=PERIOD), TRIALS[-1]
    for name, baseline in (("its-baseline", worst.label), ("others-baseline", TRIALS[0].label)):
        store = Store(tmp_path / name)
        decider = scheduler(rule, store, baseline)
        for iteration in range(PERIOD, MAX_ITER, PERIOD):
            for number, trial in enumerate(TRIALS):
                if store.folder(trial).status().status == TrialState.STOPPED:
                    continue
                record = EvaluationRecord("valid", iteration, {"AP": 50.0 - number}, 1, 1, 0.1, stored_at=iteration)
                claimed = store.folder(trial).claim()
                claimed.write_evaluation(record, lambda path: files.write_bytes(path, b"x"))
                claimed.write_status(Status(TrialState.RUNNING, iteration))
                told = SimpleNamespace(trial_id=trial.label, config={"trial": trial.name})
                decider.on_trial_result(Nobody(), told, flat_metrics(record, "AP"))
        stopped = store.folder(worst).status()
        if baseline == worst.label:
            assert (stopped.status, stopped.iteration) == (TrialState.RUNNING, MAX_ITER - PERIOD)
            continue
        assert stopped.status == TrialState.STOPPED
        assert stopped.stopped_for == ("tiny: rule",)
        # Another sweep trains it to its end; then this one is launched again, and the rule hears of all of it.
        claimed = store.folder(worst).claim()
        for iteration in range(stopped.iteration + PERIOD, MAX_ITER + 1, PERIOD):
            record = EvaluationRecord("valid", iteration, {"AP": 1.0}, 1, 1, 0.1, stored_at=100.0 + iteration)
            claimed.write_evaluation(record, lambda path: files.write_bytes(path, b"x"))
        claimed.write_status(Status(TrialState.FINISHED, MAX_ITER))
        scheduler(rule, store, baseline)
        assert store.folder(worst).status().status == TrialState.FINISHED
