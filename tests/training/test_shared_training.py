"""Trials that share a training: trained once, every evaluation bit for bit that of a trial that trained for itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from agropest.data.dataset import Dataset
from agropest.store.lock import held_if_free
from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.sharing.shared_work import STAGES, TAKEN_FROM, all_sharing, with_checkpoints
from agropest.store.store import Store
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.sweep.stages.training import EVALUATION_KEYS
from agropest.sweep.stages.tree import stage_tree
from agropest.sweep.trial import TrialSpec
from agropest.training import checkpoints
from agropest.training.evaluator import Evaluator
from agropest.training.run_context import RunContext
from agropest.training.trainer import TrialTrainer
from agropest.training.trial import run_trial
from tests.training.test_segments import same_state
from tests.training.test_trial import run

VARIANTS = {
    "baseline": "{}",
    "small_test": "{INPUT.MIN_SIZE_TEST: 48}",
    "averaged": "{SOLVER.EMA.ENABLED: true, SOLVER.EMA.DECAY: 0.5}",
    "augmented": "{TEST.AUG.ENABLED: true, TEST.AUG.MIN_SIZES: [48, 64]}",
    "long": "{SOLVER.MAX_ITER: 8, SOLVER.STEPS: [6], TEST.EVAL_PERIOD: 4}",
}


STEPS = "MAX_ITER: 6, WARMUP_ITERS: 3, LR_SCHEDULER_NAME: WarmupMultiStepLR, STEPS: [4]"


@pytest.fixture
def trials(tiny_sweep: Path, tiny_dataset: Dataset) -> dict[str, TrialSpec]:
    """Six iterations with a step after the fourth, evaluated every second; the long one parts from them there."""
    text = tiny_sweep.read_text()
    text = text[: text.index("variants:")] + "variants:\n" + "".join(f"  {k}: {v}\n" for k, v in VARIANTS.items())
    tiny_sweep.write_text(text.replace("MAX_ITER: 4, WARMUP_ITERS: 1", STEPS))
    planned = expand_trials(load_sweep(tiny_sweep), tiny_dataset.fingerprint, tiny_dataset.class_names)
    return {trial.label: trial for trial in planned}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The iterations that are trained, in order."""
    trained: list[int] = []
    step = TrialTrainer.run_step

    def run_step(self: TrialTrainer) -> None:
        trained.append(self.iter + 1)
        step(self)

    monkeypatch.setattr(TrialTrainer, "run_step", run_step)
    return trained


