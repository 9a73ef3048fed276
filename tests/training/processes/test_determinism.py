"""``deterministic: true``: what it sets, that it changes nothing on the CPU, and that a trial is found of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.utils.deterministic

from agropest.data.dataset import Dataset
from agropest.machine import Machine
from agropest.store.records import TrialState
from agropest.store.store import Store
from agropest.store.trial_folder import TrialFolder
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.training import checkpoints
from agropest.training.processes.determinism import make_deterministic
from agropest.training.run_context import RunContext
from agropest.training.trainer import TrialTrainer
from agropest.training.trial import detectron2_config, run_trial
from agropest.tuning.jobs import build_jobs
from agropest.tuning.launch import LaunchOptions, open_launch


@pytest.fixture(autouse=True)
def undone(monkeypatch: pytest.MonkeyPatch) -> object:
    """Puts back what the process had before."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    before = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    yield
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = before  # type: ignore[attr-defined]


def test_what_it_sets(tiny_sweep: Path, tiny_dataset: Dataset) -> None:
    environment: dict[str, str] = {}
    make_deterministic(environment)
    assert environment == {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()
    assert torch.backends.cudnn.deterministic
    assert not torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    make_deterministic(given := {"CUBLAS_WORKSPACE_CONFIG": ":16:8"})
    assert given == {"CUBLAS_WORKSPACE_CONFIG": ":16:8"}  # a user's own choice
    spec = load_sweep(tiny_sweep, ("CUDNN_BENCHMARK=true",))
    trial = expand_trials(spec, tiny_dataset.fingerprint, tiny_dataset.class_names)[0]
    TrialTrainer(detectron2_config(trial, "cpu"), "cpu")
    assert not torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(False)
    TrialTrainer(detectron2_config(trial, "cpu"), "cpu")
    assert torch.backends.cudnn.benchmark


def test_on_the_cpu_it_changes_no_bit(tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    spec = load_sweep(tiny_sweep, ("resources.deterministic=true",))
    assert [variant.resources for variant in spec.variants] == [None, None]
    trial = expand_trials(spec, tiny_dataset.fingerprint, tiny_dataset.class_names)[0]
    plain = expand_trials(load_sweep(tiny_sweep), tiny_dataset.fingerprint, tiny_dataset.class_names)[0]
    assert trial.signature == plain.signature
    assert trial.resources.in_words().endswith("deterministic")
    held: list[TrialFolder] = []
    for name, is_deterministic in (("with", True), ("without", False)):
        folder = Store(tmp_path / name).folder(trial).claim()
        context = RunContext(tiny_dataset.paths, deterministic=is_deterministic)
        assert run_trial(trial, folder, context, lambda record: None).status == TrialState.FINISHED
        assert torch.are_deterministic_algorithms_enabled() is is_deterministic
        torch.use_deterministic_algorithms(False)
        held.append(folder)
    one, two = (checkpoints.load(folder.checkpoints, trial.max_iter) for folder in held)
    assert one is not None
    assert two is not None
    assert one["model"].keys() == two["model"].keys()
    assert all(torch.equal(one["model"][name], two["model"][name]) for name in one["model"])
    ours, theirs = (folder.read_evaluations("valid") for folder in held)
    assert [record.metrics for record in ours] == [record.metrics for record in theirs]


def test_a_trials_process_gets_the_setting(tiny_sweep: Path, tmp_path: Path) -> None:
    found = {}
    for value in ("true", "false"):
        launch = open_launch(LaunchOptions(tiny_sweep, None, tmp_path, (f"resources.deterministic={value}",)))
        jobs = build_jobs(launch, launch.trials, Machine("cpu", 1))
        found[value] = {job.context.deterministic for job in jobs.values()}
    assert found == {"true": {True}, "false": {False}}


@pytest.mark.slow
def test_the_script_finds_the_cpu_deterministic() -> None:
    words = ["--cpu", "--config", "demo.yaml", "--iterations", "8", "--neighbours", "1", "--images", "8"]
    command = [sys.executable, "-m", "benchmarks.bench_deterministic", *words, "--side", "192"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout.count("bit for bit the same") == 3
    assert "costs a factor of" in found.stdout
