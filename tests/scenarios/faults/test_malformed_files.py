"""No sweep file and no data.yaml, however spoilt, ends in a traceback: it is valid, or a fault that names its place."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import launch
from agropest.data.formats.data_yaml import read_data_yaml
from agropest.errors import DataError
from agropest.tuning.launch import Launch
from tests.scenarios.faults.mutations import spoilt

ROOT = Path(__file__).resolve().parents[3]
SWEEPS = sorted((ROOT / "sweeps").glob("*.yaml"))
REFUSED = 500
# Every section that a sweep file may have.
EVERYTHING = """
question: What may stand in a sweep file?
name: everything
base: ../configs/demo.yaml
config: {SOLVER.MAX_ITER: 40, SOLVER.STEPS: [20, 30], TEST.EVAL_PERIOD: 10, INPUT.MIN_SIZE_TRAIN: [64, 72]}
variants:
  baseline: {}
  focal: {MODEL.ROI_BOX_HEAD.CLS_LOSS: softmax_focal, resources: {cpus: 2, threads: 1}}
factors:
  slow: {SOLVER.BASE_LR: 0.001}
  anchors: {MODEL.ANCHOR_GENERATOR.SIZES: [[8], [16], [32], [64], [128]]}
design: ablation
baseline: baseline
seeds: [1, 2]
metric: [AP-Ants, AP-Bees]
guard: [{class: Ants, max_drop: 2}]
search:
  method: random
  num_variants: 3
  seed: 1
  space: {SOLVER.MOMENTUM: {uniform: [0.8, 0.9]}, SOLVER.GAMMA: {choice: [0.1, 0.2]}}
