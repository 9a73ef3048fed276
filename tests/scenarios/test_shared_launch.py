"""Launches whose trials share trainings, through Ray: what is taken over, what stays on the disk, what is counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from agropest import command_line
from agropest.data.dataset import Dataset
from agropest.store.records import TrialState
from agropest.store.sharing.shared_work import STAGES, TAKEN_FROM
from agropest.store.store import Store
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep

# The one that waits for another's training comes first in the file, and is started after it.
VARIANTS = """
  baseline: {INPUT.MIN_SIZE_TEST: 48}
  other: {MODEL.ROI_BOX_HEAD.CLS_LOSS: softmax_focal}
  averaged: {SOLVER.EMA: {ENABLED: true, DECAY: 0.5}}
  augmented: {INPUT.MIN_SIZE_TEST: 48, TEST.AUG: {ENABLED: true, MIN_SIZES: [48]}}
"""


@pytest.fixture
def sweep(tiny_sweep: Path) -> Path:
    text = tiny_sweep.read_text()
    tiny_sweep.write_text(text[: text.index("variants:")] + f"stop: none\nvariants:{VARIANTS}")
    return tiny_sweep


def folders(sweep: Path, dataset: Dataset, results: Path) -> dict[str, TrialFolder]:
    trials = expand_trials(load_sweep(sweep), dataset.fingerprint, dataset.class_names)
    return {trial.label: Store(results).folder(trial) for trial in trials}


def taken(folder: TrialFolder) -> list[str]:
    return [record.extra.get(TAKEN_FROM, "") for record in folder.read_evaluations("valid")]


def test_a_launch_trains_each_training_once(
    sweep: Path, tiny_dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(sweep), "--results", str(tmp_path / "r"), "--set", "resources.cpus=1"]
    assert command_line.main(["launch", *command]) == 0, capsys.readouterr()
    found = folders(sweep, tiny_dataset, tmp_path / "r")
    assert {folder.status().status for folder in found.values()} == {TrialState.FINISHED}
    assert {label: taken(folder) for label, folder in found.items()} == {
        "baseline": ["", ""],
        "other": ["", ""],
        "averaged": ["baseline/s1"] * 2,
        "augmented": ["baseline/s1"] * 2,
    }
    for folder in found.values():  # what was kept for others is gone: the best and the last stay
        best = max(folder.read_evaluations("valid"), key=lambda record: record.metrics["AP"] or 0.0).iteration
        assert folder.checkpointed() <= {best, 4}
        assert 4 in folder.checkpointed()
        assert len(folder.read_evaluations("test")) == 1
    assert not (tmp_path / "r" / STAGES).exists()

    # Later a variant is added that changes only what comes after the training: nothing is trained for it.
    sweep.write_text(sweep.read_text().replace("MIN_SIZES: [48]", "MIN_SIZES: [64]"))
    assert command_line.main(["launch", *command, "--set", "budget.max_iterations=1"]) == 0
    augmented = folders(sweep, tiny_dataset, tmp_path / "r")["augmented"]
    assert augmented.path != found["augmented"].path
    assert augmented.status().status is TrialState.FINISHED
    assert taken(augmented) == ["baseline/s1"] * 2
    assert len(augmented.read_evaluations("valid_augmented")) == 1
