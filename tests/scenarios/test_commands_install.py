"""The sdist of Detectron2: nothing in it runs before its hash has been compared."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from agropest.commands.setup.install_detectron2 import SDIST_SHA256, build_wheel
from agropest.errors import EnvironmentFault


def test_the_setup_of_a_forged_sdist_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark, index, folder = tmp_path / "it-ran", tmp_path / "index", tmp_path / "build"
    index.mkdir()
    folder.mkdir()
    setup = (
        f"open({str(mark)!r}, 'w').close()\nfrom setuptools import setup\n"
        "setup(name='pb1-detectron2', version='0.6', packages=[])\n"
    )
    members = {
        "setup.py": setup,
        "PKG-INFO": "Metadata-Version: 2.1\nName: pb1-detectron2\nVersion: 0.6\n",
        "LICENSE": "x",
        "detectron2/__init__.py": "",
    }
    with tarfile.open(index / "pb1-detectron2-0.6.tar.gz", "w:gz") as archive:
        for name, text in members.items():
            info = tarfile.TarInfo(f"pb1-detectron2-0.6/{name}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    with pytest.raises(EnvironmentFault, match=f"expected sha256 {SDIST_SHA256}, got '[0-9a-f]{{64}}'"):
        build_wheel(folder)
    assert not mark.exists()
