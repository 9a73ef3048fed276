"""What a trial does not obey is refused where a sweep sets it, and judged by the config that a trial really has."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from agropest.errors import SweepFileError
from agropest.sweep.detectron2_keys import detectron2_folder, nest, read_config_file
from agropest.sweep.plan import expand_trials
from agropest.sweep.spec import load_sweep
from agropest.sweep.trial import TrialSpec
from agropest.sweep.unsupported import NOT_DONE

ZOO = detectron2_folder() / "model_zoo" / "configs"
CONFIGS = [
    *sorted((ZOO / "COCO-Detection").glob("*.yaml")),
    *sorted((ZOO / "COCO-InstanceSegmentation").glob("*.yaml")),
    *sorted((ZOO / "Misc").glob("*.yaml")),
]


def planned(tmp_path: Path, text: str, *settings: str) -> list[TrialSpec]:
    path = tmp_path / "a.yaml"
    path.write_text(text + "seeds: [1]\n")
    return expand_trials(load_sweep(path, settings), "f", ["one", "two"])


@pytest.mark.parametrize(
    ("key", "value", "fix"),
    [
        ("DATASETS.TRAIN", "[mine]", "write `data:`"),
        ("DATASETS.PROPOSAL_FILES_TEST", "[a.pkl]", "write `data:`"),
        ("OUTPUT_DIR", "elsewhere", "give --results"),
        ("MODEL.DEVICE", "cpu", "resources: {gpus: 1}"),
        ("DATALOADER.NUM_WORKERS", "7", "loader_workers"),
        ("VIS_PERIOD", "10", "take it out"),
        ("SOLVER.REFERENCE_WORLD_SIZE", "8", "take it out"),
        ("TEST.EXPECTED_RESULTS", "[[bbox, AP, 38.5, 0.2]]", "guard:"),
    ],
)
@pytest.mark.parametrize("layer", ["config", "variant", "--set"])
def test_a_key_that_would_be_replaced_is_refused(layer: str, key: str, value: str, fix: str, tmp_path: Path) -> None:
    config = f"config: {{{key}: {value}}}\n" if layer == "config" else ""
    own = f"{key}: {value}" if layer == "variant" else ""
    settings = [f"{key}={value}"] if layer == "--set" else []
    with pytest.raises(SweepFileError) as caught:
        planned(tmp_path, f"{config}variants: {{a: {{{own}}}}}\n", *settings)
    (told,) = caught.value.faults
    assert key in told
    assert fix in told


def test_what_detectron2_does_anyway_may_be_said(tmp_path: Path) -> None:
    assert planned(tmp_path, "config: {MODEL.DEVICE: cuda, VIS_PERIOD: 0}\nvariants: {a: {}}\n")


@pytest.mark.parametrize("key", sorted(NOT_DONE))
def test_what_no_trial_does_is_refused_by_the_effective_config(key: str, tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(nest({key: True})))
    with pytest.raises(SweepFileError, match=rf"a: {key}: expected false, got True"):
        planned(tmp_path, "base: base.yaml\nvariants: {a: {}}\n")
    (trial,) = planned(tmp_path, f"base: base.yaml\nconfig: {{{key}: false}}\nvariants: {{a: {{}}}}\n")
    assert trial.config[key] is False


def test_a_variant_may_have_a_base_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("SOLVER: {BASE_LR: 0.1, GAMMA: 0.2, MOMENTUM: 0.3}\n")
    (tmp_path / "two.yaml").write_text("SOLVER: {BASE_LR: 0.4, GAMMA: 0.5}\n")
    variants = "variants:\n  a: {}\n  b: {base: two.yaml, SOLVER.BASE_LR: 0.7}\n"
    text = f"base: one.yaml\nconfig: {{SOLVER.GAMMA: 0.6}}\n{variants}"
    keys = ("SOLVER.BASE_LR", "SOLVER.GAMMA", "SOLVER.MOMENTUM")
    one, two = ([trial.config[key] for key in keys] for trial in planned(tmp_path, text))
    assert one == [0.1, 0.6, 0.3]
    assert two == [0.7, 0.6, 0.9]  # Detectron2's momentum: of the other base nothing is left
    with pytest.raises(SweepFileError, match=r"variants\.b\.base: expected a Detectron2 config file, got 'no\.yaml'"):
        planned(tmp_path, "variants: {a: {}, b: {base: no.yaml}}\n")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(ZOO)))
def test_every_config_of_the_zoo_is_read(path: Path) -> None:
    assert len(CONFIGS) > 30
    flat = read_config_file(path)
    assert flat["MODEL.META_ARCHITECTURE"]
