"""What export writes of a sweep with hostile names, read back by the programs it is meant for."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from agropest.command_line import main
from agropest.csv_text import to_csv
from agropest.report.export import FORMATS, export_sweep
from agropest.report.markdown import code, plain

EXPECTED = {
    "ranking.csv",
    "comparison.csv",
    "per_class.csv",
    "changes.csv",
    "published.csv",
    "ranking.md",
    "per_class.md",
    "record.md",
    "published.md",
    "ranking.tex",
    "per_class.tex",
    "report.json",
    "index.html",
    "pictures.html",
}
NAMES = ("ant", '</script><script>alert("x")</script>', "=HYPERLINK(1)|&amp;", "Käfer_{50%}\\")


@pytest.fixture(scope="module")
def exported(sweep: Path) -> Path:
    """The folder with everything in it."""
    assert set(export_sweep(sweep)) == EXPECTED
    return sweep


def test_every_file_is_there(exported: Path) -> None:
    assert {path.name for path in exported.iterdir()} == EXPECTED | {"sweep.json", "pictures"}
    assert set(FORMATS) == {"csv", "md", "latex", "json", "html"}


def test_pandas_and_a_spreadsheet_read_the_same_numbers(exported: Path) -> None:
    changes = pd.read_csv(exported / "changes.csv")
    assert set(changes["class"]) == {*NAMES[:2], "'" + NAMES[2], NAMES[3]}  # no cell begins a formula
    assert changes["change"].dtype == float
    text = (exported / "changes.csv").read_bytes()
    assert text.startswith(b"\xef\xbb\xbf")  # letters outside ASCII: Excel needs the mark
    assert text.count(b"\r\n") == text.count(b"\n") == len(changes) + 1
    ranking = pd.read_csv(exported / "ranking.csv")
    assert list(ranking["label"]) == ["good", "base", "slow", "bad"]
    assert ranking["val_AP"].notna().tolist() == [True, True, True, False]
    comparison = pd.read_csv(exported / "comparison.csv").set_index("label")
    assert comparison.loc["good", "verdict"] == "unknown (one seed)"
    assert comparison.loc["good", "difference_low"] > 0


def test_every_table_has_ap_at_the_deployed_threshold_too(exported: Path) -> None:
    ranking = pd.read_csv(exported / "ranking.csv").set_index("label")
    for split in ("val", "test"):
        for name in ("AP", "AP50", "AP75"):
            assert 0 < ranking.loc["good", f"{split}_{name}_deployed"] < ranking.loc["good", f"{split}_{name}"]
    comparison = pd.read_csv(exported / "comparison.csv").set_index("label")
    assert comparison.loc["good", "test_AP_deployed"] == ranking.loc["good", "test_AP_deployed"]
    classes = pd.read_csv(exported / "per_class.csv")
    ants = classes[(classes["class"] == "ant") & (classes["split"] == "valid")].set_index("label")["AP_deployed"]
    changes = pd.read_csv(exported / "changes.csv").set_index(["label", "class"])["change_deployed"]
    assert changes["good", "ant"] == pytest.approx(ants["good"] - ants["base"], abs=0.011)
    assert pd.isna(changes["slow", "ant"])  # it has not finished
    whole, deployed = (exported / "per_class.md").read_text().split("at the deployed score threshold")
    assert f"| ant | {ants['base']:.2f} | {changes['good', 'ant']:+.2f} |" in deployed
    assert "| +26.52 |" in whole
    for name in ("ranking.md", "record.md", "ranking.tex", "index.html"):
        assert re.search("AP.?.?deployed", (exported / name).read_text()), name
    assert "tab:per-class-deployed" in (exported / "per_class.tex").read_text()
    assert "The same at the deployed score threshold" in (exported / "index.html").read_text()


def test_so_has_what_each_factor_does(factorial_sweep: Path) -> None:
    assert "effects.csv" in export_sweep(factorial_sweep)
    reached = pd.read_csv(factorial_sweep / "ranking.csv").set_index("label")["val_AP_deployed"]
    effects = pd.read_csv(factorial_sweep / "effects.csv").set_index("factor")["AP_deployed"]
    gains = reached["still"] - reached["baseline"], reached["still+other"] - reached["other"]
    assert min(gains) > 5
    assert effects["still"] == pytest.approx(sum(gains) / 2, abs=0.011)
    assert effects["still x other"] == pytest.approx(gains[1] - gains[0], abs=0.021)
    (row,) = re.findall(r"^\| main effect \| still \|.*$", (factorial_sweep / "ranking.md").read_text(), re.MULTILINE)
    assert row.endswith(f"| {effects['still']:.2f} |")


def test_csv_quotes_and_leaves_numbers_alone() -> None:
    rows = [{"a": 'x,"y"\nz', "b": -1.5, "c": None, "d": "-1"}]
    assert to_csv(rows) == 'a,b,c,d\r\n"x,""y""\nz",-1.5,,\'-1\r\n'
    assert next(csv.DictReader(io.StringIO(to_csv(rows), newline="")))["a"] == 'x,"y"\nz'
    assert to_csv([]) == ""
    for word in ("=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"):
        assert to_csv([{"a": word}]).split("\r\n", 1)[1].lstrip('"').startswith("'")


def test_the_training_record_says_what_the_numbers_say(exported: Path) -> None:
    record = (exported / "record.md").read_text()
    for piece in (
        "## Configuration of base",
        "| `SOLVER.BASE_LR` | `0.01` | `0.02` |",
        "improved",
        "degraded",
        "Validation AP is higher than base's by",
        "Seed 1: failed after 0 of 30 iterations",
        "Seed 1: stopped after 10 of 30 iterations.",
        "at iteration 10, which both have evaluated",
        "One seed of this variant.",
        "On these images the checkpoint scores higher; what another training would score is not known",
        "Corrected for having been chosen as the highest: ",
        "The guard on ant",
    ):
        assert piece in record, piece
    assert "<script" not in re.sub("`[^`]*`", "", record)
    rows = [line for line in record.splitlines() if line.startswith("| ")]
    assert rows
    assert all(len(re.findall(r"(?<!\\)\|", row)) >= 3 for row in rows)


def test_markdown_shows_names_as_they_are() -> None:
    assert plain("a|b *c* <d> `e`\n# f") == r"a\|b \*c\* &lt;d&gt; \`e\` # f"
    assert plain("# a") == r"\# a"
    assert plain("1. a") == r"\1. a"
    assert plain("0.5 and -1") == "0.5 and -1"
    assert code("a`b|c") == r"`` a`b\|c ``"


def test_json_is_json(exported: Path) -> None:
    told = json.loads((exported / "report.json").read_text(), parse_constant=lambda word: pytest.fail(word))
    assert told["comparison"]["variants"][0]["label"] == "good"
    assert told["classes"]["good"]["improved"] + told["classes"]["good"]["degraded"] > 0
    assert [trial["label"] for trial in told["trials"]] == ["good", "base", "slow", "bad"]


def test_the_command_writes_what_is_asked_for(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (exported / "index.html").stat().st_mtime_ns
    assert main(["export", str(exported), "--format", "latex,json"]) == 0
    assert "ranking.tex, per_class.tex, report.json" in capsys.readouterr().out
    assert (exported / "index.html").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("words", "pieces"),
    [
        (("nowhere",), ("got 'nowhere'", "launch a sweep first")),
        (("nowhere", "--format", "pdf,csw"), ("expected some of csv, md", "got 'pdf'", "did you mean 'csv'?")),
    ],
)
def test_bad_input_gets_one_clear_error(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], pieces: tuple[str, ...]
) -> None:
    assert main(["export", *words]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    for piece in pieces:
        assert piece in told
