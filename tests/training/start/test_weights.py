from __future__ import annotations

import functools
import hashlib
import http.server
import os
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from agropest.data.dataset import Dataset
from agropest.errors import EnvironmentFault
from agropest.modeling.build import build
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.training.start import weights
from agropest.training.trial import detectron2_config


def model_of(path: Path, dataset: Dataset, *settings: str) -> torch.nn.Module:
    trial = expand_trials(load_sweep(path, settings), dataset.fingerprint, dataset.class_names)[0]
    return build(detectron2_config(trial, "cpu"))


def save_like_the_zoo(model: torch.nn.Module, path: Path) -> Path:
    """Writes weights as the model zoo does: a pickle of numpy arrays."""
    arrays = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": "test"}))
    return path


def test_every_layer_that_fits_is_loaded(tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
    source, target = model_of(tiny_sweep, tiny_dataset), model_of(tiny_sweep, tiny_dataset)
    report = weights.load_weights(target, str(save_like_the_zoo(source, tmp_path / "a.pkl")))
    assert report.loaded == tuple(source.state_dict())
    assert report.reinitialised == report.missing == report.skipped == ()
    assert "all" in report.summary()
    for name, tensor in source.state_dict().items():
        assert torch.equal(tensor, target.state_dict()[name]), name


def test_an_rpn_head_with_more_anchors_does_not_fit_and_that_is_said(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    source = model_of(tiny_sweep, tiny_dataset)
    sizes = "MODEL.ANCHOR_GENERATOR.SIZES=[[8, 12, 16], [16, 20, 24], [32, 40, 48], [64, 80, 96], [128, 144, 160]]"
    target = model_of(tiny_sweep, tiny_dataset, sizes)
    report = weights.load_weights(target, str(save_like_the_zoo(source, tmp_path / "a.pkl")))
    layers = {line.split(" ")[0].rsplit(".", 1)[0] for line in report.reinitialised}
    assert layers == {"proposal_generator.rpn_head.objectness_logits", "proposal_generator.rpn_head.anchor_deltas"}
    assert "4 initialised afresh" in report.summary()
    assert len(report.loaded) == len(target.state_dict()) - 4
    assert not any(name in report.loaded for name in target.state_dict() if name.rsplit(".", 1)[0] in layers)
    assert "rpn_head.anchor_deltas" in report.summary()


def test_a_pickle_that_would_run_code_is_refused_not_run(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "was-run"),)

    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"model": Evil()}))
    with pytest.raises(EnvironmentFault, match=r"asks for posix\.mkdir"):
        weights.load_weights(model_of(tiny_sweep, tiny_dataset), str(tmp_path / "evil.pkl"))
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize(("name", "content"), [("a.pkl", b""), ("a.pkl", b"no pickle"), ("a.pth", b"no archive")])
def test_a_file_that_is_no_weights_is_one_clear_fault(
    tiny_sweep: Path, tiny_dataset: Dataset, tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EnvironmentFault, match="expected weights"):
        weights.load_weights(model_of(tiny_sweep, tiny_dataset), str(tmp_path / name))


def test_zoo_weights_that_cannot_be_fetched_say_where_it_looked_and_what_to_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path))
    monkeypatch.setattr(weights, "ZOO_ADDRESS", "http://127.0.0.1:9/detectron2/")
    with pytest.raises(EnvironmentFault) as caught:
        weights.require_weights("detectron2://COCO-Detection/x/model_final.pkl")
    assert str(tmp_path / "detectron2" / "COCO-Detection" / "x" / "model_final.pkl") in str(caught.value)
    assert "127.0.0.1:9/detectron2/COCO-Detection/x/model_final.pkl" in str(caught.value)
    assert "--set MODEL.WEIGHTS=" in str(caught.value)


def test_weights_in_detectron2s_cache_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path))
    path = tmp_path / "detectron2" / "a" / "b.pkl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    weights.require_weights("detectron2://a/b.pkl")
    assert weights.cached_path("detectron2://a/b.pkl") == path


CONTENT = b"weights"
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An address that serves made-up files, the cache being elsewhere; returns the folder that is served."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "ZOO_ADDRESS", f"http://127.0.0.1:{server.server_port}/")
    yield folder
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_zoo_file_is_the_one_that_its_name_says(zoo: Path, tmp_path: Path) -> None:
    good, other = f"model_final_{MD5[:6]}.pkl", f"model_final_{'0' * 6}.pkl"
    for name in (good, other, "R-50.pkl"):
        (zoo / name).write_bytes(CONTENT)
    for name in (good, "R-50.pkl"):  # the backbones' names have no checksum
        for _ in range(2):  # fetched, then from the cache
            weights.require_weights(f"detectron2://{name}")
        assert weights.cached_path(f"detectron2://{name}").read_bytes() == CONTENT
    with pytest.raises(EnvironmentFault, match=f"has the MD5 {MD5}, and {other} names another"):
        weights.require_weights(f"detectron2://{other}")
    assert sorted(path.name for path in (tmp_path / "cache" / "detectron2").iterdir()) == ["R-50.pkl", good]


def test_a_damaged_zoo_file_in_the_cache_is_refused(zoo: Path, tmp_path: Path) -> None:
    path = weights.cached_path(f"detectron2://model_final_{MD5[:6]}.pkl")
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT + b"?")
    with pytest.raises(EnvironmentFault, match="expected the file whose MD5 begins with the digits in its name"):
        weights.require_weights(f"detectron2://{path.name}")
    assert path.is_file()  # Detectron2's own cache
