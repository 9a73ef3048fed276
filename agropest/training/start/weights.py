"""Initial weights: where they are, a safe way to read them, and which layers they fitted.

The model zoo's files are pickles. They are fetched from Detectron2's own address only, and read as data
(``agropest.training.start.weights_file``).
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import IO, Any

import torch
from detectron2.checkpoint import DetectionCheckpointer

from agropest import files
from agropest.errors import EnvironmentFault, fault
from agropest.modeling.backbones.timm_fpn import TIMM_SCHEME, TimmBackbone, fetched
from agropest.store.weights_report import WeightsReport
from agropest.training.start.weights_file import CHECKSUM, FIX, SHA256, fits_name, read_weights_file, require_planned

ZOO_SCHEME = "detectron2://"
ZOO_ADDRESS = "https://dl.fbaipublicfiles.com/detectron2/"


def cached_path(weights: str) -> Path:
    """Returns the local file of initial weights; for a zoo address the place where Detectron2 itself caches it."""
    if not weights.startswith(ZOO_SCHEME):
        return Path(weights)
    cache = files.without_tilde(os.environ.get("FVCORE_CACHE", "~/.torch/iopath_cache"))
    return cache / "detectron2" / weights.removeprefix(ZOO_SCHEME)


def require_weights(weights: str) -> None:
    """Makes sure that the weights are on this machine; fetches a model-zoo file, or timm's, that is not.

    Raises:
        EnvironmentFault: they are not there and cannot be fetched: says where it looked and what to give instead; or a
            zoo file is not the one that its name says.
    """
    if weights.startswith(TIMM_SCHEME):
        fetched(weights)
        return
    path = cached_path(weights)
    if not weights or path.is_file():
        if weights.startswith(ZOO_SCHEME):
            _require_whole(path)
        return
    fix = "fetch it with a browser and give the file: --set MODEL.WEIGHTS=/where/it/is.pkl"
    if not weights.startswith(ZOO_SCHEME):
        raise EnvironmentFault(fault("MODEL.WEIGHTS", f"expected a file or a {ZOO_SCHEME} address", weights, fix))
    address = ZOO_ADDRESS + weights.removeprefix(ZOO_SCHEME)
    try:
        _fetch(address, path)
    except OSError as error:
        rule = f"looked for {path}, then for {address}"
        raise EnvironmentFault(fault("MODEL.WEIGHTS", rule, str(error), fix)) from None


def _fetch(address: str, path: Path) -> None:
    """Downloads a file, atomically, with a progress bar."""
    import urllib.request

    from rich.progress import wrap_file

    with urllib.request.urlopen(address, timeout=20) as reply:
        size = int(reply.headers.get("Content-Length", 0)) or None
        if size is not None and reply.status == 200:
            with wrap_file(reply, total=size, description=f"fetching {path.name}") as bar:
                files.write_with(path, lambda file: _copy(bar, file, size, path.name))
        else:
            files.write_with(path, lambda file: _copy(reply, file, None, path.name))


def _copy(source: Any, target: IO[bytes], size: int | None, name: str) -> None:
    """Copies all of ``source``, holds it against the announced length and the checksum in its name, prints its SHA-256.

    Raises:
        OSError: the connection ended early, or something else was sent. What was written is not kept.
    """
    digest, checksum, length = hashlib.sha256(), _md5(), 0
    while chunk := source.read(1 << 20):
        target.write(chunk)
        digest.update(chunk)
        checksum.update(chunk)
        length += len(chunk)
    if size is not None and length != size:
        raise OSError(f"the connection ended after {length} of {size} bytes")
    if not fits_name(name, checksum.hexdigest()):
        raise OSError(f"what was sent has the MD5 {checksum.hexdigest()}, and {name} names another; it is not kept")
    print(f"fetched {length} bytes, SHA-256 {digest.hexdigest()}", flush=True)


def _require_whole(path: Path) -> None:
    """Refuses a zoo file in the cache that is not the one that its name says.

    Raises:
        EnvironmentFault: names the file, which stays: it is Detectron2's cache.
    """
    if not CHECKSUM.search(path.name):
        return
    with open(path, "rb") as file:
        checksum = hashlib.file_digest(file, _md5).hexdigest()
    if not fits_name(path.name, checksum):
        rule = "expected the file whose MD5 begins with the digits in its name"
        raise EnvironmentFault(fault(str(path), rule, checksum, "remove it: it is fetched again by the next launch"))


def _md5() -> Any:
    return hashlib.md5(usedforsecurity=False)


def load_weights(model: torch.nn.Module, weights: str, identity: str = "") -> WeightsReport:
    """Fills ``model`` from initial weights and returns which layers they fitted.

    What ``MODEL.TIMM.WEIGHTS`` filled as the model was built is in it, too.

    Args:
        model: a Detectron2 model.
        weights: a model-zoo address, a ``.pkl`` of Detectron2 or Caffe2, or a ``.pth``; empty for none.
        identity: of the trial's initial weights (:attr:`TrialSpec.weights`); empty: the file is not compared with it.

    Returns:
        A report without anything in it where everything is random.

    Raises:
        EnvironmentFault: the file cannot be read safely, or nothing in it is this model's.
        ChangedInput: it is not the file that the sweep was planned with.
    """
    by_timm, unused = _filled_by_timm(model)
    if not weights:
        missing = tuple(name for name in model.state_dict() if by_timm and name not in by_timm)
        return WeightsReport(by_timm, (), missing, unused)
    path = cached_path(weights)
    content = read_weights_file(path, identity.partition(" + ")[0])
    available = set(content["model"])
    try:
        result = DetectionCheckpointer(model)._load_model(content)
    except (ValueError, RuntimeError, KeyError, AttributeError, TypeError) as error:  # names that fit several layers
        value = (str(error).splitlines() or [type(error).__name__])[0]
        raise EnvironmentFault(fault(str(path), "expected weights of this model", value, FIX)) from None
    wrong = tuple(f"{name} {tuple(theirs)} -> {tuple(ours)}" for name, theirs, ours in result.incorrect_shapes)
    reshaped = {name.split(" ")[0] for name in wrong}
    missing = tuple(name for name in result.missing_keys if name not in reshaped.union(by_timm))
    loaded = tuple(name for name in model.state_dict() if name not in reshaped.union(missing))
    if not set(loaded) - {*by_timm, "pixel_mean", "pixel_std"}:  # those two no checkpoint has to have
        rule, found = "expected weights of this model; none of its layers has such a name and shape", sorted(available)
        raise EnvironmentFault(fault(str(path), rule, found[:3], FIX))
    skipped = tuple(sorted(set(result.unexpected_keys) & available))
    return WeightsReport(loaded, wrong, missing, (*skipped, *unused))


def require_timm_as_planned(weights: str, identity: str) -> None:
    """Refuses a local file of a timm backbone that is not the one of the trial's signature.

    Args:
        weights: ``MODEL.TIMM.WEIGHTS``.
        identity: :attr:`TrialSpec.weights`.

    Raises:
        ChangedInput: it is another.
    """
    planned = identity.partition(" + ")[2]
    if planned.startswith(SHA256):
        require_planned(Path(weights), Path(weights).read_bytes(), planned)


def _filled_by_timm(model: torch.nn.Module) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the tensors that a timm backbone's own weights filled, and those of their file that it does not have."""
    for prefix, module in model.named_modules():
        if isinstance(module, TimmBackbone):
            return tuple(f"{prefix}.body.{name}" for name in module.filled), module.unused
    return (), ()
