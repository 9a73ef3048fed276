"""A first sweep: it loads, the linter has nothing against it, and its values follow the data and the machine."""

from __future__ import annotations

import functools
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from agropest import files
from agropest.__main__ import main
from agropest.data.anchors.fitted import fitted_anchors
from agropest.data.dataset import Dataset, load_dataset
from agropest.machine import Card, Machine
from agropest.planning.first_sweep import FirstSweep, propose
from agropest.planning.sweep_text import sweep_text
from agropest.sweep.lint import lint
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep

ROOT = Path(__file__).resolve().parents[2]
CPU = Machine("a processor", 2)
LARGE = Machine("a processor", 8, (Card("RTX 4090", 24 << 30),))
SMALL = Machine("a processor", 8, (Card("RTX 2060", 6 << 30),))


def value(sweep: FirstSweep, key: str) -> object:
    return next(one.value for one in sweep.values if one.key == key)


@pytest.mark.parametrize("machine", [CPU, SMALL, LARGE], ids=["cpu", "6 GiB", "24 GiB"])
def test_the_file_loads_and_the_linter_is_content(machine: Machine, agropest: Dataset, tmp_path: Path) -> None:
    sweep = propose(agropest, machine)
    text = sweep_text(sweep, "a: '#\n", tmp_path, str(ROOT / "configs"), agropest.num_images)
    (tmp_path / "mine.yaml").write_text(text)
    spec = load_sweep(tmp_path / "mine.yaml")
    fit = functools.partial(fitted_anchors, agropest)
    trials = expand_trials(spec, agropest.fingerprint, agropest.class_names, fit)
    assert [t.label for t in trials[:: sweep.seeds.start]] == [one.label for one in sweep.variants]
    assert spec.seed_rule == sweep.seeds
    assert f"# Cost:     {len(trials)} trainings of " in text
    assert f"At most {len(sweep.variants) * sweep.seeds.most} trainings, if" in text
    for one in sweep.values:
        if one.key != "MODEL.ANCHOR_GENERATOR.FITTED":
            assert trials[0].config[one.key] == one.value
        assert f"# {one.why}" in text
    said = [remark for remark in lint(spec, trials, agropest, machine=machine) if remark.rule != "split-leakage"]
    assert said == []


def test_a_gpu_gets_r50_from_coco_weights_and_a_batch_that_fits(agropest: Dataset) -> None:
    large, small = propose(agropest, LARGE), propose(agropest, SMALL)
    assert large.base == small.base == "agropest_r50_fpn.yaml"
    assert (value(large, "SOLVER.IMS_PER_BATCH"), value(small, "SOLVER.IMS_PER_BATCH")) == (8, 4)
    assert (value(large, "SOLVER.BASE_LR"), value(small, "SOLVER.BASE_LR")) == (0.002, 0.001)
    assert value(large, "INPUT.MIN_SIZE_TEST") == 800  # 640 px, enlarged 1.25 x
    assert value(large, "INPUT.MIN_SIZE_TRAIN") == [640, 672, 704, 736, 768, 800]
    assert large.plain == ()


def test_iterations_follow_the_images_between_limits(agropest: Dataset) -> None:
    split = agropest.splits["train"]
    for num_images, expected in ((500, 2_000), (11_502, 17_300), (200_000, 40_000)):
        splits = {**agropest.splits, "train": replace(split, num_images=num_images)}
        sweep = propose(replace(agropest, splits=splits), LARGE)
        assert sweep.max_iter == expected  # 12 x 11,502 / 8 = 17,253
        assert value(sweep, "SOLVER.STEPS") == [round(0.6 * expected), round(0.8 * expected)]


def test_a_sampler_is_proposed_where_a_class_is_rare(agropest: Dataset, tmp_path: Path) -> None:
    assert "sampler" not in [one.label for one in propose(agropest, LARGE).variants]  # rarest 918, median 1,100
    content = files.read_json(agropest.splits["train"].annotations)
    first = content["annotations"][0]["category_id"]
    own = [a for a in content["annotations"] if a["category_id"] == first]
    kept = [a for a in content["annotations"] if a["category_id"] != first] + own[:5]
    files.write_json(tmp_path / "rare.json", {**content, "annotations": kept})
    split = replace(agropest.splits["train"], annotations=tmp_path / "rare.json")
    variants = propose(replace(agropest, splits={**agropest.splits, "train": split}), LARGE).variants
    sampler = next(one for one in variants if one.label == "sampler")
    assert "'class1' is in 0.7% of the images" in sampler.why


def test_without_a_gpu_it_says_what_the_model_is(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agropest.machine.this_machine", lambda: CPU)
    out = tmp_path / "sweeps" / "mine.yaml"
    words = ["start", str(tiny_folder), "--out", str(out), "--results", str(tmp_path / "r")]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "random weights" in told and "no detector to deploy" in told
    assert f"python launch.py {out} --plan --probe" in told
    spec = load_sweep(out)
    assert spec.data == tiny_folder
    assert load_dataset(tiny_folder, tmp_path / "r" / "data").num_images["train"] == 10
    assert main(words) == 2
    assert "expected a file that is not there yet" in capsys.readouterr().err
    assert main([*words, "--force"]) == 0


def test_a_set_without_a_validation_split_gets_one(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agropest.machine.this_machine", lambda: CPU)
    shutil.copytree(tiny_folder, tmp_path / "set")
    shutil.rmtree(tmp_path / "set" / "valid")
    out = tmp_path / "mine.yaml"
    assert main(["start", str(tmp_path / "set"), "--out", str(out), "--results", str(tmp_path / "r")]) == 0
    assert "15% of the training pictures become one" in capsys.readouterr().out
    spec = load_sweep(out)
    assert spec.split is not None and spec.split.valid == 0.15
