from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from agropest import files
from agropest.errors import StoreError
from agropest.report.tables.plan import plan_word
from agropest.store.completeness import incomplete, is_done
from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.store import Store
from agropest.store.upkeep import restart as again
from agropest.store.upkeep.restart import continue_stopped, describe_fresh, retry_failed, start_fresh, stop_again
from agropest.sweep.sections.stop_rule import StopRule
from agropest.sweep.trial import TrialSpec
from agropest.training import checkpoints

CONFIG = {"SOLVER.MAX_ITER": 10, "TEST.EVAL_PERIOD": 5, "TEST.AUG.ENABLED": False}
TRIALS = [TrialSpec(label, 1, {**CONFIG, "X": label}, data="d") for label in ("baseline", "focal", "anchors")]
SPLITS = ("train", "valid", "test")
MINE, THEIRS = "mine: method race, by AP", "theirs: method race, by AP"


def save_boxes(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"boxes")


def store_of(root: Path, sweep: str = "mine") -> Store:
    """A finished, a failed and a new trial."""
    store = Store(root)
    done, failed = (store.folder(trial).claim() for trial in TRIALS[:2])
    for folder, trial in ((done, TRIALS[0]), (failed, TRIALS[1])):
        folder.write_spec(trial, sweep)
    for record in (
        EvaluationRecord("valid", 5, {"AP": 2.0}, 1, 1, 0.1),
        EvaluationRecord("valid", 10, {"AP": 1.0}, 1, 1, 0.1),
        EvaluationRecord("test", 5, {"AP": 1.5}, 1, 1, 0.1),
    ):
        done.write_evaluation(record, save_boxes)
    done.write_status(Status(TrialState.FINISHED, 10, 20.0))
    failed.write_status(Status(TrialState.FAILED, 7, 5.0, "iteration 7: expected finite losses"))
    return store


