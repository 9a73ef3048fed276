from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from agropest.errors import ChangedInput, EnvironmentFault
from agropest.modeling.backbones.timm_fpn import _require_whole
from agropest.training.start.first_seen import noted_identity

BACKBONE = "detectron2://ImageNetPretrained/MSRA/R-50.pkl"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The zoo's file as Detectron2 caches it."""
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "cache" / "detectron2" / "ImageNetPretrained" / "MSRA" / "R-50.pkl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    return path


def test_a_results_folder_stays_with_what_it_began_with(file: Path, tmp_path: Path) -> None:
    expected = "sha256:" + hashlib.sha256(b"weights").hexdigest()
    assert noted_identity(BACKBONE, BACKBONE, tmp_path / "notes") == expected
    assert noted_identity(BACKBONE, BACKBONE, tmp_path / "notes") == expected
    file.write_bytes(b"weighty")
    with pytest.raises(ChangedInput, match=r"R-50\.pkl: expected the file that this results folder began with"):
        noted_identity(BACKBONE, BACKBONE, tmp_path / "notes")
    assert noted_identity(BACKBONE, BACKBONE, tmp_path / "other").startswith("sha256:")
    [note] = (tmp_path / "notes").iterdir()
    note.write_text(note.read_text().replace("weights", "heights"))  # a damaged note reads as none
    assert noted_identity(BACKBONE, BACKBONE, tmp_path / "notes") != expected


@pytest.mark.parametrize("weights", ["", "/some/file.pth", "detectron2://COCO-Detection/a/1/model_final_280758.pkl"])
def test_what_says_itself_what_it_is_is_not_noted(file: Path, tmp_path: Path, weights: str) -> None:
    assert noted_identity(weights, "its own", tmp_path / "notes") == "its own"
    assert noted_identity(BACKBONE, BACKBONE, None) == BACKBONE
    assert not (tmp_path / "notes").exists()


def test_the_hubs_files_are_what_their_names_say(tmp_path: Path) -> None:
    kept = tmp_path / hashlib.sha256(b"tensors").hexdigest()
    kept.write_bytes(b"tensors")
    link = tmp_path / "model.safetensors"
    link.symlink_to(kept)
    _require_whole(link)
    kept.write_bytes(b"tensor!")
    with pytest.raises(EnvironmentFault, match="expected the file whose SHA-256 is its name"):
        _require_whole(link)
    other = tmp_path / "small.json"  # not named by a hash
    other.write_bytes(b"{}")
    _require_whole(other)
