"""``evaluate:`` through Ray: what is trained is evaluated under other settings, and compared."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agropest import command_line
from agropest.data.dataset import Dataset
from agropest.statistics.detections.boxes import Boxes
from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.sharing.shared_work import STAGES
from agropest.store.store import Store
from agropest.store.sweep_record import read_sweep_record
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from tests.training.test_trial import run, trial_of

EVALUATE = """
evaluate:
  nms: {MODEL.ROI_HEADS.NMS_THRESH_TEST: {each: [0.2, 0.9]}}
  last: {of: baseline, checkpoint: last}
"""
RECORD = EvaluationRecord("valid", 4, {"AP": 1.0}, num_boxes=0, num_images=6, time_s=1.0)
NO_BOXES = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


@pytest.fixture
def command(tiny_sweep: Path, tmp_path: Path) -> list[str]:
    tiny_sweep.write_text(tiny_sweep.read_text() + "stop: none\n")
    return [str(tiny_sweep), "--results", str(tmp_path / "r"), "--set", "resources.cpus=1"]


def folders(sweep: Path, dataset: Dataset, results: Path) -> dict[str, TrialFolder]:
    trials = expand_trials(load_sweep(sweep), dataset.fingerprint, dataset.class_names)
    return {trial.label: Store(results).folder(trial) for trial in trials}


def test_trainings_are_evaluated_otherwise_in_their_launch_and_later(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_sweep.write_text(tiny_sweep.read_text() + EVALUATE)
    assert command_line.main(["launch", *command]) == 0, capsys.readouterr()
    assert len(folders(tiny_sweep, tiny_dataset, tmp_path / "r")) == 7
    tiny_sweep.write_text(tiny_sweep.read_text() + "  few: {TEST.DETECTIONS_PER_IMAGE: 1}\n")
    capsys.readouterr()
    assert command_line.main(["plan", *command]) == 0
    told = capsys.readouterr().out
    assert "9 trials: 7 done, 2 new" in told
    assert "evaluations of trained weights: 7 trials train nothing, with 3 forward passes over each split" in told
    # Not one iteration may be trained.
    assert command_line.main(["launch", *command, "--set", "budget.max_iterations=1"]) == 0, capsys.readouterr()
    found = folders(tiny_sweep, tiny_dataset, tmp_path / "r")
    assert {folder.status().status for folder in found.values()} == {TrialState.FINISHED}
    assert not (tmp_path / "r" / STAGES).exists()
    with open(tmp_path / "r" / "tiny" / "ranking.csv", newline="") as file:
        rows = {row["label"]: row for row in csv.DictReader(file)}
    assert rows.keys() == found.keys()
    assert all(row["rank"] and row["checkpoint"] for row in rows.values())
    assert [one.num_boxes for one in found["focal+few"].read_evaluations("valid")] == [6]  # one for each picture
    record = read_sweep_record(tmp_path / "r" / "tiny")
    assert {trial.label: trial.signature for trial in record.trials} == {
        label: folder.path.name[-16:] for label, folder in found.items()
    }


def test_a_damaged_checkpoint_is_trained_again_before_it_is_evaluated(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path, command: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(["launch", *command]) == 0, capfd.readouterr()
    tiny_sweep.write_text(tiny_sweep.read_text() + EVALUATE)
    trained = folders(tiny_sweep, tiny_dataset, tmp_path / "r")["baseline"]
    before = {path.name: path.read_bytes() for path in trained.path.glob("evaluations/*.npz")}
    damaged = sorted(trained.checkpoints.glob("*.pth"))
    for path in damaged:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    assert command_line.main(["launch", *command]) == 0, capfd.readouterr()
    said = capfd.readouterr().out
    assert said.count("a checkpoint that is to be evaluated is damaged, and trained again") == 1
    found = folders(tiny_sweep, tiny_dataset, tmp_path / "r")
    assert {folder.status().status for folder in found.values()} == {TrialState.FINISHED}
    assert all(trained.has_intact_checkpoint(int(path.stem)) for path in damaged)
    assert {path.name: path.read_bytes() for path in trained.path.glob("evaluations/*.npz")} == before


def test_evaluations_whose_checkpoint_is_gone_are_refused_before_anything_starts(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_sweep.write_text(tiny_sweep.read_text() + EVALUATE)
    for label, folder in folders(tiny_sweep, tiny_dataset, tmp_path / "r").items():
        if "+" not in label:  # as if it had been trained with keep_checkpoints: none
            its = folder.path.mkdir(parents=True) or folder.claim()
            its.write_evaluation(RECORD, Boxes(*NO_BOXES).save)
            its.write_evaluation(replace(RECORD, split="test"), Boxes(*NO_BOXES).save)
            its.write_status(Status(TrialState.FINISHED, 4))
    assert command_line.main(["launch", *command]) == 2
    told = capsys.readouterr().err
    assert told.count("expected a checkpoint of iteration 4") == 5
    assert "baseline+last/s1: the checkpoint last of baseline: " in told
    assert "train it again with keep_checkpoints: evaluated and --fresh" in told
    assert command_line.main(["plan", *command]) == 0
    assert capsys.readouterr().out.count("a launch here would stop: ") == 5


def test_a_checkpoint_from_elsewhere_is_the_baseline_of_a_sweep_that_trains_nothing(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    trained = trial_of(tiny_sweep, tiny_dataset, "baseline", "SOLVER.MAX_ITER=2")
    _, elsewhere = run(trained, tiny_dataset, tmp_path / "elsewhere")
    weights = elsewhere.checkpoints / "00000002.pth"
    text = tiny_sweep.read_text().partition("variants:")[0]
    text += f"variants:\n  baseline: {{SOLVER.MAX_ITER: 0, MODEL.WEIGHTS: {weights}}}\n"
    tiny_sweep.write_text(text + "evaluate:\n  few: {TEST.DETECTIONS_PER_IMAGE: 1}\n")
    assert command_line.main(["launch", *command]) == 0, capsys.readouterr()
    told = capsys.readouterr().out
    found = folders(tiny_sweep, tiny_dataset, tmp_path / "r")
    assert {label: folder.status().status for label, folder in found.items()} == {
        "baseline": TrialState.FINISHED,
        "baseline+few": TrialState.FINISHED,
    }
    assert [one.num_boxes for one in found["baseline+few"].read_evaluations("valid")] == [6]
    assert "These are files of detectors as they are" in told  # no other seed would say more
    assert "unknown (one seed)" not in told
