"""Commands beside a trial of Detectron2's in one launch, one at a time: lost once, started again, ranked and shown."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from agropest import command_line
from agropest.store.records import TrialState
from agropest.store.store import Store
from agropest.store.sweep_record import read_sweep_record
from agropest.sweep.frameworks.command import RUN
from launch import main
from tests.conftest import TINY
from tests.training.command.conftest import SCRIPT


def test_a_command_is_ranked_beside_detectron2_and_started_again_where_it_was_killed(
    tmp_path: Path, tiny_folder: Path
) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    sweep = tmp_path / "both.yaml"
    sweep.write_text(
        f"{TINY}\nquestion: Which?\ndata: {tiny_folder}\nseeds: [1]\nsilence: [no-effect]\n"
        "variants:\n  baseline: {}\n  other: {command: [python, script.py, killed once]}\n"
        "  alone: {command: [python, script.py, alone]}\n  alone_too: {command: [python, script.py, alone, '2']}\n"
        "resources: {cpus: 0.25, max_concurrent: 1}\n"
    )
    results = tmp_path / "r"
    assert main([str(sweep), "--results", str(results), "--no-dashboard"]) == 0
    record, store = read_sweep_record(results / "both"), Store(results)
    command = next(trial for trial in record.trials if trial.label == "other")
    assert command.config[RUN] == ["python", "script.py", "killed once"]
    status = store.folder(command).status()
    assert status.status == TrialState.FINISHED
    statuses = [store.folder(trial).status() for trial in record.trials]
    assert {one.status for one in statuses} == {TrialState.FINISHED}, [one.reason for one in statuses]
    assert any("signal 9" in note for note in status.notes), status.notes
    table = pd.read_csv(results / "both" / "comparison.csv").set_index("label")
    assert table.loc["other", "rank"] == 1  # it knows the answers
    assert (results / "both" / "index.html").is_file()
    assert command_line.main(["predictions", str(results / "both"), str(tmp_path / "out")]) == 0
    assert list((tmp_path / "out").rglob("*other*"))
