"""Damage to what a trial has stored costs the work behind it and nothing else: the same numbers come out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agropest import files
from agropest.data.dataset import Dataset
from agropest.store.completeness import incomplete, is_done
from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.store import Store
from agropest.store.trial_folder import LostClaim, TrialFolder
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.sweep.trial import TrialSpec
from agropest.training import checkpoints
from agropest.training.run_context import RunContext
from agropest.training.trial import run_trial

# After six iterations AP is 0 at every evaluation, and the first of equals is the best: not the last one, so that its
# checkpoint is one of its own.
ITERATIONS, BEST = 6, 2


@pytest.fixture(scope="module")
def trial(tiny_folder: Path, tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> TrialSpec:
    path = tmp_path_factory.mktemp("sweep") / "tiny.yaml"
    root = Path(__file__).resolve().parents[2]
    path.write_text(
        f"base: {root / 'configs' / 'demo.yaml'}\ndata: {tiny_folder}\nvariants: {{baseline: {{}}}}\nconfig:\n"
        "  INPUT: {MIN_SIZE_TRAIN: [64], MIN_SIZE_TEST: 64, MAX_SIZE_TRAIN: 96, MAX_SIZE_TEST: 96}\n"
        "  MODEL.FPN.OUT_CHANNELS: 32\n  MODEL.ROI_BOX_HEAD.FC_DIM: 32\n"
        f"  SOLVER: {{IMS_PER_BATCH: 2, MAX_ITER: {ITERATIONS}, WARMUP_ITERS: 1, BASE_LR: 0.01}}\n"
        "  TEST: {EVAL_PERIOD: 2, DETECTIONS_PER_IMAGE: 10}\n"
    )
    return expand_trials(load_sweep(path), tiny_dataset.fingerprint, tiny_dataset.class_names)[0]


@pytest.fixture(scope="module")
def context(tiny_dataset: Dataset) -> RunContext:
    return RunContext({name: (split.annotations, split.image_root) for name, split in tiny_dataset.splits.items()})


def run(
    trial: TrialSpec, results: Path, context: RunContext, told: list[int] | None = None
) -> tuple[Status, TrialFolder]:
    folder = Store(results).folder(trial).claim()

    def tell(record: EvaluationRecord) -> None:
        if told is not None:
            told.append(record.iteration)

    return run_trial(trial, folder, context, tell), folder


@pytest.fixture(scope="module")
def whole(trial: TrialSpec, context: RunContext, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the undisturbed trial."""
    results = tmp_path_factory.mktemp("whole")
    status, folder = run(trial, results, context)
    assert status.status == TrialState.FINISHED
    assert sorted(checkpoints.iterations(folder.checkpoints)) == [BEST, ITERATIONS]
    assert [record.iteration for record in folder.read_evaluations("test")] == [BEST]
    return results


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "r")
    return tmp_path / "r"


