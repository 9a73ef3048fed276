"""LaTeX tables: right in structure, and within the text of an article however many and long the names are."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from agropest.analysis.compared import ComparedVariant, Comparison, SeedFacts
from agropest.analysis.guards import GuardResult
from agropest.report.export import export_sweep
from agropest.report.tables.classes import ClassTable
from agropest.report.tables.latex import escaped, per_class_latex, ranking_latex
from agropest.statistics.inference import BETTER, Difference, Estimate, Interval
from agropest.store.records import TrialState

LONG = "multi_scale_anchor_generator+focal_loss_alpha_quarter+repeat_factor_sampling_0.08"[:78]
WIDEST = Difference(-99.06, Interval(-100.0, 100.0), 1e-5, 0.0123, BETTER, 99.9)


def variant(number: int, label: str, status: str = TrialState.FINISHED) -> ComparedVariant:
    return ComparedVariant(
        label,
        Estimate(43.56, Interval(33.62, 49.20)),
        number + 1 if status == TrialState.FINISHED else None,
        status,
        seeds=(1, 2, 3),
        ap_deployed=34.0,
        seed_spread=12.34,
        difference=WIDEST if number else None,
        equal_iterations=() if status == TrialState.FINISHED else (10,),
        ties_with_best=number < 3,
        guards=(GuardResult("Grasshoppers", 2.0, Estimate(-9.0, Interval(-12.0, -6.0)), "broken"),) if number else (),
        test=Estimate(39.91, Interval(31.05, 44.89)),
    )


def many(length: int) -> Comparison:
    """Returns 50 variants with names of ``length`` letters and two more; every fifth was stopped."""
    labels = [f"{LONG[:length]}{number:02}" for number in range(50)]
    variants = [
        variant(n, label, TrialState.STOPPED if n % 5 == 4 else TrialState.FINISHED) for n, label in enumerate(labels)
    ]
    return Comparison("AP-Caterpillars", labels[0], 12345, 1234, 123456, 2000, 0.95, tuple(variants), "")


@pytest.fixture(scope="module")
def exported(sweep: Path) -> Path:
    export_sweep(sweep, ["latex"])
    return sweep


def test_each_table_has_the_structure_of_a_booktabs_table(exported: Path) -> None:
    found = []
    for name in ("ranking.tex", "per_class.tex"):
        text = (exported / name).read_text()
        assert "_{50%}" not in text
        for table in text.split(r"\end{table}")[:-1]:
            columns = len(re.search(r"\\begin\{tabular\}\{@\{\}(\w+)@\{\}\}", table).group(1))  # type: ignore[union-attr]
            lines = table[table.index(r"\toprule") : table.index(r"\bottomrule")].splitlines()
            rows = [line for line in lines if line.endswith(r" \\")]
            assert all(len(re.findall(r"(?<!\\)&", row)) == columns - 1 for row in rows)
            found.append((re.findall(r"\\label\{tab:([\w-]+)\}", table), len(rows)))
    # The heading and four variants, two differences, four classes.
    assert found == [(["ranking"], 5), (["differences"], 3), (["per-class"], 5), (["per-class-deployed"], 5)]


def test_the_ranking_has_p_values_what_was_detectable_and_what_intervals_leave_out(exported: Path) -> None:
    text = (exported / "ranking.tex").read_text()
    assert r"$p$ & $p$ adj. & Verdict" in text
    assert text.count("one seed per variant: intervals cover image sampling only, for these checkpoints") == 2
    assert r"unknown (one \\ seed) at equal" in text
    several = ranking_latex(many(5), "t")
    assert r"$p$ & $p$ adj. & Verdict & Det. \\" in several
    assert "& 3: 12.34 &" in several
    assert "Seeds: how many, and the standard deviation across them" in several
    assert "image sampling only" not in several
    assert "but loses" in several
    assert r"& \textless{}0.001 & 0.012 & \begin{tabular}[t]{@{}l@{}}better" in several
    assert r"& 99.9 \\" in several
    assert "12345 images of 1234 sources with 123456 boxes" in several
    mixed = replace(many(5), variants=(replace(variant(0, "a"), seeds=(1,)), variant(1, "b")))
    known = replace(mixed, seeds=SeedFacts(0.577, 8.0, 12, 4, "the variants of this sweep"))
    assert r"intervals cover images and seeds (standard deviation of a seed 0.58" in ranking_latex(known, "t")


def test_escapes_every_special_letter() -> None:
    assert escaped(r"a_b%c&d#e$f{g}") == r"a\_b\%c\&d\#e\$f\{g\}"
    assert escaped("\\^~<>|") == (
        r"\textbackslash{}\textasciicircum{}\textasciitilde{}\textless{}\textgreater{}\textbar{}"
    )
    assert escaped("Käfer 虫\n") == "Käfer U+866B "


def compiled(body: str, folder: Path) -> str:
    """Returns pdflatex's log of an article."""
    document = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{body}\end{{document}}"
    (folder / "paper.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    result = subprocess.run(command, cwd=folder, capture_output=True, timeout=600)
    told = result.stdout.decode(errors="replace")
    assert result.returncode == 0, told[-2000:]
    return told


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
def test_it_compiles_with_any_letters(exported: Path, tmp_path: Path) -> None:
    every = "".join(escaped(chr(number)) + " " for number in range(32, 0x2100))
    body = "\n".join(rf"\input{{{exported / name}}}" for name in ("ranking.tex", "per_class.tex"))
    compiled(f"{body} {every}", tmp_path)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
@pytest.mark.parametrize("length", [8, 40, 78])
def test_no_table_is_wider_or_taller_than_the_text(tmp_path: Path, length: int) -> None:
    comparison = many(length)
    classes = {f"class_{number:02}_of_the_set": 43.21 for number in range(80)}
    changes = {one.label: dict.fromkeys(classes, -12.34) for one in comparison.variants[:9]}
    tables = [ClassTable("AP of each class.", classes, changes)]
    body = [ranking_latex(comparison, "Which is best?"), per_class_latex(tables, comparison.baseline, "Which?")]
    told = compiled("\n".join(body).replace(r"\end{table}", r"\end{table}\clearpage"), tmp_path)
    assert re.findall("Overfull.*|.*too large.*", told) == []
