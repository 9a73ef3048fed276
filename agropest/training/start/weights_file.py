"""A file of initial weights, read as data: names and tensors, never code.

The model zoo's files are pickles. They are read by an unpickler that knows numpy arrays and plain values: a pickle that
asks for anything else is refused, not run. The bytes that are read are those that were compared with the hash.
"""

from __future__ import annotations

import codecs
import collections
import hashlib
import importlib
import io
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agropest.errors import ChangedInput, EnvironmentFault, fault

# The first six digits of the file's MD5, e.g. model_final_280758.pkl.
CHECKSUM = re.compile(r"_([0-9a-f]{6})\.pkl$")
SHA256 = "sha256:"
FIX = "give a checkpoint of Detectron2 (.pkl) or a state_dict saved by torch (.pth)"


def read_weights_file(path: Path, identity: str = "") -> dict[str, Any]:
    """Returns a file's content as Detectron2's checkpointer takes it: ``model``, and how its names are matched.

    Args:
        path: of the file.
        identity: ``sha256:`` and the hash that the trial's signature was computed from; anything else is not compared.

    Raises:
        ChangedInput: the file is not the one that the sweep was planned with.
        EnvironmentFault: it cannot be read, or holds something else than the tensors of a model.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EnvironmentFault(fault(str(path), "expected weights", error.strerror or str(error), FIX)) from None
    require_planned(path, content, identity)
    is_pickle = path.suffix == ".pkl"
    try:
        if is_pickle:
            data = _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
        else:
            data = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle makes its reader raise almost anything
        value = (str(error).strip().splitlines() or [""])[0] or type(error).__name__
        raise EnvironmentFault(fault(str(path), "expected weights", value, FIX)) from None
    return _arranged(data, is_pickle, str(path))


def fits_name(name: str, checksum: str) -> bool:
    """Returns whether a file's MD5 begins with the six digits in its name; True where its name has none.

    Detectron2's MODEL_ZOO.md: "any model on this page contains its md5 prefix in its file name"; the ImageNet backbones
    have none. Six digits find damage and mix-ups; against forgery the file is read by an unpickler that runs nothing.
    """
    found = CHECKSUM.search(name)
    return found is None or checksum.startswith(found[1])


def require_planned(path: Path, content: bytes, identity: str) -> None:
    """Refuses a file's content that is not what the trial's signature, or the file's own name, says.

    Raises:
        ChangedInput: it is another.
    """
    fix = "bring the right file back, or launch again, which takes it as it is now: those are other trials"
    if identity.startswith(SHA256):
        found = hashlib.sha256(content).hexdigest()
        if not found.startswith(identity.removeprefix(SHA256)):
            rule = f"expected the weights that the sweep was planned with, {identity}"
            raise ChangedInput(fault(str(path), rule, found[:32], fix))
    elif not fits_name(path.name, hashlib.md5(content, usedforsecurity=False).hexdigest()):
        rule, fix = "expected the file whose MD5 begins with the digits in its name", "remove it: it is fetched again"
        raise ChangedInput(fault(str(path), rule, "another file", fix))


def _arranged(data: Any, is_pickle: bool, where: str) -> dict[str, Any]:
    """Returns the content with the tensors under ``model``."""
    if not isinstance(data, Mapping):
        raise EnvironmentFault(fault(where, "expected a mapping of names to tensors", type(data).__name__, FIX))
    if is_pickle and not ("model" in data and "__author__" in data):  # Caffe2 / Detectron1
        blobs = data.get("blobs", data)
        _require_tensors(blobs, where)
        blobs = {name: value for name, value in blobs.items() if not name.endswith("_momentum")}
        return {"model": _native(blobs), "__author__": "Caffe2", "matching_heuristics": True}
    model = data.get("model", data)
    _require_tensors(model, where)
    return {**data, "model": _native(model)} if "model" in data else {"model": _native(model)}


def _require_tensors(model: Any, where: str) -> None:
    """Refuses what is no mapping of names to finite tensors."""
    if not isinstance(model, Mapping) or not model:
        found = type(model).__name__ if model or not isinstance(model, Mapping) else "an empty one"
        raise EnvironmentFault(fault(where, "expected a mapping of names to tensors", found, FIX))
    strange = [str(name) for name, value in model.items() if not isinstance(name, str) or not _is_numeric(value)]
    if strange:
        raise EnvironmentFault(fault(where, "expected a tensor under every name", strange[:3], FIX))
    broken = [name for name, value in model.items() if not _is_finite(value)]
    if broken:
        fix = "the training that saved it had diverged, or the file is damaged; give another"
        raise EnvironmentFault(fault(where, "expected finite weights", f"NaN or infinity in {broken[:3]}", fix))


def _is_numeric(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return value.layout == torch.strided and not (value.is_complex() or value.is_quantized or value.is_meta)
    return isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fiub"


def _is_finite(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return not value.is_floating_point() or bool(torch.isfinite(value).all())
    return value.dtype.kind != "f" or bool(np.isfinite(value).all())


def _native(model: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the tensors with numpy's in this machine's byte order, which torch insists on."""
    return {
        name: value if isinstance(value, torch.Tensor) else np.array(value, dtype=value.dtype.newbyteorder("="))
        for name, value in model.items()
    }


class _ArrayUnpickler(pickle.Unpickler):
    """Reads numpy arrays and plain values; refuses everything that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name in ("_reconstruct", "scalar"):
            return getattr(importlib.import_module("numpy._core.multiarray"), name)
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("_codecs", "encode"):
            return codecs.encode
        raise pickle.UnpicklingError(f"the pickle asks for {module}.{name}; only arrays and plain values are read")
