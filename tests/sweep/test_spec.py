from __future__ import annotations

import re
from pathlib import Path

import pytest

from agropest.errors import AgropestError, SweepFileError
from agropest.sweep.plan import expand_trials
from agropest.sweep.sections.resources import Resources
from agropest.sweep.sections.seed_rule import SeedRule
from agropest.sweep.spec import load_sweep

ROOT = Path(__file__).resolve().parents[2]


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    return path


def test_a_sweep_file_as_a_value(tmp_path: Path) -> None:
    spec = load_sweep(
        write(
            tmp_path,
            """
question: Does it help?
data: insects
variants:
  baseline: {}
  slow: {SOLVER: {BASE_LR: 1e-4}, resources: {cpus: 2}}
  wide: {MODEL.ANCHOR_GENERATOR.SIZES: [[8], [16], [32], [64], [128]]}
seeds: [1, 2]
stop: asha
""",
        )
    )
    assert spec.name == "a"
    assert spec.data == tmp_path / "insects"
    assert [variant.name for variant in spec.variants] == ["baseline", "slow", "wide"]
    assert spec.variants[1].overrides == {"SOLVER.BASE_LR": 0.0001}
    assert spec.variants[1].resources == Resources(cpus=2)
    assert spec.seeds == (1, 2)
    assert spec.stop.method == "asha"


