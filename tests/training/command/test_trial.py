"""A trial of a command: what it leaves, what it is told, how it is stopped, and what its mistakes come to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agropest.data.dataset import Dataset
from agropest.errors import ChangedInput
from agropest.statistics.detections.boxes import Boxes
from agropest.store.completeness import is_done
from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.store import Store
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.trial import TrialSpec
from agropest.training.kinds import keep_replicates_of_any, run_any_trial
from agropest.training.run_context import RunContext

MakeTrial = Callable[..., TrialSpec]


class Runner:
    """Runs trials on the tiny data set, in one results folder."""

    def __init__(self, tmp_path: Path, dataset: Dataset) -> None:
        self.store = Store(tmp_path / "results")
        splits = {name: (split.annotations, split.image_root) for name, split in dataset.splits.items()}
        self.context = RunContext(splits, sweep_folder=tmp_path)

    def __call__(
        self,
        trial: TrialSpec,
        on_evaluation: Callable[[EvaluationRecord], object] = lambda record: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> tuple[Status, TrialFolder]:
        folder = self.store.folder(trial).claim()
        return run_any_trial(trial, folder, self.context, on_evaluation, should_stop), folder

    def told(self, trial: TrialSpec) -> list[dict[str, Any]]:
        """Returns the environment of each start."""
        path = self.store.folder(trial).path / "output" / "told.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def runner(tmp_path: Path, tiny_dataset: Dataset) -> Runner:
    return Runner(tmp_path, tiny_dataset)


def test_a_trial_leaves_what_any_trial_leaves(command_trial: MakeTrial, runner: Runner, tiny_dataset: Dataset) -> None:
    trial, seen = command_trial(), []
    status, folder = runner(trial, seen.append)
    assert (status.status, status.iteration, status.notes) == (TrialState.FINISHED, 4, ())
    assert [(record.iteration, record.num_images) for record in seen] == [(2, 6), (4, 6)]
    assert folder.read_evaluations("valid") == seen
    (test,) = folder.read_evaluations("test")
    assert (test.iteration, test.metrics["AP"]) == (4, pytest.approx(100.0))  # at the end it finds everything
    assert seen[0].metrics["AP"] < seen[1].metrics["AP"] == pytest.approx(100.0)
    assert len(Boxes.load(folder.boxes_path(seen[1]))) == tiny_dataset.splits["valid"].num_boxes
    findings = json.loads((folder.path / "referee.json").read_text())
    assert [(one["split"], one["difference"] <= 1e-9) for one in findings] == [("valid", True), ("test", True)]
    assert is_done(trial, runner.store, "AP", tiny_dataset.splits, "")
    assert not list((folder.path / "output").glob("*-0*.json"))  # what is stored is not kept twice
    assert not (folder.path / "command.json").exists()
    kept = len(list((folder.path / "replicates").iterdir()))
    keep_replicates_of_any(trial, folder, runner.context)
    assert len(list((folder.path / "replicates").iterdir())) == kept > 0


def test_a_command_gets_what_it_needs_and_nothing_of_the_test_split_before_its_turn(
    command_trial: MakeTrial, runner: Runner, tiny_dataset: Dataset
) -> None:
    trial = command_trial()
    _, folder = runner(trial)
    training, prediction = runner.told(trial)
    valid = tiny_dataset.splits["valid"]
    expected = {
        "TASK": "train",
        "SEED": "5",
        "ITERATIONS": "4",
        "EVALUATE_AT": "2,4",
        "NUM_CLASSES": "12",
        "DEVICE": "cpu",
        "THREADS": "1",
        "OUTPUT": str(folder.path / "output"),
        "VALID_ANNOTATIONS": str(valid.annotations),
        "VALID_IMAGES": str(valid.image_root),
    }
    assert {key: training[key] for key in expected} == expected
    assert not [key for key in training if "TEST" in key]
    assert [prediction[key] for key in ("TASK", "SPLIT", "ITERATION")] == ["predict", "test", "4"]


def test_a_truthy_answer_stops_it(command_trial: MakeTrial, runner: Runner) -> None:
    status, folder = runner(command_trial("waits"), lambda record: True)
    assert (status.status, status.iteration) == (TrialState.STOPPED, 2)
    assert (folder.path / "output" / "ended").exists()  # it had SIGTERM, and the time to save something
    assert folder.read_evaluations("test") == []


def test_an_interrupted_trial_gets_the_list_of_missing_results(command_trial: MakeTrial, runner: Runner) -> None:
    trial, seen = command_trial("waits"), []
    status, _ = runner(trial, seen.append, lambda: bool(seen))
    assert (status.status, status.iteration) == (TrialState.INTERRUPTED, 2)
    status, _ = runner(trial, seen.append)
    assert [told.get("EVALUATE_AT") for told in runner.told(trial)] == ["2,4", "4", None]
    assert [record.iteration for record in seen] == [2, 2, 4]  # what is stored is reported again, as any trial does
    assert status.status == TrialState.FINISHED


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("half", "valid-00000002.json: expected JSON"),
        ("corners", "entry 0.bbox: expected [x, y, width, height]"),
        ("strange image", "expected boxes on the images of the ground truth, got 'image_id 12345'"),
        ("strange class", "expected category ids [1, 2, 3"),
        ("exit 3", "not without valid-00000004.json, got 'exit code 3: out of ideas'"),
        ("exit 4", "not after its last results, got 'exit code 4: it printed nothing'"),
    ],
)
def test_a_mistake_of_the_command_fails_the_trial_with_its_reason(
    what: str, reason: str, command_trial: MakeTrial, runner: Runner
) -> None:
    status, folder = runner(command_trial(what))
    assert status.status == TrialState.FAILED
    assert reason in status.reason, status.reason
    assert folder.status() == status


def test_what_the_machine_did_to_it_is_no_failure(command_trial: MakeTrial, runner: Runner) -> None:
    with pytest.raises(ChildProcessError, match="signal 9"):
        runner(command_trial("killed"))
    trial = command_trial("exit 75")
    with pytest.raises(ChildProcessError, match="exit code 75"):
        runner(trial)
    status, _ = runner(trial)
    assert status.status == TrialState.FINISHED


def test_a_file_that_was_changed_since_the_plan_ends_the_launch(
    command_trial: MakeTrial, runner: Runner, tmp_path: Path
) -> None:
    trial = command_trial()
    (tmp_path / "script.py").write_text("print('another one')\n")
    with pytest.raises(ChangedInput, match=r"script\.py"):
        runner(trial)


def test_a_damaged_evaluation_is_asked_for_again(command_trial: MakeTrial, runner: Runner) -> None:
    trial = command_trial()
    _, folder = runner(trial)
    before = folder.read_evaluations("valid")
    folder.boxes_path(before[0]).write_bytes(b"damage")
    status, _ = runner(trial)
    assert status.status == TrialState.FINISHED
    assert [told.get("EVALUATE_AT") for told in runner.told(trial)] == ["2,4", None, "2,4"]
    assert [record.metrics for record in folder.read_evaluations("valid")] == [record.metrics for record in before]


def test_a_stopped_trial_with_damage_is_made_whole_and_stays_stopped(command_trial: MakeTrial, runner: Runner) -> None:
    trial = command_trial("waits")
    _, folder = runner(trial, lambda record: True)
    (record,) = folder.read_evaluations("valid")
    folder.boxes_path(record).write_bytes(b"damage")
    status, _ = runner(trial)
    assert (status.status, status.iteration) == (TrialState.STOPPED, 2)
    assert status.notes[-1] == "what was damaged was made again"
    assert folder.has_intact_boxes(folder.read_evaluations("valid")[0])
