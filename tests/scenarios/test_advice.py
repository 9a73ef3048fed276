"""What a refusal of launch, plan, start and convert advises is not refused in turn."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from agropest import files
from agropest.command_line import main
from agropest.store.sweep_record import describe_sweep, write_sweep_record
from agropest.tuning.launch import LaunchOptions, open_launch
from tests.advice import Refusal, follow
from tests.conftest import write_tiny_sweep

PLAN = "plan tiny.yaml --set silence=[no-effect]"
SPACE = "space: {SOLVER.BASE_LR: {uniform: [0.001, 0.01]}}"
LOW = "TEST.DETECTIONS_PER_IMAGE: 50"
STEPS = "SOLVER.LR_SCHEDULER_NAME=WarmupMultiStepLR"
MEAN = r"did you mean '([^']+)'"
SPLIT = r"`split: (\{valid: 0.15, seed: 0\})`"


def plan(settings: str, advice: str, then: str) -> Refusal:
    """A refused ``--set``, and the one that its message asks for."""
    return Refusal(f"{PLAN} {settings}", advice, f"{PLAN} {then}")


SETTINGS = {
    "a word of another tool": plan("lr=0.01", MEAN, r"\1=0.01"),
    "one that counts epochs": plan("epochs=6", rf"{MEAN} \(in iterations\)", r"\1=6"),
    "one that is a list here": plan("imgsz=96", rf"{MEAN} \(a list, such as \[640\]\)", r"\1=[96]"),
    "one that is a switch": plan("amp=1", rf"{MEAN} \(true or false\)", r"\1=true"),
    "seed": plan("seed=3", rf"{MEAN} \(a list, such as", r"\1=[3]"),
    "a number for a list": plan("INPUT.MIN_SIZE_TRAIN=96", r"write (\[96\])", r"INPUT.MIN_SIZE_TRAIN=\1"),
    "a number for lists": plan(
        "MODEL.ANCHOR_GENERATOR.SIZES=8", r"write (\[\[8\]\])", r"MODEL.ANCHOR_GENERATOR.SIZES=\1"
    ),
    "a number for a switch": plan("SOLVER.AMP.ENABLED=1", "write (true)", r"SOLVER.AMP.ENABLED=\1"),
    "a mistyped key": plan("SOLVER.BASE_LRR=0.01", MEAN, r"\1=0.01"),
    "a mistyped backbone": plan("MODEL.BACKBONE.NAME=build_narow_resnet_fpn_backbone", MEAN, r"MODEL.BACKBONE.NAME=\1"),
    "a mistyped key of the file": plan("retrys=1", MEAN, r"\1=1"),
    "a mistyped metric": plan("metric=AP-Antz", MEAN, r"metric=\1"),
    "a mistyped baseline": plan("baseline=focl", MEAN, r"baseline=\1"),
    "a mistyped loss": plan(
        "MODEL.ROI_BOX_HEAD.CLS_LOSS=softmax_focl", "(softmax_focal)", r"MODEL.ROI_BOX_HEAD.CLS_LOSS=\1"
    ),
    "one seed until decided": plan("'seeds={start: 1}'", "write (start: 2)", r"'seeds={\1}'"),
    "fewer seeds than at the start": plan(
        "'seeds={start: 2, most: 1}'", r"write (most: \d)", r"'seeds={start: 2, \1}'"
    ),
    "a seed twice": plan("'seeds=[1, 1]'", r"write e.g. (\[[\d, ]+\])", r"'seeds=\1'"),
    "a seed twice, until decided": plan("'seeds=[1, 1]'", r"or (\{.*\})", r"'seeds=\1'"),
    "the seed as a key": plan("SEED=3", r"write seeds: (\[3\])", r"seeds=\1"),
    "a grid of a range": plan(
        f"'search={{method: grid, {SPACE}}}'", "search by (random)", rf"'search={{method: \1, {SPACE}}}'"
    ),
    "a grid of a range, listed": plan(
        f"'search={{method: grid, {SPACE}}}'",
        "list its values under (choice)",
        r"'search={method: grid, space: {SOLVER.BASE_LR: {\1: [0.001, 0.01]}}}'",
    ),
    "pbt and a stopping rule": plan(
        f"'search={{method: pbt, interval_iters: 2, {SPACE}}}' stop=asha",
        "take it out",
        f"'search={{method: pbt, interval_iters: 2, {SPACE}}}'",
    ),
    "pbt of variants": plan(
        f"'search={{method: pbt, interval_iters: 2, num_variants: 4, {SPACE}}}'",
        r"say (population): \.\.\.",
        rf"'search={{method: pbt, interval_iters: 2, \1: 4, {SPACE}}}'",
    ),
    "pbt without generations": plan(
        f"SOLVER.MAX_ITER=40 'search={{method: pbt, {SPACE}}}'",
        "a tenth of SOLVER.MAX_ITER",
        f"SOLVER.MAX_ITER=40 'search={{method: pbt, interval_iters: 4, {SPACE}}}'",
    ),
    "optuna and seeds until decided": plan(
        f"'search={{method: optuna, num_variants: 2, {SPACE}}}' 'seeds={{start: 2}}'",
        r"write e.g. (\[42, 43\])",
        rf"'search={{method: optuna, num_variants: 2, {SPACE}}}' 'seeds=\1'",
    ),
    "a design of no factors": plan("design=full", "take `design` out", "retries=1"),
    "a design, and factors": plan("design=full", "add `(factors):`", r"design=full '\1={a: {SOLVER.BASE_LR: 0.02}}'"),
    "no variants": plan("'variants={}'", r"add `variants: (\{baseline: \{\}\})`", r"'variants=\1'"),
    "evaluate, and no checkpoints": plan(
        f"'evaluate={{low: {{{LOW}}}}}' keep_checkpoints=none",
        "write (keep_checkpoints): (best_and_last)",
        rf"'evaluate={{low: {{{LOW}}}}}' \1=\2",
    ),
    "evaluate an iteration that is not kept": plan(
        f"'evaluate={{low: {{{LOW}, checkpoint: 2}}}}'",
        "expected (keep_checkpoints): (evaluated) .* write it",
        rf"'evaluate={{low: {{{LOW}, checkpoint: 2}}}}' \1=\2",
    ),
    "evaluate the last one instead": plan(
        f"'evaluate={{low: {{{LOW}, checkpoint: 2}}}}'",
        "or (checkpoint: last)",
        rf"'evaluate={{low: {{{LOW}, \1}}}}'",
    ),
    "evaluate between evaluations": plan(
        f"'evaluate={{low: {{{LOW}, checkpoint: 3, of: [focal]}}}}' keep_checkpoints=evaluated",
        r"is evaluated \((\d+), \d+\).* name one of these",
        rf"'evaluate={{low: {{{LOW}, checkpoint: \1, of: [focal]}}}}' keep_checkpoints=evaluated",
    ),
    "evaluate with a key of the training": plan(
        "'evaluate={low: {SOLVER.BASE_LR: 0.1}}'", "write it under `(variants):`", r"\1.low.SOLVER.BASE_LR=0.1"
    ),
    "extend to nowhere": plan(
        f"{STEPS} 'extend={{baseline: {{}}}}'",
        r"write e.g. \{(to): (\d+)\}",
        rf"{STEPS} 'extend={{baseline: {{\1: \2}}}}'",
    ),
    "extend to the past": plan(
        f"{STEPS} 'extend={{baseline: {{to: 2}}}}'",
        "than the 4 .* give a larger number",
        f"{STEPS} 'extend={{baseline: {{to: 8}}}}'",
    ),
    "extend what depends on its length": plan(
        "'extend={baseline: {to: 2}}'", "take it out: WarmupCosineLR", "retries=1"
    ),
    "extend by max_iter": plan(
        f"{STEPS} 'extend={{baseline: {{to: 8, SOLVER.MAX_ITER: 8}}}}'",
        "take it out",
        f"{STEPS} 'extend={{baseline: {{to: 8}}}}'",
    ),
    "weights of no class": plan(
        "MODEL.ROI_BOX_HEAD.CLS_LOSS=weighted_cross_entropy",
        "give (12) numbers",
        f"MODEL.ROI_BOX_HEAD.CLS_LOSS=weighted_cross_entropy 'MODEL.ROI_BOX_HEAD.CLASS_WEIGHTS={[1.0] * 12}'",
    ),
    "parts of a batch": plan(
        "SOLVER.ACCUMULATION_STEPS=3", "SOLVER.IMS_PER_BATCH is (2)", r"SOLVER.ACCUMULATION_STEPS=\1"
    ),
    "versions, and --data": plan(
        "'data={a: insects, b: insects}' --data insects", r"or --set data=DIR", "data=insects"
    ),
    "versions, without --data": plan(
        "'data={a: insects, b: insects}' --data insects", "leave --data out", "'data={a: insects, b: insects}'"
    ),
    "a name that is taken in the results": plan(
        "retries=1 --name data", "give the sweep another one", "retries=1 --name other"
    ),
    "a name that is no folder's": plan(
        "retries=1 --name 'my run'", "letters, digits and . _", "retries=1 --name my_run"
    ),
    "a name of another launch": plan(
        "SOLVER.MAX_ITER=2 --name taken", "give another --name", "SOLVER.MAX_ITER=2 --name taken2"
    ),
    "another launch has the sweep's name": Refusal(
        "plan taken.yaml --set silence=[no-effect]",
        "give --name NAME",
        "plan taken.yaml --name NAME --set silence=[no-effect]",
    ),
    "nothing to validate on": plan("data=novalid", SPLIT, r"data=novalid 'split=\1'"),
    "annotations that tell no split": plan("data=coco", SPLIT, r"data=coco 'split=\1'"),
    "too small a share": plan(
        "data=novalid 'split={valid: 0.01, seed: 0}'",
        "give a larger share",
        "data=novalid 'split={valid: 0.3, seed: 0}'",
    ),
    "a split of what has one": plan("'split={valid: 0.15, seed: 0}'", r"leave `split` .* out", "retries=1"),
    "results in the data": plan(
        "retries=1 --results insects/results", "name a folder outside", "retries=1 --results r2"
    ),
    "a mistyped data set": plan("retries=1 --data insect", MEAN, r"retries=1 --data \1"),
    "a folder of data sets": plan(
        "retries=1 --data many", r"got \['(a)', 'b'\]; name one of these", r"retries=1 --data many/\1"
    ),
}

COMMANDS = {
    "a mistyped file": Refusal("plan tny.yaml", MEAN, r"plan \1 --set silence=[no-effect]"),
    "a data set for a sweep": Refusal("launch insects", r"agropest (start insects)`", r"\1"),
    "a data.yaml for a sweep": Refusal("plan insects/data.yaml", r"agropest (start insects)`", r"\1"),
    "start over a file": Refusal(
        "start insects --out tiny.yaml", "another file with (--out)", r"start insects \1 own.yaml"
    ),
    "start over a file that may go": Refusal(
        "start insects --out old.yaml", "over it with (--force)", r"start insects --out old.yaml \1"
    ),
    "start on nothing": Refusal("start insect", MEAN, r"start \1"),
    "convert into the data": Refusal(
        "convert insects --out insects/x", "name a folder outside", "convert insects --out x"
    ),
    "convert without a split": Refusal(
        "convert coco --out x", r"\((--split-valid 0.15) of convert", r"convert coco --out x \1"
    ),
    "check without a split": Refusal("check coco", r"\((--split-valid 0.15) of convert, check", r"check coco \1"),
    "stats without a split": Refusal(
        "stats coco", r"\((--split-valid 0.15) of convert, check and stats", r"stats coco \1"
    ),
    "more than there is": Refusal(
        "convert novalid --split-valid 2", r"give one such as (0.15)", r"convert novalid --split-valid \1"
    ),
    "a split of what has one": Refusal(
        "convert insects --split-valid 0.2", r"leave `split` \(--split-valid\) out", "convert insects"
    ),
}


@pytest.fixture
def place(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a sweep file, data sets with what people's have, and one launch of another sweep."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_folder, "insects")
    for name in ("a", "b"):
        shutil.copytree(tiny_folder, Path("many") / name)
    write_tiny_sweep(Path("tiny.yaml"), Path("insects"))
    Path("old.yaml").write_text("")
    shutil.copytree(tiny_folder, "novalid")
    shutil.rmtree("novalid/valid")
    write_coco(tmp_path / "coco", tiny_folder, "instances_default.json")
    write_tiny_sweep(Path("taken.yaml"), Path("insects"))
    launch = open_launch(LaunchOptions(Path("taken.yaml"), settings=("SOLVER.MAX_ITER=3",), name="taken"))
    write_sweep_record(describe_sweep(launch.spec, launch.trials, launch.dataset, run=launch.run), launch.store)
    return tmp_path


def write_coco(folder: Path, source: Path, *names: str) -> None:
    """Writes a COCO folder of the training pictures, a box in each, with an annotation file of each name."""
    shutil.copytree(source / "train" / "images", folder / "images")
    pictures = sorted(path.name for path in (folder / "images").iterdir())
    images = [{"id": i, "file_name": name, "width": 64, "height": 64} for i, name in enumerate(pictures, 1)]
    box = {"category_id": 1, "bbox": [8, 8, 32, 32], "area": 1024, "iscrowd": 0}
    annotations = [{"id": one["id"], "image_id": one["id"], **box} for one in images]
    for name in names:
        content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "ant"}]}
        files.write_text(folder / "annotations" / name, json.dumps(content))


@pytest.mark.parametrize("name", SETTINGS)
def test_the_advice_about_a_setting_holds(name: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    follow(SETTINGS[name], capsys)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_advice_about_a_command_holds(name: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    follow(COMMANDS[name], capsys)


@pytest.mark.parametrize(
    "settings",
    [
        "resources.cpus=4000",
        "resources.gpus=1",
        "resources.gpus=1 resources.cpus=4000",
        "variants.focal.resources.gpus=1 variants.focal.resources.cpus=4000",
    ],
)
def test_what_a_machine_lacks_is_not_asked_for_again(
    settings: str, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    asked = Refusal(f"launch {PLAN[5:]} {settings}", "--set (.*)", rf"{PLAN} {settings} --set \1")
    assert "a launch here would stop" not in follow(asked, capsys)


def test_several_annotation_files_are_renamed(
    place: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_coco(place / "two", tiny_folder, "first.json", "second.json")
    assert main(["start", "two"]) == 2
    names = re.search("rename them to (.*) and (.*)$", capsys.readouterr().err.strip())
    assert names
    for file, name in zip(("first.json", "second.json"), names.groups(), strict=True):
        (place / "two" / "annotations" / file).rename(place / "two" / name)
    assert main(["start", "two", "--out", "two.yaml"]) == 2  # the same pictures in both: another fault, and not new
    assert "in train, too" in capsys.readouterr().err


def test_labels_without_a_data_yaml_get_one(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = place / "many" / "a"
    (folder / "data.yaml").unlink()
    assert main(["start", "many/a"]) == 2
    error = capsys.readouterr().err
    assert "write a data.yaml: names: [...] with the classes' names, train: and val: with folders of images" in error
    (folder / "data.yaml").write_text(f"names: {list('abcdefghijkl')}\ntrain: train/images\nval: valid/images\n")
    assert main(["start", "many/a"]) == 0


@pytest.mark.parametrize("data", ["coco", "novalid"])
def test_start_takes_validation_from_what_has_none(data: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start", data]) == 0
    assert "15% of the training pictures become one" in capsys.readouterr().out
    assert main(["plan", "mine.yaml", "--set", "silence=[no-effect]"]) == 0
