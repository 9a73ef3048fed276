"""Ranking, record, page and the end of a launch say where the models are."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from agropest.__main__ import main
from agropest.analysis.ranking import RankedTrial, rank_trials
from agropest.analysis.sweep_comparison import compare_record
from agropest.report.console_summary import print_summary
from agropest.store.records import TrialState
from tests.deployment.conftest import Trained


def ending(trained: Trained, rows: list[RankedTrial]) -> str:
    spec: Any = SimpleNamespace(question="Which?", name="winner", reference=SimpleNamespace(runs={}))
    console = Console(file=io.StringIO(), width=180)
    print_summary(console, spec, rows, compare_record(trained.record, trained.store), trained.folder)
    return console.file.getvalue()  # type: ignore[attr-defined]


def ranked(trained: Trained) -> list[RankedTrial]:
    return rank_trials(trained.record.trials, trained.store, trained.record.metric)


def test_the_end_of_a_launch_names_the_best_checkpoint_and_the_command(trained: Trained) -> None:
    told = ending(trained, ranked(trained))
    line = next(line for line in told.splitlines() if line.startswith("Best model"))
    assert Path(line.partition(": ")[2]).is_file()
    assert line.partition(": ")[2] == str(trained.choose().checkpoint)
    assert f"Use it: python -m agropest model {trained.folder} OUT" in told


def test_interrupted_trials_are_counted_and_how_they_continue_is_said(trained: Trained) -> None:
    rows = ranked(trained)
    assert "interrupted" not in ending(trained, rows)
    rows[1:3] = [RankedTrial(**{**vars(row), "status": TrialState.INTERRUPTED}) for row in rows[1:3]]
    assert "2 of 4 trials were interrupted; the same command continues" in ending(trained, rows)


def test_tables_record_and_page_name_folders(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(trained.folder)]) == 0
    table = pd.read_csv(trained.folder / "ranking.csv")
    root = trained.store.root
    assert len(table) == 4
    for row in table.itertuples():
        assert (root / row.folder / "config.yaml").is_file()
        assert (root / row.checkpoint).is_file()
        for name in ("record.md", "index.html", "report.json"):
            text = (trained.folder / name).read_text()
            assert row.folder in text, name
            assert row.checkpoint.rpartition("/")[2] in text, name