stop: {method: asha, grace_period_iters: 10, reduction_factor: 2}
budget: {max_hours: 8, max_trials: 4}
track: {mlflow: {experiment_name: insects, tags: {crop: maize}}, wandb: {project: insects, mode: offline}}
reference: {file: ../results/reference/agropest12_study.yaml, runs: {baseline: run0}}
resources: {cpus: 1, gpus: 0, loader_workers: 0}
retries: 2
keep_checkpoints: best_and_last
silence: [no-effect]
"""

Plan = Callable[..., tuple[int, str]]


@pytest.fixture
def plan(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Plan:
    """Plans a sweep file as ``launch.py --plan`` does, but for the building of models, which needs torch.

    Returns:
        Exit code and errors, all of which are lines that begin with "error: ".
    """
    monkeypatch.setattr(Launch, "_idle_overrides", lambda *arguments: {})

    def run(path: Path, *words: str, data: Path = tiny_folder) -> tuple[int, str]:
        code = launch.main([str(path), "--plan", "--data", str(data), "--results", str(tmp_path / "r"), *words])
        error = capsys.readouterr().err
        assert code in (0, 2)
        assert bool(error) == (code == 2), error
        assert all(line.startswith("error: ") for line in error.splitlines()), error
        return code, error

    return run


def test_spoilt_sweep_files(plan: Plan, tmp_path: Path) -> None:
    """Half of them are of the file that has every section; where the spoilt key is known, the error names it."""
    for name in ("configs", "results"):
        (tmp_path / name).symlink_to(ROOT / name)
    folder = tmp_path / "sweeps"
    folder.mkdir()
    everything = tmp_path / "everything.yaml"
    everything.write_text(EVERYTHING)
    (folder / "whole.yaml").write_text(EVERYTHING)
    assert plan(folder / "whole.yaml") == (0, "")
    codes: Counter[int] = Counter()
    unnamed, seed = [], 7
    while codes[2] < REFUSED:
        draw, seed = random.Random(seed), seed + 1
        for number in range(100):
            content, keys = spoilt(draw.choice((everything, draw.choice(SWEEPS))), draw)
            path = folder / f"spoilt-{seed}-{number}.yaml"
            path.write_bytes(content)
            code, error = plan(path)
            codes[code] += 1
            unnamed += [(keys, line) for line in error.splitlines() if not line.startswith(f"error: {path}")]
            words = [key for key in keys if key and not key.isdecimal()]
            # Where a variant or a factor is renamed, its new name may be a good one; at fault is what names it.
            renamed = "expected the name of a variant" in error
            # Without a base config the others of its keys are Detectron2's, and what does not go with them is at fault.
            without_base = words[-1:] == ["base"]
            if words and code == 2 and not renamed and not without_base and words[-1] not in error:
                unnamed.append((keys, error))
            path.unlink()
    assert unnamed == []
    assert codes[0] > 20, codes


GOOD = f"base: {ROOT / 'configs' / 'demo.yaml'}\nseeds: [1]\n"
BOMB = "[&a [1,1,1,1,1,1,1,1,1]" + "".join(
    f", &{new} [{','.join(['*' + old] * 9)}]" for old, new in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words", "key"),
    [
        ("variants: {baseline: {}}\nconfig: &x {self: *x}", (), "config"),
        ("variants: &v {r: *v}", (), "variants"),
        ("variants: {baseline: {}}\nfactors: {a: &a {SOLVER: *a}}", (), "factors.a"),
        (
            "search: {method: grid, space: {SOLVER.BASE_LR: {choice: &c [*c]}}}",
            (),
            "search.space.SOLVER.BASE_LR.choice",
        ),
        ("variants: {baseline: {}}\nbase: recursive.yaml", (), "base"),
        (f"variants: {{baseline: {{}}}}\nconfig: {{INPUT.MIN_SIZE_TRAIN: {BOMB}]}}", (), "INPUT.MIN_SIZE_TRAIN"),
        (f"variants: {{baseline: {{}}}}\nsilence: {BOMB}]", (), "silence"),
        ("factors: {" + ", ".join(f"f{i}: {{SOLVER.BASE_LR: 0.{i + 1}}}" for i in range(40)) + "}", (), "factors"),
        ("variants: {baseline: {}}\ntrack: [[1]]", (), "track"),
        ("variants: {baseline: {}}\ntrack: !!set {a, b}", (), "track"),
        *((f"variants: {{baseline: {{}}}}\nbase: base-{i}.yaml", (), "_BASE_") for i in range(4)),
        ('variants: {baseline: {}}\nconfig: {MODEL.WEIGHTS: "a\\0b"}', (), "MODEL.WEIGHTS"),
        ('variants: {baseline: {MODEL.TIMM.WEIGHTS: "a\\0b"}}', (), "MODEL.TIMM.WEIGHTS"),
        ("variants: {baseline: {}}", ("--set", "..=1"), "--set .."),
        ("variants: {baseline: {}}", ("--set", "variants..x=1"), "--set variants..x"),
        *(
            (f"variants: {{baseline: {{}}}}\nconfig: {{SOLVER.MAX_ITER: {number}}}", (), "SOLVER.MAX_ITER")
            for number in ("1" * 400, "9" * 30, "1.0e+300", "'" + "1" * 400 + "'", "4000000000")
        ),
        ("variants: {baseline: {}}\nconfig: {SOLVER.STEPS: ['" + "1" * 400 + "']}", (), "SOLVER.STEPS"),
        ('variants: {baseline: {}}\nquestion: "\\ud800"', (), "question"),
        ('variants: {baseline: {}, "a\\nb": {}}', (), "variants.a"),
        ("variants: {baseline: {}, 1: {SOLVER.BASE_LR: 0.1}, '1': {}}", (), "variants.1"),
        ("factors: {1: {SOLVER.BASE_LR: 0.1}, '1': {SOLVER.GAMMA: 0.2}}", (), "factors.1"),
        ("variants: {baseline: {}}\nconfig: {SEED: 5}", (), "SEED"),
        ("variants: {baseline: {SEED: 5}}", (), "SEED"),
        ("variants: {baseline: {}}", ("--set", "SEED=5"), "SEED"),
        ("variants: {baseline: {}}\nconfig: {MODEL.WEIGHTS: weights.pth}", (), "MODEL.WEIGHTS"),
    ],
)
def test_what_once_ended_in_a_traceback_or_never(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: tuple[str, ...], key: str
) -> None:
    (tmp_path / "recursive.yaml").write_text("MODEL: &m {RPN: *m}\n")
    for number, base in enumerate(("5", "", "[5]", '"a\\0b"')):
        (tmp_path / f"base-{number}.yaml").write_text(f"_BASE_: {base}\n")
    (tmp_path / "weights.pth").write_text("")
    unreadable = SimpleNamespace(**{**vars(hashlib), "file_digest": cannot_be_read})
    monkeypatch.setattr("agropest.sweep.trial.hashlib", unreadable)
    path = tmp_path / "sweep.yaml"
    path.write_text(text if "base: " in text else GOOD + text)
    code, error = plan(path, *words)
    assert code == 2
    assert key in error
    assert all(str(path) in line or "--set" in line for line in error.splitlines()), error


def cannot_be_read(*_: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_a_home_of_nobody_for_the_results_is_a_folder_of_that_name(
    tiny_sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Launch, "_idle_overrides", lambda *arguments: {})
    monkeypatch.chdir(tmp_path)
    assert launch.main([str(tiny_sweep), "--plan", "--results", "~no-such-user-here/r"]) == 0
    assert (tmp_path / "~no-such-user-here" / "r" / "trials").is_dir()


def test_a_question_is_shown_as_it_stands(
    tiny_sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Launch, "_idle_overrides", lambda *arguments: {})
    question = "question=Do anchors of [/2] and [a, b] help?"
    assert launch.main([str(tiny_sweep), "--plan", "--results", str(tmp_path / "r"), "--set", question]) == 0
    assert question.partition("=")[2] in capsys.readouterr().out


def test_what_detectron2_cannot_build_is_named(
    tiny_sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--set", "SOLVER.LR_SCHEDULER_NAME=Nope", "--results", str(tmp_path / "r")]
    assert launch.main([str(tiny_sweep), "--plan", *words]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith(f"error: {tiny_sweep}: every variant: SOLVER.LR_SCHEDULER_NAME: ") for line in lines)


def test_a_number_in_the_file_and_on_the_command_line_is_one_name(plan: Plan, tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(GOOD + "variants: {baseline: {}, 1: {SOLVER.BASE_LR: 0.1}}")
    code, error = plan(path, "--set", "variants.1.SOLVER.BASE_LR=0.2")
    assert code == 2
    assert len(error.splitlines()) == 1
    assert "variants.1: expected a name that no table takes for a number" in error


@pytest.fixture
def data(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny data set, to be spoilt."""
    folder = tmp_path / "data"
    shutil.copytree(tiny_folder, folder)
    return folder


