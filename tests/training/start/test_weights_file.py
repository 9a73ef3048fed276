"""Whatever somebody gives as initial weights: the tensors of a model, or one clear fault."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agropest.errors import EnvironmentFault
from agropest.training.start.weights import load_weights
from agropest.training.start.weights_file import read_weights_file


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = torch.nn.Linear(2, 2)


def saved(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def archive(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


TENSORS = {"a.weight": torch.ones(2, 2), "a.bias": torch.zeros(2)}
ARRAYS = {name: tensor.numpy() for name, tensor in TENSORS.items()}
GOOD = {
    "a.pth": saved(TENSORS),
    "b.pth": saved({"model": TENSORS, "iteration": 3}),
    "a.pkl": pickle.dumps({"model": ARRAYS, "__author__": "x"}),
    "b.pkl": pickle.dumps({"model": {k: v.astype(">f4") for k, v in ARRAYS.items()}, "__author__": "x"}),
}
BAD = {
    "empty.pth": b"",
    "empty.pkl": b"",
    "text.pth": b"<html>404</html>",
    "text.pkl": b"<html>404</html>",
    "cut.pth": saved(TENSORS)[:-40],
    "cut.pkl": pickle.dumps({"model": ARRAYS})[:-40],
    "zip.pth": archive(a=b"x"),
    "zip.pkl": archive(a=b"x"),
    "torch.pkl": saved(TENSORS),
    "pickle.pth": pickle.dumps(ARRAYS),
    "list.pth": saved([1, 2]),
    "list.pkl": pickle.dumps([1, 2]),
    "tensor.pth": saved(torch.ones(2)),
    "none.pkl": pickle.dumps(None),
    "nothing.pth": saved({}),
    "words.pth": saved({"model": "a.pth"}),
    "words.pkl": pickle.dumps({"model": "a.pth", "__author__": "x"}),
    "numbers.pth": saved({"lr": 0.1, "epoch": 3}),
    "numbers.pkl": pickle.dumps({3: np.ones(2)}),
    "objects.pkl": pickle.dumps({"model": {"a": ["x"]}, "__author__": "x"}),
    "complex.pth": saved({"a.weight": torch.ones(2, 2, dtype=torch.complex64)}),
    "sparse.pth": saved({"a.weight": torch.ones(2, 2).to_sparse()}),
    "nan.pth": saved({"a.weight": torch.full((2, 2), float("nan")), "a.bias": torch.zeros(2)}),
    "inf.pkl": pickle.dumps({"model": {"a.bias": np.array([1, np.inf])}, "__author__": "x"}),
    "deep.pkl": b"\x80\x04" + b"(" * 5000,
    "huge.pkl": b"\x80\x04\x8e" + b"\xff" * 8,
    "other.pth": saved({"module.backbone.conv": torch.ones(2, 2)}),
    "other.pkl": pickle.dumps({"model": {"x": np.ones(3)}, "__author__": "x"}),
}


@pytest.mark.parametrize("name", GOOD)
def test_the_tensors_of_a_model_are_loaded(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(GOOD[name])
    model = Net()
    assert load_weights(model, str(tmp_path / name)).loaded == ("a.weight", "a.bias")
    assert torch.equal(model.a.weight, TENSORS["a.weight"])


@pytest.mark.filterwarnings("ignore")  # what torch has to say of a sparse tensor
@pytest.mark.parametrize("name", BAD)
def test_anything_else_is_one_clear_fault(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BAD[name])
    with pytest.raises(EnvironmentFault) as caught:
        load_weights(Net(), str(tmp_path / name))
    (line,) = caught.value.faults
    assert line.startswith(str(tmp_path / name)) and "\n" not in line


def test_a_folder_and_a_missing_file_are_clear_faults(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.pth"):
        with pytest.raises(EnvironmentFault, match="expected weights"):
            read_weights_file(path)