def metrics(folder: TrialFolder) -> dict[str, tuple[object, bytes]]:
    """Every evaluation's metrics and boxes."""
    return {
        record.stem: (dict(record.metrics), folder.boxes_path(record).read_bytes())
        for split in ("valid", "test")
        for record in folder.read_evaluations(split, check_boxes=True)
    }


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    """Changes one bit near the middle, so that what is there may still be read."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def remove(path: Path) -> None:
    path.unlink()


DAMAGED = [
    (flip, "checkpoints/00000002.pth", "evaluations/test-00000002.json"),
    (remove, "checkpoints/00000002.json", "evaluations/test-00000002.npz"),
    (truncate, "checkpoints/00000006.pth", "status.json", "ended.json"),
    (flip, "checkpoints/00000002.pth", "checkpoints/00000006.pth", "evaluations/valid-00000002.npz"),
    (flip, "evaluations/valid-00000002.json"),
    (truncate, "evaluations/valid-00000002.json"),
    (flip, "evaluations/valid-00000006.npz"),
    (flip, "evaluations/valid-00000002.json", "evaluations/valid-00000006.json"),
    (remove, "evaluations/valid-00000006.json", "evaluations/test-00000002.npz"),
]


@pytest.mark.parametrize("damage", DAMAGED, ids=lambda damage: " ".join((damage[0].__name__, *damage[1:])))
def test_damage_costs_work_and_never_a_number(
    trial: TrialSpec, context: RunContext, whole: Path, copied: Path, damage: tuple[Callable[[Path], None], str]
) -> None:
    how, *names = damage
    folder = Store(copied).folder(trial)
    expected = metrics(Store(whole).folder(trial))
    for name in names:
        how(folder.path / name)
    if any(name.startswith("evaluations") for name in names):
        assert metrics(folder) != expected
    status, folder = run(trial, copied, context)
    assert (status.status, status.iteration) == (TrialState.FINISHED, ITERATIONS)
    assert metrics(folder) == expected


@pytest.mark.parametrize(
    "names",
    [
        ("evaluations/valid-00000004.npz",),
        ("evaluations/valid-00000002.json", "evaluations/valid-00000004.json"),
        ("evaluations/valid-00000004.json", "checkpoints/00000004.pth"),
    ],
    ids=" ".join,
)
def test_a_stopped_trial_is_made_whole_and_not_trained_further(
    trial: TrialSpec, context: RunContext, tmp_path: Path, names: tuple[str, ...]
) -> None:
    store = Store(tmp_path)
    folder = store.folder(trial).claim()
    run_trial(trial, folder, context, lambda record: record.iteration == 4)
    expected, stopped = metrics(folder), replace(folder.status(), reason="stopped early: worse", stopped_for=("mine",))
    folder.write_status(stopped)
    assert (stopped.status, stopped.iteration, len(expected)) == (TrialState.STOPPED, 4, 2)
    assert is_done(trial, store, "AP", trial_splits := tuple(context.splits), "mine")
    for name in names:
        flip(folder.path / name)
    assert not is_done(trial, store, "AP", trial_splits, "mine")
    assert incomplete([trial], store, "mine") == [trial.name]
    assert incomplete([trial], store, "theirs") == []

    killed = run_trial(trial, folder.claim(), context, lambda record: None, should_stop=lambda: True)
    assert killed == stopped  # whoever finds it half-way does not train it further
    status, folder = run(trial, tmp_path, context)
    assert status == folder.status() == replace(stopped, notes=("damaged files were made again",))
    assert metrics(folder) == expected
    assert is_done(trial, store, "AP", trial_splits, "mine")


def test_the_last_evaluation_of_a_stopped_trial_is_made_again_without_its_checkpoint(
    trial: TrialSpec, context: RunContext, tmp_path: Path
) -> None:
    """It continued a little, so that another checkpoint is the last one; what came after the stop stays out."""
    store = Store(tmp_path)
    folder = store.folder(trial).claim()
    run_trial(trial, folder, context, lambda record: record.iteration == 4)
    expected = metrics(folder)
    for suffix in (".json", ".pth"):
        kept = folder.checkpoints / f"00000004{suffix}"
        kept.rename(folder.checkpoints / f"00000006{suffix}")
    stopped = replace(folder.status(), iteration=5, stopped_for=("mine",))
    folder.write_status(stopped)
    assert is_done(trial, store, "AP", tuple(context.splits), "mine")  # of iteration 6 nothing is missed
    remove(folder.path / "evaluations/valid-00000004.json")
    assert not is_done(trial, store, "AP", tuple(context.splits), "mine")
    told: list[int] = []
    status, folder = run(trial, tmp_path, context, told)
    assert (status.status, status.iteration) == (TrialState.STOPPED, 5)
    assert metrics(folder) == expected
    assert max(told) == 4
    assert is_done(trial, store, "AP", tuple(context.splits), "mine")


@pytest.mark.parametrize("damage", [flip, truncate, remove], ids=["flip", "truncate", "remove"])
@pytest.mark.parametrize("ended", [TrialState.FINISHED, TrialState.STOPPED])
def test_a_damaged_status_does_not_bring_an_ended_trial_back(
    trial: TrialSpec, copied: Path, damage: Callable[[Path], None], ended: str
) -> None:
    folder = Store(copied).folder(trial).claim()
    folder.write_status(replace(folder.status(), status=ended))
    before = folder.status()
    damage(folder.path / "status.json")
    assert folder.status() == before
    folder.write_status(replace(before, status=TrialState.INTERRUPTED))
    damage(folder.path / "status.json")
    assert folder.status() == Status()  # the copy spoke of an end that has been taken back


def test_what_a_killed_process_left_half_written_is_removed(
    trial: TrialSpec, context: RunContext, copied: Path
) -> None:
    folder = Store(copied).folder(trial)
    left = [folder.path / name for name in (".status.json.0a1b2c3d.tmp", "checkpoints/.00000006.pth.0a1b2c3d.tmp")]
    for path in left:
        path.write_bytes(b"half")
    run(trial, copied, context)
    assert not any(path.exists() for path in left)


def test_no_checkpoint_stays_where_none_is_wanted(trial: TrialSpec, context: RunContext, copied: Path) -> None:
    run(trial, copied, replace(context, keep_checkpoints=False))
    folder = Store(copied).folder(trial)
    assert list(folder.checkpoints.iterdir()) == []
    assert folder.status().status == TrialState.FINISHED


def test_another_metric_tests_the_checkpoint_that_it_chooses(
    trial: TrialSpec, context: RunContext, whole: Path, copied: Path
) -> None:
    """The checkpoint that another sweep's metric chooses is not kept: it is trained again, to the same weights."""
    folder = Store(copied).folder(trial).claim()
    path = folder.evaluations / "valid-00000004.json"
    record = next(record for record in folder.read_evaluations() if record.iteration == 4)
    folder.write_evaluation(replace(record, metrics={**record.metrics, "AP50": 99.0}), lambda boxes: None)
    assert files.read_json(path)["metrics"]["AP50"] == 99.0
    told: list[int] = []
    status, folder = run(trial, copied, replace(context, metric="AP50"), told)
    assert status.status == TrialState.FINISHED
    assert told == [2, 4, 6]
    assert [record.iteration for record in folder.read_evaluations("test")] == [BEST, 4]
    assert sorted(checkpoints.iterations(folder.checkpoints)) == [4, ITERATIONS]