def test_spoilt_data_yaml(plan: Plan, tiny_folder: Path, tiny_sweep: Path, data: Path) -> None:
    """Those that are refused are refused by a launch, too, which names the file, and the key where that is known."""
    draw, refused, accepted = random.Random(11), 0, 0
    while refused < 100:
        content, keys = spoilt(tiny_folder / "data.yaml", draw)
        (data / "data.yaml").write_bytes(content)
        try:
            read_data_yaml(data / "data.yaml", data)
        except DataError:
            refused += 1
            code, error = plan(tiny_sweep, data=data)
            assert code == 2
            assert all(line.startswith(f"error: {data / 'data.yaml'}") for line in error.splitlines()), error
            words = [key for key in keys if key and not key.isdecimal()]
            missing = "names: expected a list of class names, got None" in error  # where that key was renamed
            assert not words or missing or words[-1] in error, (keys, error)
        else:
            accepted += 1
    assert accepted > 20


NAMES = "nc: 12\ntrain: train/images\nval: valid/images\n"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", "expected keys"),
        ("[1, 2]", "expected keys"),
        ("train: nowhere", "names"),
        (f"{NAMES}names: 3", "names"),
        (f"{NAMES}names: [a, a]", "names"),
        (f"{NAMES}names: {{0: a, 2000000000: b}}", "names"),
        (f'{NAMES}names: ["\\ud800", b]', "names"),
        (f'{NAMES}names: [a]\n"\\ud800": 3', "character"),
        (f'{NAMES}names: [a]\ntest: "\\ud800"', "test"),
        (f"{NAMES}names: &n [*n, a]", "names"),
        ("names: [a]\ntrain: train/images\nval: nowhere", "val: expected a valid split, got 'no folder nowhere"),
    ],
)
def test_a_launch_names_the_key_of_a_malformed_data_yaml(
    plan: Plan, tiny_sweep: Path, data: Path, text: str, key: str
) -> None:
    (data / "data.yaml").write_text(text)
    code, error = plan(tiny_sweep, data=data)
    assert code == 2
    assert key in error
    assert all(line.startswith(f"error: {data / 'data.yaml'}") for line in error.splitlines()), error


def test_a_data_set_that_is_not_there_is_named_with_its_key(
    tiny_sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(tiny_sweep), "--plan", "--results", str(tmp_path / "r")]
    assert launch.main([*words, "--set", "data=nowhere"]) == 2
    assert f"error: {tiny_sweep}: data: data set {tmp_path / 'nowhere'}: expected" in capsys.readouterr().err
    assert launch.main([*words, "--data", "nowhere"]) == 2
    assert "error: --data: data set " in capsys.readouterr().err
