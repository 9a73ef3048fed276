"""Detectron2 from the package index, where no official build is installed.

``detectron2`` itself is not on the index. ``pb1-detectron2`` 0.6 is: an sdist with the Python sources of the v0.6 tag
and the model zoo's configs, but without ``layers/csrc``, so that its own setup.py cannot build. This command repackages
the sources as a pure-Python wheel, which needs no compiler. What the C++ extension alone can do (rotated boxes,
deformable convolution, COCOeval_opt) raises an error that says so; ROIAlign and NMS come from torchvision.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from agropest.errors import EnvironmentFault, fault

HELP = "install Detectron2 from the package index (an installed one is left untouched)"

SDIST = "pb1-detectron2==0.6"
SDIST_SHA256 = "5d2e9e51e523ec72f6a31cca04b0a515492e9514b773a3d134cedc0677170b29"

# pip's own requirement pins of that sdist (black, hydra-core, ...) are left out: requirements.txt has what is used.
PYPROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "detectron2"
version = "0.6+python.only"
description = "Detectron2 v0.6, its Python sources alone"
license = {text = "Apache-2.0"}
requires-python = ">=3.8"

[tool.setuptools.packages.find]
include = ["detectron2*"]

[tool.setuptools.package-data]
"detectron2.model_zoo" = ["configs/**"]
"""

EXTENSION_STAND_IN = '''\
"""Stands where Detectron2's C++ extension would be: this build has none."""


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)

    def missing(*args, **kwargs):
        raise NotImplementedError(
            f"detectron2._C.{name}: this Detectron2 was installed without its C++ extension (rotated boxes, deformable "
            "convolution, COCOeval_opt); build Detectron2 from its own sources to use it"
        )

    return missing
'''


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--wheel", type=Path, metavar="DIR", help="write the wheel to DIR and install nothing")


def run(arguments: argparse.Namespace) -> int:
    if arguments.wheel is None and importlib.util.find_spec("detectron2") is not None:
        print("Detectron2 is already installed; it is left as it is.")
        return 0
    with tempfile.TemporaryDirectory() as name:
        wheel = build_wheel(Path(name))
        if arguments.wheel is not None:
            arguments.wheel.mkdir(parents=True, exist_ok=True)
            print(shutil.copy(wheel, arguments.wheel))
        else:
            _pip("install", "--no-deps", str(wheel))
            print("Detectron2 0.6 installed (Python sources, without the C++ extension).")
    return 0


def build_wheel(folder: Path) -> Path:
    """Returns the wheel built in ``folder`` from the sdist on the package index.

    Raises:
        EnvironmentFault: torch or setuptools is missing (the sdist's setup.py wants both), the package index cannot be
            reached, or the sdist is not the known one.
    """
    for module in ("torch", "setuptools", "wheel"):
        if importlib.util.find_spec(module) is None:
            fix = "run pip install -r requirements.txt first"
            raise EnvironmentFault(fault("install-detectron2", f"needs the package {module}", None, fix))
    sdist = _download(folder)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    source = sdist.with_name(sdist.name.removesuffix(".tar.gz"))
    project = folder / "wheel"
    project.mkdir()
    shutil.move(source / "detectron2", project / "detectron2")
    shutil.copy(source / "LICENSE", project / "LICENSE")
    (project / "pyproject.toml").write_text(PYPROJECT)
    (project / "detectron2" / "_C.py").write_text(EXTENSION_STAND_IN)
    _pip("wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(project))
    return next(folder.glob("detectron2-*.whl"))


def _download(folder: Path) -> Path:
    """Returns the sdist; pip runs its setup.py for the metadata, and compares the hash before it does.

    Raises:
        EnvironmentFault: the index cannot be reached, or serves another file.
    """
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{SDIST} --hash=sha256:{SDIST_SHA256}\n")
    words = ("--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes")
    try:
        _pip("download", *words, "-d", str(folder), "-r", str(wanted))
    except EnvironmentFault as error:
        if "DO NOT MATCH" not in str(error):
            raise
        found = re.search(r"Got\s+([0-9a-f]{64})", str(error))
        fix = "the index served another file than the expected one; examine it before you install it"
        digest = found[1] if found else "another file"
        raise EnvironmentFault(fault(SDIST, f"expected sha256 {SDIST_SHA256}", digest, fix)) from None
    return next(folder.glob("*.tar.gz"))


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        last = (result.stderr.strip() or result.stdout.strip()).splitlines()[-8:]
        fix = "read pip's output above; without a network give pip a folder of wheels (PIP_FIND_LINKS)"
        raise EnvironmentFault(*last, fault(f"pip {words[0]}", "expected exit code 0", result.returncode, fix))
