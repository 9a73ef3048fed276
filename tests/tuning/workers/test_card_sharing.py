"""What is said and done where trials share a card; the daemon is a script that keeps a diary."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from agropest.data.dataset import Dataset
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.sweep.trial import TrialSpec
from agropest.tuning.workers.card_sharing import PIPES, TOOL, card_sharing, is_running


@pytest.fixture
def trial(tiny_sweep: Path, tiny_dataset: Dataset) -> TrialSpec:
    sweep = load_sweep(tiny_sweep, ("resources.gpus=0.5", "resources.mps=true"))
    return expand_trials(sweep, tiny_dataset.fingerprint, tiny_dataset.class_names)[0]


@pytest.fixture
def diary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(PIPES, str(tmp_path / "pipes"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")
    return tmp_path / "diary"


def install(diary: Path, exit_code: int = 0) -> None:
    tool = diary.parent / "bin" / TOOL
    tool.parent.mkdir()
    noted = f'[ $# = 1 ] && echo "$1" >> {diary} || cat >> {diary}'
    tool.write_text(f"#!/bin/sh\n{noted}\necho no card >&2\nexit {exit_code}\n")
    tool.chmod(0o755)


def said(trials: Sequence[TrialSpec]) -> str:
    lines: list[str] = []
    with card_sharing(trials, lines.append):
        pass
    return "\n".join(lines)


def test_a_daemon_that_was_asked_for_runs_until_the_launch_ends(trial: TrialSpec, diary: Path) -> None:
    install(diary)
    lines: list[str] = []
    with card_sharing([trial], lines.append):
        assert diary.read_text() == "-d\n"
    assert diary.read_text() == "-d\nquit\n"
    assert "started CUDA MPS" in lines[0]


def test_without_being_asked_it_says_what_would_help(trial: TrialSpec, diary: Path) -> None:
    unasked = replace(trial, resources=replace(trial.resources, mps=False))
    assert said([unasked]) == ""  # and nothing where there is nothing to start
    assert f"there is no {TOOL} here" in said([trial])
    install(diary)
    assert "mps: true" in said([unasked]) and not diary.exists()


def test_a_daemon_that_does_not_start_is_named_and_not_ended(trial: TrialSpec, diary: Path) -> None:
    install(diary, exit_code=1)
    assert "did not start (no card)" in said([trial])
    assert diary.read_text() == "-d\n"


def test_a_daemon_that_runs_already_is_left_alone(trial: TrialSpec, diary: Path) -> None:
    install(diary)
    pipes = Path(os.environ[PIPES])
    pipes.mkdir()
    (pipes / f"{TOOL}.pid").write_text(str(os.getpid()))
    assert is_running() and "daemon that runs here" in said([trial])
    assert not diary.exists()
    (pipes / f"{TOOL}.pid").write_text("99999999")
    assert not is_running()


def test_trials_that_have_a_card_to_themselves_need_none(trial: TrialSpec, diary: Path) -> None:
    install(diary)
    assert said([replace(trial, resources=replace(trial.resources, gpus=1.0))]) == ""
    assert not diary.exists()
