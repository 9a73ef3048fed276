from __future__ import annotations

import json
from pathlib import Path

import pytest

from agropest.data.dataset import Dataset
from agropest.errors import StoreError
from agropest.store.store import Store
from agropest.store.sweep_record import describe_sweep, read_sweep_record, write_sweep_record
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep


def test_a_sweep_is_read_back_as_it_was_launched(tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    spec = load_sweep(tiny_sweep, ["seeds=[1,2]", "guard={class: Ants, max_drop: 2}"])
    trials = expand_trials(spec, tiny_dataset.fingerprint, tiny_dataset.class_names)
    record = describe_sweep(spec, trials, tiny_dataset)
    folder = write_sweep_record(record, Store(tmp_path / "r")).parent
    again = read_sweep_record(folder)
    assert [trial.signature for trial in again.trials] == [trial.signature for trial in trials]
    assert [dict(trial.config) for trial in again.trials] == [dict(trial.config) for trial in trials]
    assert [(trial.name, trial.overrides) for trial in again.trials] == [(t.name, t.overrides) for t in trials]
    assert again.guards == spec.guards
    assert again.resources == {trial.name: "1 CPU, 0 GPU" for trial in trials}
    assert (again.title, again.baseline, again.metric) == ("Does focal loss help?", "baseline", "AP")
    assert again.splits["valid"].num_images == 6
    assert len(again.ground_truths()["test"].images) == 4
    assert again.environment["Python"].startswith("3.")
    assert (folder / "sweep.json").stat().st_size < 40_000  # configs are kept as differences


@pytest.mark.parametrize(
    ("change", "piece"),
    [
        (lambda content: content.pop("trials"), "KeyError: 'trials'"),
        (lambda content: content.update(format=99), "expected format 1, got 99"),
        (lambda content: content["baseline_config"].update({"SOLVER.MAX_ITER": 7}), "has signature"),
    ],
)
def test_a_record_that_is_damaged_is_refused(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path, change: object, piece: str
) -> None:
    spec = load_sweep(tiny_sweep)
    trials = expand_trials(spec, tiny_dataset.fingerprint, tiny_dataset.class_names)
    path = write_sweep_record(describe_sweep(spec, trials, tiny_dataset), Store(tmp_path / "r"))
    content = json.loads(path.read_text())
    content.pop("seal")  # as an older version wrote it
    change(content)  # type: ignore[operator]
    path.write_text(json.dumps(content))
    with pytest.raises(StoreError, match=piece):
        read_sweep_record(path.parent)


def test_a_folder_that_is_no_sweep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"sweep\.json: expected the record of a sweep.*launching it again"):
        read_sweep_record(tmp_path)
