"""Makes ``import detectron2`` work with today's Pillow and setuptools.

The rooms that import Detectron2 (``modeling``, ``training``) call :func:`make_importable` in their ``__init__``, which
Python runs before any module of theirs. What is there already is left alone, so that an official build of any version
is used as it is: we look for what is missing, never at a version.
"""

from __future__ import annotations

import importlib.util
import sys
import types
import warnings
from pathlib import Path

from agropest.errors import EnvironmentFault, fault

TORCHSCRIPT = r"`torch\.jit\.script(_method)?` is deprecated"


def make_importable() -> None:
    """Adds what Detectron2 0.6 takes for granted and newer libraries have dropped.

    Raises:
        EnvironmentFault: Detectron2 is not installed.
    """
    if importlib.util.find_spec("detectron2") is None:
        fix = "python -m agropest install-detectron2 installs 0.6 from the package index; an official build works too"
        raise EnvironmentFault(fault("detectron2", "expected to be installed", None, fix))
    import PIL.Image

    if not hasattr(PIL.Image, "LINEAR"):  # removed in Pillow 10; a default argument in data/transforms/transform.py
        PIL.Image.LINEAR = PIL.Image.Resampling.BILINEAR  # type: ignore[attr-defined]
    # fvcore scripts its focal loss as it is imported; from torch 2.15 on, everybody who imports it would read of that.
    warnings.filterwarnings("ignore", message=TORCHSCRIPT, category=FutureWarning)
    if importlib.util.find_spec("pkg_resources") is None:  # gone from setuptools 82; model_zoo asks it for one path
        sys.modules["pkg_resources"] = _pkg_resources()


def _pkg_resources() -> types.ModuleType:
    """Returns a module with the one function of ``pkg_resources`` that ``detectron2.model_zoo`` calls."""
    module = types.ModuleType("pkg_resources", __doc__)

    def resource_filename(package: str, resource: str) -> str:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise ModuleNotFoundError(package)
        return str(Path(spec.submodule_search_locations[0]) / resource)

    module.resource_filename = resource_filename  # type: ignore[attr-defined]
    return module
