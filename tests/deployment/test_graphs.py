"""TorchScript and ONNX: equal to the model on pictures of any size, and refused where they would not be."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agropest.__main__ import main
from agropest.deployment.config import deployed_config, merged
from agropest.deployment.detector import Detector
from agropest.deployment.graphs import PlainDetector, check_graph, onnx_runner, require_exportable, torchscript_runner
from agropest.deployment.model_folder import read_model_folder
from agropest.deployment.weights import evaluated_weights
from agropest.errors import StoreError
from tests.deployment.conftest import Trained


def detector_of(trained: Trained, variant: str) -> Detector:
    chosen = trained.choose(variant)
    return Detector(merged(deployed_config(chosen.trial)), evaluated_weights(chosen))


def images(trained: Trained, detector: Detector) -> list[torch.Tensor]:
    root = trained.record.splits["valid"].image_root
    paths = sorted(path for path in root.rglob("valid/**/*.jpg"))
    assert len(paths) == 6
    return [detector.prepare(path)["image"].float() for path in paths]


@pytest.mark.parametrize("variant", ["stock", "sigmoid"])
def test_torchscript_is_the_model(trained: Trained, tmp_path: Path, variant: str) -> None:
    assert main(["model", str(trained.folder / variant), str(tmp_path / "m"), "--torchscript"]) == 0
    detector = detector_of(trained, variant)
    loaded = torchscript_runner((tmp_path / "m" / "model.ts").read_bytes())
    parity = check_graph(PlainDetector(detector.plain), loaded, images(trained, detector), detector)
    assert parity.num_boxes > 20
    assert parity.holds(1e-3)
    assert "equal to the model on 6 pictures" in read_model_folder(tmp_path / "m").card.exports["model.ts"]


def test_onnx_is_the_model(trained: Trained, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="pip install onnx onnxruntime runs this test")
    pytest.importorskip("onnxruntime", reason="pip install onnx onnxruntime runs this test")
    assert main(["model", str(trained.folder / "stock"), str(tmp_path / "m"), "--onnx"]) == 0
    detector = detector_of(trained, "stock")
    run = onnx_runner((tmp_path / "m" / "model.onnx").read_bytes())
    parity = check_graph(PlainDetector(detector.plain), run, images(trained, detector), detector)
    assert parity.num_boxes > 20
    assert parity.holds(1e-3)


def test_the_check_finds_another_model(trained: Trained) -> None:
    detector, other = detector_of(trained, "stock"), detector_of(trained, "stock")
    with torch.no_grad():
        other.plain.roi_heads.box_predictor.bbox_pred.bias += 0.01
    parity = check_graph(PlainDetector(detector.plain), PlainDetector(other.plain), images(trained, detector), detector)
    assert not parity.holds(1e-3)


def test_without_onnx_the_fault_says_what_to_install(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["model", str(trained.folder / "stock"), str(tmp_path / "m"), "--onnx"]) == 2
    assert "pip install onnx onnxruntime" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_what_no_graph_holds_is_refused_at_once(trained: Trained) -> None:
    trial = trained.choose("stock").trial
    require_exportable(trial, ["onnx"])
    config = {**trial.config, "MODEL.META_ARCHITECTURE": "RetinaNet", "TEST.AUG.ENABLED": True}
    with pytest.raises(StoreError) as caught:
        require_exportable(replace(trial, config=config), ["torchscript", "onnx"])
    assert len(caught.value.faults) == 2
    assert all(told.startswith("--torchscript/--onnx: expected") for told in caught.value.faults)