def test_all_faults_come_at_once_each_with_its_key(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
variants:
  baseline: {SOLVER.BASE_LP: 0.1, SOLVER.MAX_ITER: many}
  "bad/name": {}
seeds: [1, 1]
stop: {method: ashes}
resources: {gpu: 1}
metrik: AP
""",
    )
    with pytest.raises(SweepFileError) as caught:
        load_sweep(path, ["SOLVER.MAXITER=3", "resources.cpus=none", "nothing"])
    text = str(caught.value)
    for piece in (
        "variants.baseline.SOLVER.BASE_LP: expected a Detectron2 config key",
        "did you mean 'SOLVER.BASE_LR'?",
        "variants.baseline.SOLVER.MAX_ITER: expected a number, got 'many'",
        "variants.bad/name: expected letters",
        "seeds: expected different whole numbers",
        "stop.method: expected one of none, asha",
        "resources.gpu: unknown key",
        "did you mean 'gpus'?",
        "metrik: unknown key",
        "did you mean 'metric'?",
        "--set SOLVER.MAXITER: expected a Detectron2 config key",
        "resources.cpus: expected a number",
        "--set: expected KEY=VALUE, got 'nothing'",
    ):
        assert piece in text
    assert len(caught.value.faults) == 10


@pytest.mark.parametrize(
    "label", ["0.10", "1e-3", "5E+04", "2024-01-01", "3-4", "inf", "TRUE", "NA", "nan", "null", "None"]
)
def test_a_label_that_tables_would_not_read_as_a_word_is_refused(tmp_path: Path, label: str) -> None:
    path = write(tmp_path, f'variants: {{baseline: {{}}, "{label}": {{SOLVER.BASE_LR: 0.1}}}}')
    with pytest.raises(SweepFileError) as caught:
        load_sweep(path)
    (line,) = caught.value.faults
    assert f"variants.{label}: expected a name that no table takes for a number" in line
    assert f"e.g. to v{label}" in line


@pytest.mark.parametrize("label", ["none", "lr1e-3", "0.1x", "1e-3-warm", "1st", "NAdam", "info", "v0.10", "1e"])
def test_a_label_that_is_a_word_to_every_table_is_not(tmp_path: Path, label: str) -> None:
    path = write(tmp_path, f'variants: {{baseline: {{}}, "{label}": {{SOLVER.BASE_LR: 0.1}}}}')
    assert [variant.name for variant in load_sweep(path).variants] == ["baseline", label]


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SweepFileError, match=r"line 3.*'seeds' is given twice"):
        load_sweep(write(tmp_path, "seeds: [1]\nvariants: {baseline: {}}\nseeds: [2]\n"))


@pytest.mark.parametrize(
    "text", ["", "[1, 2]", "variants: [", "variants: {a: !!python/object:os.system {}}", "\x00", "? [a]\n: b"]
)
def test_what_is_no_sweep_is_one_clear_fault(tmp_path: Path, text: str) -> None:
    with pytest.raises(SweepFileError, match=r"a\.yaml"):
        load_sweep(write(tmp_path, text))


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path, "variants: {baseline: {}}")
    with pytest.raises(SweepFileError, match=r"no such file.*there are: a\.yaml"):
        load_sweep(tmp_path / "b.yaml")


def test_settings_win_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "variants: {v0.1: {SOLVER.BASE_LR: 0.1}}\nresources: {cpus: 1}\n")
    spec = load_sweep(path, ["resources.cpus=3", "variants.v0.1.SOLVER.BASE_LR=0.2", "SOLVER.MAX_ITER=7", "name=b"])
    assert spec.resources.cpus == 3
    assert spec.variants[0].overrides == {"SOLVER.BASE_LR": 0.2}
    assert spec.pinned == {"SOLVER.MAX_ITER": 7}
    assert spec.name == "b"


def test_factors_combine_in_full_and_as_ablation(tmp_path: Path) -> None:
    factors = "factors: {a: {SEED: 1}, b: {SOLVER.BASE_LR: 0.1}, c: {SOLVER.MAX_ITER: 9}}\n"
    full = load_sweep(write(tmp_path, factors + "design: full\n"))
    assert [v.name for v in full.variants] == ["baseline", "a", "b", "c", "a+b", "a+c", "b+c", "a+b+c"]
    assert full.variants[4].levels == {"a": "on", "b": "on", "c": "base"}
    ablation = load_sweep(write(tmp_path, factors + "design: ablation\n"))
    assert [v.name for v in ablation.variants] == ["baseline", "a", "b", "c", "b+c", "a+c", "a+b", "a+b+c"]


def test_every_shipped_sweep_file_is_valid() -> None:
    paths = sorted((ROOT / "sweeps").glob("*.yaml"))
    assert {"demo.yaml", "baseline.yaml", "anchors.yaml"} <= {path.name for path in paths}
    for path in paths:
        spec = load_sweep(path)
        assert spec.question, path
        assert path.read_text().startswith("# Question:"), path


@pytest.mark.parametrize("line", ["data: ~no-such-user-here/d", "config: {MODEL.WEIGHTS: ~no-such-user-here/w.pth}"])
def test_the_home_of_nobody_is_a_path_that_is_not_there(line: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"variants: {{baseline: {{}}}}\n{line}\n")
    spec = load_sweep(path)
    if "data" in line:
        assert not (spec.data or tmp_path).exists()
        return
    with pytest.raises(AgropestError, match="no-such-user-here"):
        expand_trials(spec, "f", ["a"])


def test_the_demo_set_is_drawn_where_the_file_says(tmp_path: Path) -> None:
    spec = load_sweep(write(tmp_path, "data: {draw_demo: drawn/demo}\nvariants: {baseline: {}}\n"))
    assert (spec.data, spec.draws_demo) == (tmp_path / "drawn" / "demo", True)
    assert load_sweep(write(tmp_path, "data: insects\nvariants: {baseline: {}}\n")).draws_demo is False
    with pytest.raises(SweepFileError, match=r"data\.draw_demo: expected a folder.*\n*"):
        load_sweep(write(tmp_path, "data: {}\nvariants: {baseline: {}}\n"))
    with pytest.raises(SweepFileError, match=r"data\.draw_dem: unknown key.*draw_demo"):
        load_sweep(write(tmp_path, "data: {draw_dem: there}\nvariants: {baseline: {}}\n"))


SPACE = "space: {SOLVER.BASE_LR: {uniform: [0.001, 0.1]}}"


@pytest.mark.parametrize(
    ("more", "method"),
    [
        ("variants: {baseline: {}, b: {SOLVER.BASE_LR: 0.1}}", "race"),
        ("factors: {lr: {SOLVER.BASE_LR: 0.1}}", "race"),
        ("search: {method: grid, space: {SOLVER.BASE_LR: {choice: [0.1, 0.2]}}}", "race"),
        (f"search: {{method: random, num_variants: 3, {SPACE}}}", "asha"),
        (f"search: {{method: optuna, num_variants: 3, {SPACE}}}", "asha"),
        (f"search: {{method: pbt, population: 4, interval_iters: 1000, {SPACE}}}", "none"),
    ],
)
def test_who_is_enumerated_is_raced_and_who_is_sampled_goes_through_asha(
    tmp_path: Path, more: str, method: str
) -> None:
    assert load_sweep(write(tmp_path, f"{more}\n")).stop.method == method


def test_seeds_until_decided(tmp_path: Path) -> None:
    spec = load_sweep(write_seeds(tmp_path, "{start: 3, most: 6, until: decided}\nindifference: 0.5"))
    assert (spec.seeds, spec.seed_rule, spec.indifference) == ((42, 43, 44), SeedRule(3, 6), 0.5)
    assert (spec.seed_rule.is_adaptive, spec.seed_rule.looks) == (True, (3, 4, 5, 6))
    assert load_sweep(write_seeds(tmp_path, "{}")).seed_rule == SeedRule(2, 8)
    plain = load_sweep(write_seeds(tmp_path, "[7, 8]"))
    assert (plain.seeds, plain.seed_rule.is_adaptive, plain.seed_rule.looks) == ((7, 8), False, ())


@pytest.mark.parametrize(
    ("seeds", "told"),
    [
        ("{start: 1}", "seeds.start: expected 2 or more: one seed says nothing about the next, got 1"),
        ("{start: 4, most: 3}", "seeds.most: expected at least start, 4, got 3"),
        ("{until: bored}", "seeds.until"),
        ("{begin: 2}", "seeds.begin: unknown key"),
        ("[1, 1]", "write e.g. [42, 43, 44], or {start: 2, most: 8, until: decided}"),
        ("{}\nsearch: {method: optuna, space: {SOLVER.BASE_LR: {uniform: [0.001, 0.1]}}}", "expected a list with this"),
    ],
)
def test_faults_of_seeds(tmp_path: Path, seeds: str, told: str) -> None:
    with pytest.raises(SweepFileError, match=re.escape(told)):
        load_sweep(write_seeds(tmp_path, seeds))


SPACE = "search: {method: random, num_variants: 2, space: {SOLVER.BASE_LR: {choice: [0.1, 0.2]}}}\n"


@pytest.mark.parametrize(
    ("content", "seeds", "rule"),
    [
        ("variants: {baseline: {}, other: {SOLVER.BASE_LR: 0.1}}\n", (42, 43), SeedRule(2, 8)),
        ("variants: {baseline: {}}\nfactors: {lr: {SOLVER.BASE_LR: 0.1}}\n", (42, 43), SeedRule(2, 8)),
        ("variants: {baseline: {}}\n", (42,), SeedRule()),  # nothing to decide
        ("variants: {baseline: {}, other: {SOLVER.BASE_LR: 0.1}}\n" + SPACE, (42,), SeedRule()),
        ("variants: {baseline: {}, other: {SOLVER.BASE_LR: 0.1}}\nseeds: [5]\n", (5,), SeedRule()),
    ],
)
def test_without_seeds_variants_that_are_written_down_have_them_until_decided(
    tmp_path: Path, content: str, seeds: tuple[int, ...], rule: SeedRule
) -> None:
    spec = load_sweep(write(tmp_path, content))
    assert (spec.seeds, spec.seed_rule) == (seeds, rule)


def write_seeds(folder: Path, seeds: str) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(f"data: d\nvariants: {{baseline: {{}}, other: {{SOLVER.BASE_LR: 0.1}}}}\nseeds: {seeds}\n")
    return path
