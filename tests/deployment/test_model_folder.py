"""A model folder: whole, predicted by stock Detectron2 as it was evaluated, refused where it is not what it says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from agropest import files
from agropest.__main__ import main
from agropest.analysis.models.model_choice import model_estimates, parse_address
from agropest.analysis.sweep_comparison import compare_record
from agropest.deployment.config import deployed_config
from agropest.deployment.detector import open_detector
from agropest.deployment.model_folder import ModelFolder, read_model_folder
from agropest.deployment.packaging import Packaged, package
from agropest.deployment.parity import Found, Parity, compare_found
from agropest.deployment.weights import evaluated_weights
from agropest.errors import StoreError
from agropest.statistics.detections.boxes import Boxes
from agropest.store.trial_folder import TrialFolder
from agropest.training import checkpoints
from agropest.training.trainer import averages_of
from tests.deployment.conftest import Trained

ROOT = Path(__file__).resolve().parents[2]
AFTER = """
import json, sys
names = sorted(name for name in sys.modules if name.split(".")[0] == "agropest")
told = []
for path in sys.argv[1:]:
    found = predictor(read_image(path, "BGR"))["instances"]
    told.append([found.pred_boxes.tensor.tolist(), found.scores.tolist(), found.pred_classes.tolist()])
print(json.dumps([names, told]))
"""


def packaged(trained: Trained, variant: str, out: Path) -> Packaged:
    chosen = trained.choose(variant)
    return package(trained.record, chosen, model_estimates(trained.record, trained.store, chosen), out)


def predicted_by_readme(out: Path, paths: list[Path], *, with_package: bool) -> tuple[list[str], list[Found]]:
    """Runs the README's own lines in a process of its own, on pictures instead of picture.jpg."""
    lines = [line[4:] for line in (out / "README.md").read_text().splitlines() if line.startswith("    ")][1:]
    text = "\n".join(lines)
    start = text.index("found = DefaultPredictor(cfg)")
    code = f"{text[:start]}\npredictor = DefaultPredictor(cfg)\n{AFTER}"
    compile(text, "README.md", "exec")
    environment = {**os.environ, "PYTHONPATH": str(ROOT) if with_package else ""}
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, paths)]
    result = subprocess.run(command, cwd=out, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    names, told = json.loads(result.stdout.splitlines()[-1])
    return names, [Found(np.array(b).reshape(-1, 4), np.array(s), np.array(c, dtype=np.int64)) for b, s, c in told]


def stored(trained: Trained, variant: str) -> list[tuple[Path, Found]]:
    """Returns the validation pictures with the boxes of the stored evaluation."""
    chosen = trained.choose(variant)
    boxes = Boxes.load(TrialFolder(chosen.folder).boxes_path(chosen.evaluation))
    split = trained.record.splits["valid"]
    told = []
    for image in files.read_json(split.annotations)["images"]:
        own = boxes.where(boxes.image_id == image["id"])
        xywh = own.bbox_xywh.astype(np.float64)
        corners = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
        told.append((split.image_root / image["file_name"], Found(corners, own.score, own.category_id - 1)))
    return told


@pytest.mark.parametrize(("variant", "with_package"), [("stock", False), ("sigmoid", True)])
def test_default_predictor_gives_the_stored_boxes(
    trained: Trained, tmp_path: Path, variant: str, with_package: bool
) -> None:
    packaged(trained, variant, tmp_path / "m")
    expected = stored(trained, variant)
    names, found = predicted_by_readme(tmp_path / "m", [path for path, _ in expected], with_package=with_package)
    assert bool(names) is with_package  # stock Detectron2 alone, unless the README says otherwise
    parities = [compare_found(a, b, 0.05, 100, 1e-4) for (_, a), b in zip(expected, found, strict=True)]
    assert sum(one.num_boxes for one in parities) > 20
    assert all(one.holds(1e-4) for one in parities), parities


def test_a_folder_holds_what_is_known(trained: Trained, tmp_path: Path) -> None:
    made = packaged(trained, "stock", tmp_path / "m")
    assert {path.name for path in (tmp_path / "m").iterdir()} == {"model.pth", "config.yaml", "model.json", "README.md"}
    card = read_model_folder(tmp_path / "m").card
    assert (card.name, card.score_threshold, card.evaluated_threshold) == ("winner/stock/1", 0.5, 0.05)
    assert card.class_names == trained.record.class_names
    comparison = compare_record(trained.record, trained.store)
    own = next(one for one in comparison.variants if one.label == "stock")
    for split, expected in (("valid", own.by_seed[0]), ("test", own.test)):
        assert expected is not None and expected.interval is not None
        assert card.figures[split] == {
            "value": expected.value, "low": expected.interval.low, "high": expected.interval.high
        }  # fmt: skip
    assert card.metrics["valid"] == dict(trained.choose("stock").evaluation.metrics)
    assert made.num_checked == 6
    assert made.check is not None and made.check.holds(1e-4)
    weights = torch.load(tmp_path / "m" / "model.pth", weights_only=True)
    assert list(weights) == ["model"]
    readme = (tmp_path / "m" / "README.md").read_text()
    for piece in ("winner/stock/1", "python -m agropest predict", "Ants", "6 validation pictures are the stored ones"):
        assert piece in readme


def test_only_what_the_model_needs_is_kept_of_our_keys(trained: Trained) -> None:
    configs = {trial.label: deployed_config(trial) for trial in trained.record.trials}
    assert not configs["stock"].needs_code and not configs["stock"].needs_keys
    assert configs["narrow"].needs_code == ("build_narrow_resnet18_fpn_backbone",)
    assert not configs["narrow"].needs_keys  # a softmax loss changes nothing at inference
    assert configs["narrow"].keys["MODEL.ROI_HEADS.NAME"] == "StandardROIHeads"
    assert configs["sigmoid"].needs_code == ("LossROIHeads", "build_narrow_resnet18_fpn_backbone")
    assert configs["sigmoid"].needs_keys
    ours = ("SOLVER.EMA.ENABLED", "INPUT.COPY_PASTE.PROB", "TEST.DEPLOYED_SCORE_THRESH", "MODEL.CHANNELS_LAST")
    for config in configs.values():
        assert not set(ours) & set(config.keys)
        assert config.keys["MODEL.WEIGHTS"] == "model.pth"


def test_the_averaged_weights_are_taken_where_they_were_evaluated(trained: Trained, tmp_path: Path) -> None:
    chosen = trained.choose("averaged")
    content = checkpoints.load(chosen.checkpoint.parent, chosen.evaluation.iteration)
    assert content is not None
    state = evaluated_weights(chosen)
    name = "roi_heads.box_predictor.cls_score.weight"
    assert torch.equal(state[name], averages_of(content, 0.5)[0.5][name])
    assert not torch.equal(state[name], content["model"][name])
    made = packaged(trained, "averaged", tmp_path / "m")
    assert made.check is not None and made.check.num_boxes > 0


def test_another_processor_may_add_in_another_order(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = Parity(3, box_px=5e-3, extent_px=60.0)
    monkeypatch.setattr("agropest.deployment.packaging.check_stored", lambda *_: (check, 1))
    chosen = trained.choose("stock")
    with pytest.raises(StoreError, match=r"to 0\.0001, got '3 boxes, at most 0\.005 px"):
        package(trained.record, chosen, {}, tmp_path / "here")
    elsewhere = replace(trained.record, environment={"CPU": "another, 96 cores"})
    assert package(elsewhere, chosen, {}, tmp_path / "elsewhere").check == check


def test_other_weights_are_found_out(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = evaluated_weights(trained.choose("narrow"))
    monkeypatch.setattr("agropest.deployment.packaging.evaluated_weights", lambda chosen: other)
    with pytest.raises(StoreError, match=r"expected the boxes of the stored evaluation.*nothing was written"):
        packaged(trained, "averaged", tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_a_folder_of_something_else_is_not_written_over(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "thesis.tex").write_text("x")
    with pytest.raises(StoreError, match="expected a new folder or a model folder"):
        packaged(trained, "stock", tmp_path / "m")
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["thesis.tex"]


def test_a_graph_of_the_model_before_does_not_stay(trained: Trained, tmp_path: Path) -> None:
    packaged(trained, "stock", tmp_path / "m")
    (tmp_path / "m" / "model.onnx").write_bytes(b"of another model")
    packaged(trained, "narrow", tmp_path / "m")
    assert not (tmp_path / "m" / "model.onnx").exists()
    assert read_model_folder(tmp_path / "m").card.name == "winner/narrow/1"


def test_a_checkpoint_that_is_gone_is_named(trained: Trained, tmp_path: Path) -> None:
    chosen = trained.choose("stock")
    gone = replace(chosen, checkpoint=tmp_path / "checkpoints" / chosen.checkpoint.name)
    with pytest.raises(StoreError, match=r"expected an intact checkpoint of iteration \d"):
        evaluated_weights(gone)


def change_weights(folder: Path) -> None:
    with open(folder / "model.pth", "ab") as file:
        file.write(b"x")


def change_config(folder: Path) -> None:
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["MODEL"]["FPN"]["OUT_CHANNELS"] = 64
    path.write_text(yaml.safe_dump(config))


def add_key(folder: Path) -> None:
    path = folder / "config.yaml"
    path.write_text(path.read_text() + "NO_SUCH_KEY: 1\n")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (change_weights, "expected the weights that model.json names"),
        (change_config, "expected weights that fit config.yaml"),
        (add_key, "expected a Detectron2 config"),
        (lambda folder: (folder / "model.json").unlink(), "expected a model folder"),
        (lambda folder: (folder / "model.json").write_text("{}"), "expected a model folder"),
    ],
)
def test_what_was_changed_is_refused(trained: Trained, tmp_path: Path, damage: Any, told: str) -> None:
    packaged(trained, "narrow", tmp_path / "m")
    damage(tmp_path / "m")
    with pytest.raises(StoreError, match=told):
        open_detector(read_model_folder(tmp_path / "m"), "cpu")


def test_a_folder_can_be_moved(trained: Trained, tmp_path: Path) -> None:
    packaged(trained, "narrow", tmp_path / "m")
    shutil.move(tmp_path / "m", tmp_path / "elsewhere")
    folder: ModelFolder = read_model_folder(tmp_path / "elsewhere")
    path, expected = stored(trained, "narrow")[0]
    found = Found.of(open_detector(folder, "cpu").detect(path))
    assert compare_found(found, expected, 0.05, 100, 1e-4).holds(1e-4)


def test_the_command(trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", str(trained.folder / "stock"), str(tmp_path / "m")]) == 0
    out = capsys.readouterr().out
    assert "winner/stock/1: valid AP" in out
    assert f"python -m agropest predict {tmp_path / 'm'} PICTURES" in out
    assert main(["model", "winner", str(tmp_path / "best"), "--results", str(trained.store.root)]) == 0
    first = next(one for one in compare_record(trained.record, trained.store).variants if one.rank == 1)
    assert f"winner/{first.label}/1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("winer", "did you mean 'winner'?"),
        ("winner/stok", "did you mean 'stock'?"),
        ("winner/stock/2", "its seeds are 1"),
        ("winner/stock/first", "expected a seed after the variant"),
        ("", "expected the folder of a sweep"),
    ],
)
def test_a_wrong_address_is_one_error(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str, told: str
) -> None:
    assert main(["model", address, str(tmp_path / "m"), "--results", str(trained.store.root)]) == 2
    error = capsys.readouterr().err
    assert error.count("error:") == 1
    assert told in error


def test_an_address_is_a_folder_or_a_name(trained: Trained) -> None:
    by_folder = parse_address(f"{trained.folder}/stock/s1", Path("nowhere"))
    assert (by_folder.sweep, by_folder.variant, by_folder.seed) == (trained.folder, "stock", 1)
    by_name = parse_address("winner/", trained.store.root)
    assert (by_name.sweep, by_name.variant, by_name.seed) == (trained.store.root / "winner", None, None)
