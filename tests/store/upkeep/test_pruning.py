"""list and prune: what is there, what may go, and what must stay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agropest import files
from agropest.__main__ import main
from agropest.store.lock import only_launch
from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.store import Store
from agropest.store.sweep_record import SplitRecord, SweepRecord, write_sweep_record
from agropest.sweep.trial import TrialSpec

AP = {10: 30.0, 20: 50.0, 30: 40.0}
AP50 = {10: 80.0, 20: 60.0, 30: 70.0}
STATES = {
    "done": TrialState.FINISHED,
    "halted": TrialState.STOPPED,
    "paused": TrialState.INTERRUPTED,
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A sweep of three trials with checkpoints at 10, 20 and 30; by AP the second is the best, by AP50 the first."""
    store = Store(tmp_path / "r")
    trials = tuple(
        TrialSpec(label, 1, {"SOLVER.MAX_ITER": 30, "SOLVER.BASE_LR": 0.1 + n}, data="f" * 64)
        for n, label in enumerate(STATES)
    )
    for trial in trials:
        folder = store.folder(trial).claim()
        folder.write_spec(trial)
        for iteration in AP:
            metrics = {"AP": AP[iteration], "AP50": AP50[iteration]}
            record = EvaluationRecord("valid", iteration, metrics, 1, 1, 1.0)
            folder.write_evaluation(record, lambda path: files.write_text(path, "boxes"))
            files.write_text(folder.checkpoints / f"{iteration:08d}.pth", "x" * 1_000_000)
            files.write_json(folder.checkpoints / f"{iteration:08d}.json", {"iteration": iteration})
        folder.write_status(Status(STATES[trial.label], 30))
    write_sweep_record(record_of("one", "AP", trials, tmp_path), store)
    return store


def record_of(name: str, metric: str, trials: tuple[TrialSpec, ...], root: Path) -> SweepRecord:
    return SweepRecord(
        name=name, question="Why?", baseline="done", metric=metric, design="", stop="none", guards=(), trials=trials,
        resources={}, data_name="d", class_names=("ant",), splits={"valid": SplitRecord(root / "v.json", root, 1, 1)},
        launched="2026-01-01T00:00:00+00:00",
    )  # fmt: skip


def kept(store: Store) -> dict[str, list[str]]:
    return {
        path.name.partition("-")[0]: sorted(one.stem.lstrip("0") for one in (path / "checkpoints").glob("*.pth"))
        for path in store.trials.iterdir()
        if path.is_dir()
    }


def prune(store: Store, *words: str) -> int:
    return main(["prune", *words, "--results", str(store.root)])


def test_without_yes_nothing_is_removed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert prune(store) == 0
    told = capsys.readouterr().out
    assert "iterations 10, 30 go, 20 stays" in told
    assert "3 MB would be freed" in told
    assert all(its == ["10", "20", "30"] for its in kept(store).values())


def test_the_chosen_stays_and_what_a_launch_continues_from(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert prune(store, "--yes") == 0
    assert "3 MB freed" in capsys.readouterr().out
    assert kept(store) == {"done": ["20"], "halted": ["20", "30"], "paused": ["10", "20", "30"]}
    assert len(list((store.trials).rglob("evaluations/*.npz"))) == 9
    assert prune(store) == 0
    assert "nothing to remove" in capsys.readouterr().out


def test_what_another_sweep_has_chosen_stays(store: Store, tmp_path: Path) -> None:
    from agropest.store.sweep_record import read_sweep_record

    trials = read_sweep_record(store.root / "one").trials
    write_sweep_record(record_of("two", "AP50", (replace(trials[0]),), tmp_path), store)
    assert prune(store, "one", "--yes") == 0
    assert kept(store)["done"] == ["10", "20"]


def test_a_sweep_that_cannot_be_read_stops_everything(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    files.write_text(store.root / "broken" / "sweep.json", "{")
    assert prune(store, "--yes") == 2
    assert "broken/sweep.json" in capsys.readouterr().err
    assert kept(store)["done"] == ["10", "20", "30"]


def test_not_beside_a_launch(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    with only_launch(store.root, "a sweep"):
        assert prune(store, "--yes") == 2
    assert "a sweep" in capsys.readouterr().err
    assert kept(store)["done"] == ["10", "20", "30"]


def test_a_name_that_is_none(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert prune(store, "on", "--yes") == 2
    assert "did you mean 'one'?" in capsys.readouterr().err


def test_a_chosen_checkpoint_that_is_gone_keeps_the_others(store: Store) -> None:
    for path in store.trials.glob("done-*/checkpoints/*20.*"):
        path.unlink()
    assert prune(store, "--yes") == 0
    assert kept(store)["done"] == ["10", "30"]


def test_the_list(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--results", str(store.root)]) == 0
    told = capsys.readouterr().out
    for piece in ("one", "2026-01-01 00:00", "1 finished, 1 stopped, 1 interrupted", "AP 50.00", "Why?"):
        assert piece in told
    assert main(["list", "--results", str(store.root / "none")]) == 2


def test_a_narrow_list_has_whole_names(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agropest.report.console.LOG_COLUMNS", 80)
    assert main(["list", "--results", str(store.root)]) == 0
    told = capsys.readouterr().out
    assert "question" not in told
    assert "one" in told
    assert "…" not in told
    assert max(map(len, told.splitlines())) <= 80


def test_what_another_trial_has_too_frees_nothing(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    done, paused = (next(store.trials.glob(f"{name}-*")) / "checkpoints" for name in ("done", "paused"))
    (done / "00000010.pth").unlink()
    (done / "00000010.pth").hardlink_to(paused / "00000010.pth")
    assert prune(store, "--yes") == 0
    assert "2 MB freed" in capsys.readouterr().out
    assert (paused / "00000010.pth").is_file()
