from __future__ import annotations

from pathlib import Path

import pytest

from agropest.data.dataset import Dataset
from agropest.data.training_sets.opened import open_training_sets
from agropest.data.training_sets.selection import WHOLE, TrainingSelection
from agropest.errors import SweepFileError
from agropest.statistics.effects import contrasts
from agropest.sweep.factors import APPLIED
from agropest.sweep.lint import lint
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import SweepSpec, load_sweep
from agropest.sweep.stages.training import training_signature

VERSIONS = "data: {v1: a, v2: b}\n"
FOCAL = "variants:\n  baseline: {}\n  focal: {MODEL.ROI_BOX_HEAD.CLS_LOSS: softmax_focal}\n"


def sweep(folder: Path, text: str) -> SweepSpec:
    (folder / "s.yaml").write_text(text)
    return load_sweep(folder / "s.yaml")


def test_a_variant_trains_on_a_share(tmp_path: Path) -> None:
    spec = sweep(
        tmp_path,
        "data: a\nvariants:\n  baseline: {}\n  tenth: {data_fraction: 0.1}\n  all: {data_fraction: 1}\n"
        "  other: {data_fraction: {share: 0.1, seed: 4}}\n",
    )
    expected = [WHOLE, TrainingSelection(share=0.1), WHOLE, TrainingSelection(share=0.1, seed=4)]
    assert [variant.training for variant in spec.variants] == expected


def test_a_share_may_be_a_factor(tmp_path: Path) -> None:
    spec = sweep(
        tmp_path,
        "data: a\nfactors:\n  half: {data_fraction: 0.5}\n  lr: {SOLVER.BASE_LR: 0.5}\n",
    )
    told = {variant.name: (variant.training.share, variant.overrides) for variant in spec.variants}
    assert told == {
        "baseline": (1.0, {}),
        "half": (0.5, {}),
        "lr": (1.0, {"SOLVER.BASE_LR": 0.5}),
        "half+lr": (0.5, {"SOLVER.BASE_LR": 0.5}),
    }


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("0", r"baseline\.data_fraction: expected a number from 0\.0001 to 1, got 0"),
        ("25", r"data_fraction: expected a number from 0\.0001 to 1, got 25"),
        ("{seed: 1}", r"data_fraction\.share: expected a share of the training pictures"),
        ("{share: 0.5, sed: 1}", r"data_fraction\.sed: unknown key"),
    ],
)
def test_what_is_no_share_is_refused(tmp_path: Path, value: str, words: str) -> None:
    with pytest.raises(SweepFileError, match=words):
        sweep(tmp_path, f"data: a\nvariants: {{baseline: {{data_fraction: {value}}}}}\n")


def test_every_variant_is_trained_on_every_version(tmp_path: Path) -> None:
    spec = sweep(tmp_path, VERSIONS + FOCAL)
    assert (spec.data, dict(spec.versions)) == (tmp_path / "a", {"v1": tmp_path / "a", "v2": tmp_path / "b"})
    assert [(one.name, one.training.version) for one in spec.variants] == [
        ("baseline", ""),
        ("focal", ""),
        ("baseline+v2", "v2"),
        ("focal+v2", "v2"),
    ]
    assert spec.baseline == "baseline"


def test_the_effect_of_a_version_is_that_of_a_factor(tmp_path: Path) -> None:
    spec = sweep(tmp_path, VERSIONS + FOCAL)
    found = contrasts({one.name: one.levels for one in spec.variants}, APPLIED)
    told = {(one.kind, one.factors): one.weights for one in found}
    assert told[("main effect", ("data=v2",))] == {"baseline": -0.5, "focal": -0.5, "baseline+v2": 0.5, "focal+v2": 0.5}
    assert ("interaction", ("focal", "data=v2")) in told
    three = sweep(tmp_path, "data: {v1: a, v2: b, v3: c}\n" + FOCAL)
    alone = {one.factors: one.weights for one in contrasts({v.name: v.levels for v in three.variants}, APPLIED)}
    assert alone[("data=v3",)] == {"baseline+v3": 1.0, "baseline": -1.0}
    assert alone[("focal",)] == {"focal": 1.0, "baseline": -1.0}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (VERSIONS + "split: {valid: 0.2}\n" + FOCAL, "split: expected none with several versions of the data"),
        (
            VERSIONS + "search: {method: optuna, num_variants: 3, space: {SOLVER.BASE_LR: {uniform: [0.1, 0.2]}}}\n",
            "data: expected one data set with search.method optuna",
        ),
        ("data: {v1: a, v 2: b}\n" + FOCAL, r"baseline\+v 2: expected letters, digits"),
        ("data: {v1: a, v2: }\n" + FOCAL, r"data\.v2: expected the folder of a data set"),
        ("data: {v1: a, v2: [b]}\n" + FOCAL, r"data\.v2: expected text"),
        (VERSIONS + "variants: {baseline: {}, baseline+v2: {}}\n", "expected names that make no variant's name"),
    ],
)
def test_what_versions_do_not_go_with(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SweepFileError, match=words):
        sweep(tmp_path, text)


def test_what_is_trained_on_is_in_the_signatures(tmp_path: Path, tiny_sweep: Path, tiny_dataset: Dataset) -> None:
    text = tiny_sweep.read_text().split("variants:")[0]
    tiny_sweep.write_text(text + "variants: {baseline: {}, half: {data_fraction: 0.5}, whole: {data_fraction: 1.0}}\n")
    spec = load_sweep(tiny_sweep)
    sets = open_training_sets([one.training for one in spec.variants], tiny_dataset, {})
    args = (tiny_dataset.fingerprint, tiny_dataset.class_names)
    trials = expand_trials(spec, *args, other_fingerprints=sets.fingerprints)
    baseline, half, whole = trials
    assert whole.signature == baseline.signature
    assert half.signature != baseline.signature
    assert training_signature(half) != training_signature(baseline)
    assert half.data == sets.others["train (50 %)"].fingerprint
    assert half.overrides == {"DATASETS.TRAIN": ["train (50 %)"]}
    told = [(one.rule, one.text) for one in lint(spec, trials, tiny_dataset, others=sets.others)]
    assert [text for rule, text in told if rule == "several-factors"] == []
    assert [rule for rule, _ in told if rule == "equal-trials"] == ["equal-trials"]


def test_a_share_and_a_loss_at_once_are_two_factors(tmp_path: Path, tiny_sweep: Path, tiny_dataset: Dataset) -> None:
    text = tiny_sweep.read_text().split("variants:")[0]
    tiny_sweep.write_text(text + "variants: {baseline: {}, both: {data_fraction: 0.5, SOLVER.MOMENTUM: 0.8}}\n")
    spec = load_sweep(tiny_sweep)
    sets = open_training_sets([one.training for one in spec.variants], tiny_dataset, {})
    trials = expand_trials(
        spec, tiny_dataset.fingerprint, tiny_dataset.class_names, other_fingerprints=sets.fingerprints
    )
    remarks = [
        one.text for one in lint(spec, trials, tiny_dataset, others=sets.others) if one.rule == "several-factors"
    ]
    assert remarks[0].startswith("both: changes 2 factors of baseline: momentum, training pictures;")