def test_fresh_sets_aside_what_there_was_and_names_the_other_sweep(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    table = f"rank,label,signature\n1,plain,{TRIALS[0].signature}\n"
    for sweep in ("mine", "theirs"):
        (tmp_path / sweep).mkdir()
        (tmp_path / sweep / "ranking.csv").write_text(table)
    words = "2 trials start again (1 finished, 1 failed: 17 iterations, 25 s of training)"
    assert words in describe_fresh(TRIALS, store, "mine")
    assert store.folder(TRIALS[0]).status().status == TrialState.FINISHED
    text = start_fresh(TRIALS, store, "mine")
    assert words in text
    assert "1 of them are in the sweep 'theirs', too" in text
    assert "'mine'" not in text
    assert all(store.folder(trial).status().status == TrialState.NEW for trial in TRIALS)
    [aside] = (tmp_path / "aside").iterdir()
    assert str(aside) in text
    assert {path.name for path in aside.iterdir()} == {trial.folder_name for trial in TRIALS[:2]}
    (aside / TRIALS[0].folder_name).rename(tmp_path / "trials" / TRIALS[0].folder_name)
    assert Store(tmp_path).folder(TRIALS[0]).status().status == TrialState.FINISHED
    assert "nothing is stored" in start_fresh([TRIALS[2]], store, "mine")


def test_retry_failed_lets_only_failed_trials_go_on(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    assert "1 trials are tried again: focal/s1" in retry_failed(TRIALS, store)
    status = store.folder(TRIALS[1]).status()
    assert (status.status, status.iteration, status.reason) == (TrialState.INTERRUPTED, 7, "")
    assert status.notes == ("failed, and tried again on request: iteration 7: expected finite losses",)
    assert store.folder(TRIALS[0]).status().status == TrialState.FINISHED
    assert "none failed" in retry_failed(TRIALS, store)


def test_a_plan_says_where_a_trial_is_reused_from(tmp_path: Path) -> None:
    store = store_of(tmp_path, sweep="theirs")
    renamed = replace(TRIALS[0], label="plain")
    assert plan_word(TRIALS[0], store, THEIRS) == "done"
    assert plan_word(TRIALS[0], store, MINE) == "done, reused from sweep 'theirs'"
    assert plan_word(renamed, store, MINE) == "done, reused from 'baseline' of sweep 'theirs'"
    assert plan_word(renamed, store, THEIRS) == "done, reused from 'baseline'"
    assert plan_word(TRIALS[2], store, MINE) == "new"
    assert plan_word(TRIALS[1], store, THEIRS) == "failed"
    folder = store.folder(TRIALS[1])
    folder.claim().write_status(Status(TrialState.INTERRUPTED, 7))
    assert plan_word(TRIALS[1], store, THEIRS) == "unfinished"


def test_what_another_sweep_has_stopped_early_goes_on_here_and_stays_stopped_there(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    folder, trial = store.folder(TRIALS[2]).claim(), TRIALS[2]
    folder.write_evaluation(EvaluationRecord("valid", 5, {"AP": 1.0}, 1, 1, 0.1), save_boxes)
    folder.write_status(Status(TrialState.STOPPED, 5, 9.0, "stopped early: worse", stopped_for=(THEIRS,)))
    assert is_done(trial, store, "AP", SPLITS, THEIRS)
    assert not is_done(trial, store, "AP", SPLITS, MINE)
    assert plan_word(trial, store, THEIRS) == "done (stopped early)"
    assert plan_word(trial, store, MINE) == "unfinished (stopped by race in theirs)"
    assert continue_stopped(TRIALS, store, THEIRS) == []
    assert continue_stopped(TRIALS, store, MINE) == [f"{trial.name} (from the start: no checkpoint was kept)"]
    status = folder.status()
    assert (status.status, status.iteration, status.reason, status.time_s) == (TrialState.INTERRUPTED, 5, "", 9.0)
    assert status.notes == ("stopped early: worse (race in theirs); continued for mine",)
    assert is_done(trial, store, "AP", SPLITS, THEIRS)
    assert not is_done(trial, store, "AP", SPLITS, MINE)
    store.folder(trial).claim().write_status(replace(status, status=TrialState.STOPPED))
    folder.checkpoints.mkdir()
    for suffix in (".json", ".pth"):
        (folder.checkpoints / f"00000005{suffix}").write_text("{}")
    assert continue_stopped(TRIALS, store, MINE) == [trial.name]
    store.folder(trial).claim().write_status(replace(status, status=TrialState.FINISHED))
    assert not is_done(trial, store, "AP", SPLITS, THEIRS)  # it says that it has finished, and holds no evaluation


def test_what_this_sweep_has_stopped_reads_as_stopped_here_though_another_was_training_it(tmp_path: Path) -> None:
    """The other sweep's launch was killed on its way."""
    store, trial = store_of(tmp_path), TRIALS[2]
    store.folder(trial).claim().write_status(Status(TrialState.RUNNING, 7, 9.0, stopped_for=(THEIRS,)))
    stop_again(TRIALS, store, MINE)
    assert store.folder(trial).status().status == TrialState.RUNNING
    stop_again(TRIALS, store, THEIRS)
    status = store.folder(trial).status()
    assert (status.status, status.iteration, status.stopped_for) == (TrialState.STOPPED, 7, (THEIRS,))
    assert status.reason == "stopped early by race in theirs; another sweep has trained it further since"
    assert store.folder(TRIALS[0]).status().status == TrialState.FINISHED
    assert not is_done(trial, store, "AP", SPLITS, MINE)


def test_another_rule_or_metric_of_the_same_sweep_decides_anew() -> None:
    race = StopRule("race", level=0.05)
    assert race.identity != StopRule("race", level=0.01).identity
    assert race.identity == StopRule("race", level=0.05, is_stated=False).identity
    assert race.identity != StopRule("race", level=0.05, keep_baseline=False).identity


def test_a_longer_schedule_or_another_seed_is_another_trial(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    longer = replace(TRIALS[0], config={**TRIALS[0].config, "SOLVER.MAX_ITER": 20})
    seeded = replace(TRIALS[0], seed=2, config={**TRIALS[0].config, "SEED": 2})
    signatures = {trial.signature for trial in (TRIALS[0], longer, seeded)}
    assert len(signatures) == 3
    for trial in (longer, seeded):
        assert store.folder(trial).path != store.folder(TRIALS[0]).path
        assert not is_done(trial, store, "AP", SPLITS, MINE)


def test_a_finished_trial_is_done_only_while_what_it_is_ranked_by_is_whole(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    assert is_done(TRIALS[0], store, "AP", SPLITS, MINE)
    assert is_done(TRIALS[1], store, "AP", SPLITS, MINE)  # failed: not tried again
    assert not is_done(TRIALS[2], store, "AP", SPLITS, MINE)
    assert not is_done(TRIALS[0], store, "AP50", SPLITS, MINE)  # chooses another checkpoint, which was never tested
    folder = store.folder(TRIALS[0])
    for name in ("valid-00000005.npz", "test-00000005.json"):
        path = folder.evaluations / name
        content = path.read_bytes()
        path.write_bytes(re.sub(rb"[^b]$", b"?", content))
        assert not is_done(TRIALS[0], store, "AP", SPLITS, MINE)
        assert incomplete(TRIALS[:1], store, MINE) == ["baseline/s1"]
        path.write_bytes(content)
    assert plan_word(TRIALS[0], store, MINE, True) == "unfinished (an evaluation is missing or damaged)"
    (folder.evaluations / "valid-00000010.json").write_text("{")
    assert is_done(TRIALS[0], store, "AP", SPLITS, MINE)  # neither ranked by it nor able to make it again
    folder.checkpoints.mkdir()
    (folder.checkpoints / "00000010.json").write_text("{}")
    assert not is_done(TRIALS[0], store, "AP", SPLITS, MINE)


def test_fresh_waits_for_a_process_that_still_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed launch has left it behind; what it saves is not taken for the new trial's."""
    store = store_of(tmp_path)
    folder = store.folder(TRIALS[2]).claim()
    folder.write_status(Status(TrialState.RUNNING, 3))
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        folder.write_status(Status(TrialState.INTERRUPTED, 4))  # it has saved

    start_fresh(TRIALS, store, "mine", say)
    assert said == ["--fresh: waiting for the last checkpoint of anchors/s1"]
    assert store.folder(TRIALS[2]).status().status == TrialState.NEW

    folder = store.folder(TRIALS[2]).claim()
    folder.write_status(Status(TrialState.RUNNING, 3))
    monkeypatch.setattr(again, "WRITER_WAIT_S", 0.0)
    said.clear()
    start_fresh(TRIALS, store, "again", said.append)
    assert said == ["--fresh: not waiting any longer for anchors/s1"]
    assert store.folder(TRIALS[2]).status().status == TrialState.NEW

    folder = store.folder(TRIALS[2]).claim()
    folder.write_status(Status(TrialState.RUNNING, 3))
    owner = files.read_json(folder.path / "writer.json")
    files.write_json(folder.path / "writer.json", {**owner, "host": "another-machine"})
    start_fresh(TRIALS, store, "elsewhere", said.append)  # of which nothing is known
    assert len(said) == 1
    assert store.folder(TRIALS[2]).status().status == TrialState.NEW


def test_who_saves_after_fresh_has_taken_its_folder_leaves_no_checkpoint(tmp_path: Path) -> None:
    """A machine that Ray has lost may still write: its bytes get no seal, whether the trial runs again yet or not."""
    for number, begins_again in enumerate((False, True)):
        store = store_of(tmp_path / str(number))
        orphan = store.folder(TRIALS[2]).claim()
        orphan.write_status(Status(TrialState.INTERRUPTED, 3))
        start_fresh(TRIALS, store, "mine")
        if begins_again:
            store.folder(TRIALS[2]).claim()
        with pytest.raises(StoreError):
            checkpoints.save(orphan.checkpoints, 3, {}, orphan.require_claim)
        assert checkpoints.iterations(store.folder(TRIALS[2]).checkpoints) == []