@pytest.mark.parametrize("moment", ["told of an evaluation", "told to stop", "saving", "told of the last evaluation"])
def test_who_has_lost_the_trial_leaves_what_the_new_writer_has(
    trial: TrialSpec, context: RunContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The other writer has a checkpoint ahead, and the one that has lost the trial keeps only its own."""
    folder = Store(tmp_path).folder(trial).claim()
    kept: list[str] = []

    def take_over() -> None:
        claimed = folder.claim()
        checkpoints.save(claimed.checkpoints, 5, {})
        claimed.write_status(Status(TrialState.INTERRUPTED, 5, 1.0, "another's"))
        kept.extend(sorted(path.name for path in folder.checkpoints.iterdir()))

    def tell(record: EvaluationRecord) -> bool:
        if moment.startswith("told") and record.iteration == (ITERATIONS if "last" in moment else 4):
            take_over()
        return bool(kept) and moment == "told to stop"

    def save(path: Path, content: object, durable: bool = True) -> None:
        write(path, content, durable)  # type: ignore[arg-type]
        if moment == "saving" and path.name == "00000004.pth":
            take_over()

    write = files.write_with
    monkeypatch.setattr(files, "write_with", save)
    with pytest.raises(LostClaim, match="another one took over"):
        run_trial(trial, folder, context, tell)
    assert sorted(path.name for path in folder.checkpoints.iterdir()) == kept
    assert "00000005.json" in kept
    assert ("00000004.json" in kept) == (moment != "saving")
    assert folder.status() == Status(TrialState.INTERRUPTED, 5, 1.0, "another's")
