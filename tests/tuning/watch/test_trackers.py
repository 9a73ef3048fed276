"""A launch that tells MLflow (files on this machine) and Weights & Biases (offline); skipped without the packages."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from agropest import files
from agropest.store.records import EvaluationRecord, Status, TrialState
from agropest.store.store import Store
from agropest.sweep.trial import TrialSpec
from agropest.tuning.fit import _reported_before
from agropest.tuning.ray.hooks import Forgiving

ROOT = Path(__file__).resolve().parents[3]
INSTALLED = [name for name in ("mlflow", "wandb") if importlib.util.find_spec(name) is not None]


@pytest.mark.skipif(not INSTALLED, reason="neither mlflow nor wandb is installed")
def test_trackers_get_every_evaluation(tiny_sweep: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "launch.py"), str(tiny_sweep), "--results", str(tmp_path / "r")]
    command += ["--set", f"track=[{', '.join(INSTALLED)}]"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "left out" not in result.stdout
    folder = tmp_path / "r" / "tiny"
    if "mlflow" in INSTALLED:
        runs = {path.parent.parent.name: path.read_text() for path in folder.glob("mlflow/*/*/params/trial")}
        assert sorted(runs.values()) == ["baseline/s1", "focal/s1"]
        for run in runs:
            (params,) = folder.glob(f"mlflow/*/{run}/params/hyperparameters")
            assert sorted(path.name for path in params.iterdir()) == ["MODEL.ROI_BOX_HEAD.CLS_LOSS", "label", "seed"]
            (metric,) = folder.glob(f"mlflow/*/{run}/metrics/AP")
            assert [line.split()[2] for line in metric.read_text().splitlines()] == ["2", "4"]
    if "wandb" in INSTALLED:
        assert len(list(folder.glob("wandb/offline-run-*/*.wandb"))) == 2


def test_a_tracker_that_fails_is_left_out() -> None:
    said: list[str] = []

    class Broken:
        calls = 0

        def on_trial_result(self, *args: object, **info: object) -> None:
            self.calls += 1
            raise ConnectionError("no answer")

    broken = Broken()
    forgiving = Forgiving(broken, said.append, {})  # type: ignore[arg-type]
    for iteration in range(3):
        forgiving.on_trial_result(iteration=iteration, trials=[], trial=None, result={})
    assert broken.calls == 1
    assert said == ["Broken failed and is left out from now on: ConnectionError: no answer"]


def test_an_evaluation_is_tracked_once_however_often_it_is_reported() -> None:
    """A trial that continues tells what is stored; so does one that has made way for another, within a launch."""
    passed: list[tuple[str, int]] = []

    class Tracker:
        def on_trial_result(self, trial: SimpleNamespace, result: dict[str, int], **info: object) -> None:
            passed.append((trial.config["trial"], result["iteration"]))

    forgiving = Forgiving(Tracker(), pytest.fail, {"a/s1": 400})  # type: ignore[arg-type]
    for name, iterations in (("a/s1", (200, 400, 600)), ("b/s1", (200,)), ("a/s1", (200, 400, 600, 800))):
        for iteration in iterations:
            trial = SimpleNamespace(config={"trial": name})
            forgiving.on_trial_result(iteration=1, trials=[], trial=trial, result={"iteration": iteration})
    assert passed == [("a/s1", 600), ("b/s1", 200), ("a/s1", 800)]


def test_what_an_earlier_launch_tracked_is_read_from_the_store(tmp_path: Path) -> None:
    store = Store(tmp_path)
    trial = TrialSpec("a", 1, {"SOLVER.MAX_ITER": 4, "TEST.EVAL_PERIOD": 2}, "d")
    assert _reported_before(trial, store) == 0
    folder = store.folder(trial).claim()
    for iteration in (2, 4):
        record = EvaluationRecord("valid", iteration, {"AP": 1.0}, 1, 1, 0.1)
        folder.write_evaluation(record, lambda path: files.write_bytes(path, b"boxes"))
    folder.write_status(Status(TrialState.INTERRUPTED, 4))
    assert _reported_before(trial, store) == 2  # the last evaluation is told when the trial has been tested
    folder.write_status(Status(TrialState.FINISHED, 4))
    assert _reported_before(trial, store) == 4
