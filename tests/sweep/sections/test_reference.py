"""Published figures are read whole or refused with every fault, and stand beside measured ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from agropest.analysis.ranking import RankedTrial
from agropest.errors import SweepFileError
from agropest.report.tables.published import published_rows, published_table, published_texts
from agropest.sweep.sections.reference import Reference
from agropest.sweep.spec import load_sweep

ROOT = Path(__file__).resolve().parents[3]


def row(label: str, status: str = "finished", threshold: float = 0.5) -> RankedTrial:
    test = {"AP": 44.0, "AP_deployed": 43.0, "APs": None, "AP-Ants": 30.0, "AP_deployed-Ants": 27.0}
    return RankedTrial(1, label, 42, status, 4, 4, 4, {"AP": 41.0}, test, 1.0, "0" * 16, "", (), threshold)


def test_the_study_shows_what_it_published() -> None:
    reference = load_sweep(ROOT / "sweeps" / "study.yaml").reference
    assert set(reference.runs) == {"run0", "run1", "run2", "run2a"}
    assert reference.runs["run1"]["test"]["AP"] == 43.35
    assert reference.runs["run0"]["test"]["APs"] is None
    assert all(len([n for n in run["test"] if n.startswith("AP-")]) == 12 for run in reference.runs.values())
    for run in reference.runs.values():  # the mean over classes is the AP that is printed, to rounding
        classes = [value for name, value in run["test"].items() if name.startswith("AP-")]
        assert sum(classes) / 12 == pytest.approx(run["test"]["AP"], abs=0.01)


def test_published_beside_measured() -> None:
    reference = load_sweep(ROOT / "sweeps" / "study.yaml").reference
    rows = published_rows(reference, [row("run1"), row("run2", "stopped"), row("other")])
    assert {r["label"] for r in rows} == {"run1", "run2"}
    by = {(r["label"], r["split"], r["metric"]): r for r in rows}
    ap = by["run1", "test", "AP"]
    assert (ap["published"], ap["measured"], ap["deployed"]) == (43.35, 44.0, 43.0)
    assert (ap["compared"], ap["difference"]) == ("AP_deployed", -0.35)  # it was published at a threshold of 0.5
    ants = by["run1", "test", "AP-Ants"]
    assert (ants["compared"], ants["difference"]) == ("AP_deployed-Ants", -0.84)
    assert by["run1", "test", "AP50"]["difference"] is None  # nothing was measured
    assert by["run1", "test", "APs"]["published"] == by["run1", "test", "APs"]["measured"] == "n/a"
    assert by["run2", "test", "AP"]["measured"] is None  # it was stopped: its figures are no reproduction
    texts = published_texts(rows, reference.note)
    assert (
        "| run1 | 42 | finished | test | AP | 43.35 | 44.00 | 43.00 | AP\\_deployed | -0.35 |" in texts["published.md"]
    )
    assert texts["published.csv"].startswith("label,seed,status,split,metric,published,measured,")
    assert published_texts([], "") == {}


@pytest.mark.parametrize("name", ["anchors", "baseline", "study"])
def test_figures_of_the_study_are_compared_at_its_threshold(name: str) -> None:
    spec = load_sweep(ROOT / "sweeps" / f"{name}.yaml")
    assert spec.reference.threshold == 0.5
    label = next(iter(spec.reference.runs))
    ap = next(r for r in published_rows(spec.reference, [row(label)]) if (r["split"], r["metric"]) == ("test", "AP"))
    assert (ap["compared"], ap["difference"]) == ("AP_deployed", round(43.0 - 41.65, 2))


def test_figures_at_another_threshold_or_none() -> None:
    runs = {"a": {"test": {"AP": 40.0}}}
    other = published_rows(Reference(runs=runs, threshold=0.3), [row("a")])[0]
    assert (other["compared"], other["difference"]) == ("", None)  # of other boxes: nothing to compare with
    same = published_rows(Reference(runs=runs, threshold=0.3), [row("a", threshold=0.3)])[0]
    assert (same["compared"], same["difference"]) == ("AP_deployed", 3.0)
    unsaid = published_rows(Reference(runs=runs), [row("a")])[0]
    assert (unsaid["compared"], unsaid["difference"]) == ("AP", 4.0)


def test_every_fault_at_once(tmp_path: Path) -> None:
    (tmp_path / "figures.yaml").write_text("note: x\nruns: {a: {test: {AP: 101, AP50: word}, dev: {}}}\n")
    sweep = tmp_path / "s.yaml"
    sweep.write_text(
        "variants: {baseline: {}, other: {SOLVER.BASE_LR: 0.1}}\n"
        "reference: {file: figures.yaml, runs: {baseline: a, othr: a, other: b}}\n"
    )
    with pytest.raises(SweepFileError) as caught:
        load_sweep(sweep)
    text = "\n".join(caught.value.faults)
    for part in ("AP: expected percent", "AP50: expected percent", "unknown key", "did you mean 'other'", "got 'b'"):
        assert part in text, part


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("variants: {baseline: {}}\nreference: none.yaml\n")
    with pytest.raises(SweepFileError, match=r"none\.yaml"):
        load_sweep(tmp_path / "s.yaml")


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("{file: f.yaml, runs: {baseline: [run0]}}", "expected a run of f.yaml, got ['run0']"),
        ("{file: f.yaml, runs: {baseline: {}}}", "expected a run of f.yaml, got {}"),
        ('"~no-such-user-here/f.yaml"', "reference.file: expected a path"),
        ('"a\\0b"', "reference: a character that no text holds"),
        ("{file: typo.yaml, runs: {baseline: run0}}", "did you mean 'threshold'?"),
    ],
)
def test_a_reference_that_is_none_is_a_fault(reference: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text("runs: {run0: {test: {AP: 40}}}\n")
    (tmp_path / "typo.yaml").write_text("thresold: 0.5\nruns: {run0: {test: {AP: 40}}}\n")
    path = tmp_path / "a.yaml"
    path.write_text(f"variants: {{baseline: {{}}}}\nreference: {reference}\n")
    with pytest.raises(SweepFileError) as caught:
        load_sweep(path)
    assert told in str(caught.value)


def test_a_note_is_text_and_no_markup() -> None:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(published_table([], "figures [/1] of [red]table 2[/red]"))
    assert "figures [/1] of [red]table 2[/red]" in capture.get()