def run_shared(
    trial: TrialSpec,
    trials: Sequence[TrialSpec],
    dataset: Dataset,
    results: Path,
    on_evaluation: Callable[[EvaluationRecord], object] = lambda record: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[Status, TrialFolder]:
    store = Store(results)
    folder = store.folder(trial).claim()
    splits = {name: (split.annotations, split.image_root) for name, split in dataset.splits.items()}
    context = RunContext(splits, sharing=all_sharing(trials, store, with_checkpoints(store))[trial.name])
    return run_trial(trial, folder, context, on_evaluation, should_stop), folder


def require_same_evaluations(one: TrialFolder, two: TrialFolder) -> None:
    for split in ("valid", "test", "valid_augmented"):
        records = one.read_evaluations(split), two.read_evaluations(split)
        assert [r.iteration for r in records[0]] == [r.iteration for r in records[1]]
        for left, right in zip(*records, strict=True):
            assert left.metrics == right.metrics
            assert one.boxes_path(left).read_bytes() == two.boxes_path(right).read_bytes()


def test_shared_and_unshared_trials_have_the_same_evaluations(
    trials: dict[str, TrialSpec], tiny_dataset: Dataset, tmp_path: Path, counted: list[int]
) -> None:
    everyone = list(trials.values())
    tree = stage_tree(everyone)
    assert (tree.num_iters, tree.num_iters_unshared) == (6 + 4, 4 * 6 + 8)
    alone = {label: run(trial, tiny_dataset, tmp_path / "alone")[1] for label, trial in trials.items()}
    assert len(counted) == tree.num_iters_unshared
    counted.clear()
    shared = {}
    for trial in tree.in_order(everyone):
        status, shared[trial.label] = run_shared(trial, everyone, tiny_dataset, tmp_path / "shared")
        assert (status.status, status.iteration) == (TrialState.FINISHED, trial.max_iter)
    assert counted == [1, 2, 3, 4, 5, 6, 5, 6, 7, 8]
    for label, folder in alone.items():
        require_same_evaluations(folder, shared[label])
    last = [checkpoints.load(folder["long"].checkpoints, 8) for folder in (alone, shared)]
    assert last[0] is not None
    assert last[1] is not None
    same_state({**last[0], "averages": 0}, {**last[1], "averages": 0})  # the optimizer's state among it
    told = {label: [r.extra.get(TAKEN_FROM) for r in f.read_evaluations("valid")] for label, f in shared.items()}
    assert told["baseline"] == [None] * 3
    assert told["small_test"] == told["averaged"] == ["baseline/s1"] * 3
    assert told["long"] == ["baseline/s1", None]


def test_a_training_that_runs_out_of_patience_shares_what_it_trains(
    trials: dict[str, TrialSpec],
    tiny_dataset: Dataset,
    tmp_path: Path,
    counted: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever comes first: the patient one ends at iteration 4 of 6, the other trains to the end, nothing twice."""

    def is_out(self: Evaluator, iteration: int) -> bool:
        return bool(self.cfg.TEST.PATIENCE) and iteration >= 4

    monkeypatch.setattr(Evaluator, "is_out_of_patience", is_out)
    base = trials["baseline"]
    patient = replace(base, label="patient", config={**base.config, "TEST.PATIENCE": 1})
    for number, order in enumerate([(base, patient), (patient, base)]):
        counted.clear()
        folders = {}
        for trial in order:
            status, folders[trial.label] = run_shared(trial, [base, patient], tiny_dataset, tmp_path / str(number))
            assert (status.status, status.iteration) == (TrialState.FINISHED, 4 if trial is patient else 6)
        assert counted == [1, 2, 3, 4, 5, 6]
        one, two = (folders[label].read_evaluations("valid") for label in ("patient", "baseline"))
        assert [(r.iteration, r.metrics) for r in one] == [(r.iteration, r.metrics) for r in two[:2]]


def test_only_the_evaluation_reads_the_evaluation_keys(
    trials: dict[str, TrialSpec], tiny_dataset: Dataset, tmp_path: Path
) -> None:
    base = trials["baseline"]
    changed = {
        "INPUT.MIN_SIZE_TEST": 48,
        "INPUT.MAX_SIZE_TEST": 80,
        "SOLVER.EMA.ENABLED": True,
        "SOLVER.EMA.DECAY": 0.9,
        "TEST.EVAL_PERIOD": 3,
        "TEST.DETECTIONS_PER_IMAGE": 7,
        "TEST.DEPLOYED_SCORE_THRESH": 0.2,
        "TEST.PATIENCE": 9,
        "TEST.AMP.ENABLED": True,
        "TEST.AUG.ENABLED": True,
        "TEST.AUG.MIN_SIZES": [48],
        **{key: 9 for key in EVALUATION_KEYS if "TOPK" in key},
        **{key: 0.3 for key in EVALUATION_KEYS if "THRESH" in key},
    }
    assert changed.keys() >= EVALUATION_KEYS
    assert all(base.config[key] != value for key, value in changed.items())
    _, one = run(base, tiny_dataset, tmp_path / "one")
    _, two = run(replace(base, config={**base.config, **changed}), tiny_dataset, tmp_path / "two")
    left, right = (checkpoints.load(folder.checkpoints, 6) for folder in (one, two))
    assert left is not None
    assert right is not None
    assert left["averages"] != right["averages"]
    same_state({**left, "averages": 0}, {**right, "averages": 0})


def test_a_stage_whose_first_trial_is_stopped_goes_on_in_another(
    trials: dict[str, TrialSpec], tiny_dataset: Dataset, tmp_path: Path, counted: list[int]
) -> None:
    pair = [trials["baseline"], trials["small_test"]]
    stopped, folder = run_shared(pair[0], pair, tiny_dataset, tmp_path / "r", lambda record: record.iteration == 4)
    assert (stopped.status, stopped.iteration) == (TrialState.STOPPED, 4)
    assert set(checkpoints.iterations(folder.checkpoints)) == {2, 4}  # the other one needs both
    status, other = run_shared(pair[1], pair, tiny_dataset, tmp_path / "r")
    assert (status.status, status.iteration) == (TrialState.FINISHED, 6)
    assert counted == [1, 2, 3, 4, 5, 6]
    _, alone = run(pair[1], tiny_dataset, tmp_path / "alone")
    require_same_evaluations(alone, other)


def test_interruptions_cost_nothing_and_change_nothing(
    trials: dict[str, TrialSpec], tiny_dataset: Dataset, tmp_path: Path, counted: list[int]
) -> None:
    pair = [trials["baseline"], trials["averaged"]]
    for asked in ([False, False, False, True], [False, True]):  # the first is broken off after 4, the second after 6
        for trial in pair:
            answers = iter(asked)
            run_shared(
                trial, pair, tiny_dataset, tmp_path / "r", should_stop=lambda answers=answers: next(answers, True)
            )
    for trial in pair:
        status, folder = run_shared(trial, pair, tiny_dataset, tmp_path / "r")
        assert status.status == TrialState.FINISHED
        _, alone = run(trial, tiny_dataset, tmp_path / "alone")
        require_same_evaluations(alone, folder)
    assert sorted(counted[: -2 * 6]) == [1, 2, 3, 4, 5, 6]


def test_who_trains_holds_the_stage_and_the_other_waits(
    trials: dict[str, TrialSpec], tiny_dataset: Dataset, tmp_path: Path, counted: list[int]
) -> None:
    pair = [trials["baseline"], trials["small_test"]]
    stage = stage_tree(pair).stages[0]
    (tmp_path / "r").mkdir()
    with held_if_free(tmp_path / "r" / STAGES / f"{stage.name}.lock") as is_held:
        assert is_held
        answers = iter([False, False])
        status, _ = run_shared(pair[1], pair, tiny_dataset, tmp_path / "r", should_stop=lambda: next(answers, True))
        assert (status.status, status.iteration) == (TrialState.INTERRUPTED, 0)
        assert counted == []
    waiting = threading.Thread(target=run_shared, args=(pair[0], pair, tiny_dataset, tmp_path / "r"))
    waiting.start()
    status, _ = run_shared(pair[1], pair, tiny_dataset, tmp_path / "r")
    waiting.join()
    assert status.status == TrialState.FINISHED
    assert Store(tmp_path / "r").folder(pair[0]).status().status == TrialState.FINISHED
    assert sorted(counted) == [1, 2, 3, 4, 5, 6]


def test_a_longer_schedule_goes_on_from_what_another_sweep_has_left(
    trials: dict[str, TrialSpec], tiny_dataset: Dataset, tmp_path: Path, counted: list[int]
) -> None:
    short = trials["baseline"]
    run_shared(short, [short], tiny_dataset, tmp_path / "r")
    assert counted == [1, 2, 3, 4, 5, 6]
    # The same steps, two more iterations: all that the shorter one was evaluated at is taken over.
    longer = replace(short, label="longer", config={**short.config, "SOLVER.MAX_ITER": 8})
    status, folder = run_shared(longer, [longer], tiny_dataset, tmp_path / "r")
    assert status.status == TrialState.FINISHED
    assert counted[6:] == [7, 8]
    assert [record.extra.get(TAKEN_FROM) for record in folder.read_evaluations("valid")] == ["baseline/s1"] * 3 + [None]
    _, alone = run(longer, tiny_dataset, tmp_path / "alone")
    require_same_evaluations(alone, folder)


def test_where_every_evaluated_checkpoint_stays_a_variant_added_later_trains_nothing(
    trials: dict[str, TrialSpec], tiny_dataset: Dataset, tmp_path: Path, counted: list[int]
) -> None:
    first, later = trials["baseline"], trials["small_test"]
    splits = {name: (split.annotations, split.image_root) for name, split in tiny_dataset.splits.items()}
    folder = Store(tmp_path / "r").folder(first).claim()
    run_trial(first, folder, RunContext(splits, keep_evaluated=True), lambda record: None)
    assert folder.checkpointed() == {2, 4, 6}
    status, other = run_shared(later, [first, later], tiny_dataset, tmp_path / "r")
    assert status.status == TrialState.FINISHED
    assert counted == [1, 2, 3, 4, 5, 6]
    assert [record.extra[TAKEN_FROM] for record in other.read_evaluations("valid")] == ["baseline/s1"] * 3
