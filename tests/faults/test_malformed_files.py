"""No sweep, data.yaml or COCO file, however spoilt, ends in a traceback: it is valid, or a fault names its place."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

import launch
from agropest.__main__ import main
from agropest.data.data_yaml import read_data_yaml
from agropest.errors import DataError
from tests.faults.mutations import spoilt

ROOT = Path(__file__).resolve().parents[2]
SWEEPS = sorted((ROOT / "sweeps").glob("*.yaml"))


@pytest.fixture
def planned(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Plans a sweep file as ``launch.py --plan`` does, but for the building of models, which needs torch."""
    monkeypatch.setattr(launch, "idle_of", lambda *arguments: {})

    def plan(path: Path) -> int:
        return launch.main([str(path), "--plan", "--data", str(tiny_folder), "--results", str(tmp_path / "r")])

    return plan


def test_spoilt_sweep_files(planned: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(planned)
    draw = random.Random(7)
    codes: Counter[int] = Counter()
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "results").symlink_to(ROOT / "results")
    (tmp_path / "sweeps").mkdir()
    unnamed = []
    for number in range(500):
        content, keys = spoilt(draw.choice(SWEEPS), draw)
        path = tmp_path / "sweeps" / f"spoilt-{number}.yaml"
        path.write_bytes(content)
        code = planned(path)
        error = capsys.readouterr().err
        codes[code] += 1
        assert code in (0, 2), (code, content)
        assert "Traceback" not in error
        assert bool(error) == (code == 2), error
        for line in error.splitlines():
            assert line.startswith("error: "), line
            if not line.startswith(f"error: {path}") and "error: MODEL." not in line:
                unnamed.append((keys, line))
        # Where a variant is renamed, its new name may be a good one, and what is missing is the baseline.
        renamed = "baseline: expected the name of a variant" in error
        if any(keys) and code == 2 and not renamed and not any(key and key in error for key in keys):
            unnamed.append((keys, error))
        path.unlink()
    assert unnamed == []
    assert codes[2] > 250, codes
    assert codes[0] > 20, codes


def test_spoilt_data_yaml(tiny_folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(tiny_folder, root)
    original = tiny_folder / "data.yaml"
    draw, refused = random.Random(11), 0
    for _ in range(300):
        content, _ = spoilt(original, draw)
        (root / "data.yaml").write_bytes(content)
        try:
            read_data_yaml(root / "data.yaml", root)
        except DataError as error:
            refused += 1
            assert all(line.startswith(str(root / "data.yaml")) for line in error.faults), error.faults
    assert 60 < refused < 300


def test_a_launch_with_a_spoilt_data_yaml(
    planned: object, tiny_folder: Path, tiny_sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(planned)
    root = tmp_path / "data"
    shutil.copytree(tiny_folder, root)
    for content in (b"", b"\xff", b"names: [a, a]\ntrain: train/images\n", b"names: 3\n", b"[1, 2]", b"train: nowhere"):
        (root / "data.yaml").write_bytes(content)
        code = launch.main([str(tiny_sweep), "--plan", "--data", str(root), "--results", str(tmp_path / "r")])
        error = capsys.readouterr().err
        assert code == 2, content
        assert all(line.startswith(f"error: {root / 'data.yaml'}") for line in error.splitlines()), error


@pytest.mark.parametrize("which", ["gt.json", "predictions.json"])
def test_spoilt_coco_files(which: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    annotations = [
        {"id": i, "image_id": i, "category_id": 1 + i % 2, "bbox": [i, 2.5, 40, 30.0], "area": 1200.0, "iscrowd": 0}
        for i in range(1, 5)
    ]
    images = [{"id": i, "file_name": f"{i}.jpg", "source": f"{i // 2}"} for i in range(1, 5)]
    categories = [{"id": 1, "name": "ant"}, {"id": 2, "name": "bee"}]
    content = {
        "gt.json": {"images": images, "categories": categories, "annotations": annotations},
        "predictions.json": [{**a, "score": 0.2 * a["image_id"]} for a in annotations],
        "others.json": [],
    }
    truth, predictions, others = (str(tmp_path / name) for name in content)
    for name, one in content.items():
        (tmp_path / name).write_text(json.dumps(one, indent=1))
    original = tmp_path / f"original-{which}"
    shutil.copy(tmp_path / which, original)
    draw = random.Random(13)
    codes: Counter[int] = Counter()
    for _ in range(250):
        spoilt_content, _ = spoilt(original, draw)
        (tmp_path / which).write_bytes(spoilt_content)
        for words in (
            ("compare", truth, predictions, others, "--resamples", "100"),
            ("summarize", predictions, "--gt", truth),
        ):
            code = main(words)
            error = capsys.readouterr().err
            codes[code] += 1
            assert code in (0, 2), (code, spoilt_content)
            assert bool(error) == (code == 2), error
            # A spoilt id of an image is found where a box refers to it.
            assert all(line.startswith(f"error: {tmp_path}") for line in error.splitlines()), error
    assert codes[2] > 250, codes
    assert codes[0] > 40, codes
