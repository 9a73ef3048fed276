"""What a refusal of model, predict, compare and the other readers of results advises is not refused in turn."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from agropest.command_line import main
from agropest.store.store import Store
from agropest.store.sweep_record import write_sweep_record
from tests.advice import Refusal, follow
from tests.deployment.conftest import Trained

MEAN = r"did you mean '([^']+)'"

REFUSALS = {
    "model of a mistyped name": Refusal("model winer out", MEAN, r"model \1 out"),
    "model of a mistyped folder": Refusal("model results/winer out", MEAN, r"model \1 out"),
    "model of a mistyped folder elsewhere": Refusal("model results/winer out --results r2", MEAN, r"model \1 out"),
    "model of a mistyped sweep with a variant": Refusal("model results/winer/stock out", MEAN, r"model \1/stock out"),
    "model of a mistyped variant": Refusal("model winner/stok out", MEAN, r"model winner/\1 out"),
    "model of a seed that is none": Refusal(
        "model winner/stock/2 out", r"its seeds are (\d+)", r"model winner/stock/\1 out"
    ),
    "model of a seed in words": Refusal("model winner/stock/best out", r"or leave it out: (\S+)$", r"model \1 out"),
    "model into a folder with something else": Refusal("model winner full", "give a new folder", "model winner out"),
    "model over an earlier one": Refusal(
        "model winner full", "that an earlier `model` has written", "model winner made"
    ),
    "predict with a sweep": Refusal(
        "predict results/winner insects/valid/images", r"agropest (model \S+ OUT) writes one", r"\1"
    ),
    "predict with nothing": Refusal(
        "predict none insects/valid/images", r"agropest model SWEEP OUT writes one", "model winner none"
    ),
    "predict nothing": Refusal(
        "predict made insects/vlid/images/*.jpg", "correct the path", "predict made insects/valid/images/*.jpg"
    ),
    "predict above 1": Refusal(
        "predict made insects/valid/images --threshold 50",
        r"such as (0.5)",
        r"predict made insects/valid/images --threshold \1",
    ),
    "compare a mistyped sweep": Refusal("compare winner scond", MEAN, r"compare winner \1"),
    "compare two mistyped sweeps": Refusal("compare winer winner", MEAN, r"compare \1 second"),
    "compare one with itself": Refusal("compare winner winner", "name another one beside it", "compare winner second"),
    "compare one twice with another": Refusal(
        "compare winner second winner", r"give each of them once: (\S+ \S+)$", r"compare \1"
    ),
    "compare by two metrics": Refusal("compare winner by50", "say which with (--metric)", r"compare winner by50 \1 AP"),
    "compare with a mistyped baseline": Refusal(
        "compare winner second --baseline 'winner: stok'", MEAN, r"compare winner second --baseline '\1'"
    ),
    "compare one file": Refusal("compare gt.json a.json", r"agropest (summarize a.json --gt gt.json)$", r"\1"),
    "compare one file with another": Refusal(
        "compare gt.json a.json", "name a second one", "compare gt.json a.json b.json"
    ),
    "compare with a mistyped file": Refusal(
        "compare gt.json a.json b.json --baseline c.json",
        "known here: (a), b",
        r"compare gt.json a.json b.json --baseline \1",
    ),
    "compare with too few resamples": Refusal(
        "compare gt.json a.json b.json --resamples 5",
        r"; (\d+) is usual",
        r"compare gt.json a.json b.json --resamples \1",
    ),
    "list of a mistyped sweep": Refusal("list winer", MEAN, r"list \1"),
    "list of no results": Refusal("list --results none", "give the folder with (--results)", r"list \1 results"),
    "prune of a mistyped sweep": Refusal("prune winer", MEAN, r"prune \1"),
    "export of a mistyped sweep": Refusal("export results/winer", MEAN, r"export \1"),
    "export of a name": Refusal("export winr", MEAN, r"export \1"),
    "export to a mistyped format": Refusal(
        "export results/winner --format cvs", MEAN, r"export results/winner --format \1"
    ),
    "predictions of a mistyped sweep": Refusal("predictions winer out", MEAN, r"predictions \1 out"),
}


@pytest.fixture(scope="module")
def made(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of the sweep."""
    out = tmp_path_factory.mktemp("model") / "made"
    assert main(["model", f"{trained.folder}/stock", str(out)]) == 0
    return out


@pytest.fixture
def place(trained: Trained, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep's results in the current folder, two more sweeps of its trials, pictures, a model, results files."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained.store.root, "results", copy_function=os.link)  # a quarter of a gigabyte
    for one in (replace(trained.record, name="second"), replace(trained.record, name="by50", metric="AP50")):
        write_sweep_record(one, Store(Path("results")))
    shutil.copytree(trained.dataset.root, "insects")
    shutil.copy(trained.dataset.splits["valid"].annotations, "gt.json")
    assert main(["predictions", "winner", "open", "--chosen"]) == 0
    for name, file in zip("ab", ("stock-s1", "narrow-s1"), strict=True):
        shutil.copy(next(Path("open", file).glob("valid*.json")), f"{name}.json")
    Path("full").mkdir()
    Path("full/notes.txt").write_text("x")
    Path("made").symlink_to(made)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("name", REFUSALS)
def test_the_advice_holds(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    follow(REFUSALS[name], capsys)
