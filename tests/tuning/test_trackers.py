"""A launch that tells MLflow (files on this machine) and Weights & Biases (offline); skipped without the packages."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from agropest.tuning.hooks import Forgiving

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = [name for name in ("mlflow", "wandb") if importlib.util.find_spec(name) is not None]


@pytest.mark.skipif(not INSTALLED, reason="neither mlflow nor wandb is installed")
def test_trackers_are_told(tiny_sweep: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "launch.py"), str(tiny_sweep), "--results", str(tmp_path / "r")]
    command += ["--set", f"track=[{', '.join(INSTALLED)}]"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=500)
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
    forgiving = Forgiving(broken, said.append)  # type: ignore[arg-type]
    for _ in range(3):
        forgiving.on_trial_result(iteration=1, trials=[], trial=None, result={})
    assert broken.calls == 1
    assert said == ["Broken failed and is left out from now on: ConnectionError: no answer"]
