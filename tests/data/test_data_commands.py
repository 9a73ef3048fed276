from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from agropest.command_line import main
from agropest.data.opening import open_dataset
from agropest.sweep.lint import lint
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep

Fixture = Callable[..., Any]
BOX = "0 0.5 0.5 0.2 0.4\n"
CONFIG = Path(__file__).parents[2] / "configs" / "demo.yaml"


@pytest.fixture
def root(write_set: Fixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder: Path = write_set({"train/a": BOX + "7 0 0 0 0\n", "train/b": "1 0.9 0.5 0.3 0.4", "valid/c": BOX})
    return folder


def test_draw_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["draw-demo", str(tmp_path / "demo"), "--train", "3", "--valid", "2", "--test", "1", "--size", "64"]
    assert main(words) == 0
    assert "6 pictures drawn in" in capsys.readouterr().out
    assert main(words) == 0
    assert "already there" in capsys.readouterr().out


def test_convert(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(root), "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    for part in ("set: 2 classes", "class-out-of-range", "over-border", "clipped", "dropped", "fingerprint"):
        assert part in told
    names = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.json"))
    assert names == ["annotations/train.json", "annotations/valid.json", "dataset.json", "health.json"]


def test_convert_keeps_what_launch_will_use(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(root)]) == 0
    [folder] = Path("results/data").glob("set-*")
    assert f"written to {folder.absolute()}" in capsys.readouterr().out
    assert (folder / "annotations/train.json").is_file()


def test_check(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "valid/images/c.jpg").write_bytes((root / "train/images/a.jpg").read_bytes())
    assert main(["check", str(root), "--out", "checked"]) == 0
    told = capsys.readouterr().out
    assert "(leak)" in told
    pairs = list(csv.DictReader(Path("checked/pairs.csv").read_text().splitlines()))
    assert [(pair["kind"], pair["file_a"], pair["file_b"]) for pair in pairs] == [
        ("exact", "train/images/a.jpg", "valid/images/c.jpg")
    ]
    findings = list(csv.DictReader(Path("checked/findings.csv").read_text().splitlines()))
    assert {"class-out-of-range", "over-border"} <= {finding["rule"] for finding in findings}
    with Image.open("checked/worst.png") as sheet:
        assert sheet.width == 1200


def test_check_writes_where_the_linter_of_launches_reads(root: Path, tmp_path: Path) -> None:
    (root / "valid/images/c.jpg").write_bytes((root / "train/images/a.jpg").read_bytes())
    assert main(["check", str(root), "--results", "elsewhere"]) == 0
    assert not (tmp_path / "results").exists()
    (tmp_path / "a.yaml").write_text("variants: {baseline: {}}\n")
    spec, dataset = load_sweep(tmp_path / "a.yaml"), open_dataset(root, cache_root=Path("elsewhere/data"))
    told = [
        remark.text for remark in lint(spec, expand_trials(spec, dataset.fingerprint, dataset.class_names), dataset)
    ]
    assert [text.split(":")[0] for text in told if "pairs.csv" in text] == [
        "1 exact pairs of pictures in train and valid, by python -m agropest check"
    ]


def test_stats_with_a_config(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", str(root), "--config", str(CONFIG), "--threshold", "0.9", "--out", "told"]) == 0
    told = capsys.readouterr().out
    for part in ("Repeat factors", "Anchor coverage: config", "MODEL.ANCHOR_GENERATOR.SIZES"):
        assert part in told
    rows = {row["threshold"]: row for row in csv.DictReader(Path("told/repeat_factors.csv").read_text().splitlines())}
    # both classes are in half of the two images: r = sqrt(0.9 / 0.5)
    assert float(rows["0.9"]["epoch_size"]) == pytest.approx(2 * (0.9 / 0.5) ** 0.5)
    assert rows["0.001"]["repeated_images"] == "0"
    stats = json.loads(Path("told/stats.json").read_text())
    assert [row["boxes"] for row in stats["splits"]] == [2, 1]
    assert {row["group"] for row in stats["coverage"]["config"]} == {"Ants", "Bees", "small", "medium", "large", "all"}
    assert set(yaml.safe_load(Path("told/anchors.yaml").read_text())) == {
        "MODEL.ANCHOR_GENERATOR.SIZES",
        "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS",
    }
    for name in ("classes", "boxes", "coverage"):
        with Image.open(f"told/{name}.png") as plot:
            assert np.asarray(plot.convert("L")).std() > 5


def test_stats_without_a_config_or_a_box(write_set: Fixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = write_set({"train/a": "", "valid/b": ""})
    assert main(["stats", str(root), "--out", "told"]) == 0
    assert main(["stats", str(root), "--out", "told2", "--config", str(CONFIG)]) == 0
    assert json.loads(Path("told/stats.json").read_text())["fitted_anchors"] is None
    assert not Path("told2/coverage.png").exists()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["convert", "nowhere"], "Kaggle"),
        (["check", "nowhere"], "no such folder"),
        (["stats", "nowhere"], "AgroPest-12"),
        (["convert", "set", "--out", "set/out"], "expected a folder outside"),
        (["check", "set", "--out", "set/out"], "expected a folder outside"),
        (["stats", "set", "--config", "no.yaml"], "no.yaml: expected a Detectron2 config"),
        (["stats", "set", "--threshold", "0"], "--threshold: expected a share above 0"),
        (["convert", "set", "--processes", "0"], "processes: expected 1 or more"),
        (["draw-demo", "set"], "expected a new or empty folder"),
        (["draw-demo", "x", "--size", "1"], "image_size_px: expected 64 to 2048"),
    ],
)
def test_faults_are_one_line_and_exit_code_2(
    root: Path, capsys: pytest.CaptureFixture[str], words: list[str], part: str
) -> None:
    assert main(words) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert part in told
    assert "Traceback" not in told
    assert not (root / "out").exists()


def test_help_is_light() -> None:
    code = (
        "import sys; from agropest.command_line import build_parser; build_parser().format_help(); "
        "print(sorted({'torch', 'ray', 'detectron2', 'matplotlib', 'PIL', 'numpy', 'rich'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
