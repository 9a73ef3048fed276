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
from tests.training.test_trial import run

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


PAIRS = """
  baseline: {}
  baseline_small: {INPUT.MIN_SIZE_TEST: 48}
  focal: {MODEL.ROI_BOX_HEAD.CLS_LOSS: softmax_focal}
  focal_small: {MODEL.ROI_BOX_HEAD.CLS_LOSS: softmax_focal, INPUT.MIN_SIZE_TEST: 48}
  slow: {SOLVER.BASE_LR: 0.0001}
  slow_small: {SOLVER.BASE_LR: 0.0001, INPUT.MIN_SIZE_TEST: 48}
"""


@pytest.mark.parametrize(
    "stop",
    [
        "{method: hyperband, reduction_factor: 2}",
        pytest.param("{method: asha, grace_period_iters: 2, reduction_factor: 2}", marks=pytest.mark.slow),
        pytest.param("race", marks=pytest.mark.slow),
    ],
)
def test_trials_that_share_are_stopped_early_each_for_itself(
    stop: str, sweep: Path, tiny_dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever a rule stops, what is stored of each trial is what it would be had it trained alone."""
    text = sweep.read_text().partition("stop:")[0]
    sweep.write_text(f"{text}stop: {stop}\nvariants:{PAIRS}")
    command = [str(sweep), "--results", str(tmp_path / "r"), "--set", "resources.cpus=1"]
    assert command_line.main(["launch", *command]) == 0, capsys.readouterr()
    trials = expand_trials(load_sweep(sweep), tiny_dataset.fingerprint, tiny_dataset.class_names)
    states = []
    for trial in trials:
        folder = Store(tmp_path / "r").folder(trial)
        status = folder.status()
        states.append(status.status)
        _, alone = run(trial, tiny_dataset, tmp_path / "alone")
        records, theirs = folder.read_evaluations("valid"), alone.read_evaluations("valid")
        assert [one.iteration for one in records] == [2, 4] if status.status is TrialState.FINISHED else [2]
        for one, other in zip(records, theirs, strict=False):
            assert (one.iteration, one.metrics) == (other.iteration, other.metrics)
            assert folder.boxes_path(one).read_bytes() == alone.boxes_path(other).read_bytes()
    assert set(states) <= {TrialState.FINISHED, TrialState.STOPPED}
    assert states[0] is TrialState.FINISHED  # the baseline
    assert (TrialState.STOPPED in states) is (stop != "race")  # six images are too few for it
    shared = [folders(sweep, tiny_dataset, tmp_path / "r")[label] for label in ("baseline", "baseline_small")]
    assert sorted(taken(shared[0])[:1] + taken(shared[1])[:1])[0] == ""  # one of the two has trained
    assert not (tmp_path / "r" / STAGES).exists()


@pytest.mark.slow
def test_begun_afresh_nothing_that_the_sweep_has_trained_is_taken_over(
    sweep: Path, tiny_dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(sweep), "--results", str(tmp_path / "r"), "--set", "resources.cpus=1"]
    assert command_line.main(["launch", *command]) == 0, capsys.readouterr()
    first = {label: taken(folder) for label, folder in folders(sweep, tiny_dataset, tmp_path / "r").items()}
    assert command_line.main(["launch", *command, "--fresh"]) == 0, capsys.readouterr()
    again = folders(sweep, tiny_dataset, tmp_path / "r")
    assert {label: taken(folder) for label, folder in again.items()} == first
    assert {folder.status().status for folder in again.values()} == {TrialState.FINISHED}
