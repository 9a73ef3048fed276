"""What a stranger's file or name could do: nothing beyond the folder it belongs to, and no code."""

from __future__ import annotations

import ast
import importlib
import io
from pathlib import Path

import pytest
import yaml

from agropest.errors import SweepFileError
from agropest.store.store import Store
from agropest.sweep.spec import load_sweep
from agropest.sweep.trial import TrialSpec
from agropest.sweep.yaml_file import read_yaml

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted([*(ROOT / "agropest").rglob("*.py"), ROOT / "launch.py"])
OUTSIDE = ["../evil", "/tmp/evil", "a/b", "..", ".", "a\\b", "a\nb", "", "~", "a" * 81, "ä", "-rf"]


@pytest.mark.parametrize("label", OUTSIDE)
def test_a_label_cannot_leave_the_results_folder(tiny_sweep: Path, label: str) -> None:
    text = tiny_sweep.read_text().replace("  focal:", f"  {label!r}:".replace("'", '"') if label else '  "":')
    tiny_sweep.write_text(text)
    with pytest.raises(SweepFileError):
        load_sweep(tiny_sweep)


@pytest.mark.parametrize("name", OUTSIDE[:-1])
def test_a_sweeps_name_cannot_leave_the_results_folder(tiny_sweep: Path, name: str) -> None:
    if not name:
        return  # empty: the file's own name
    with pytest.raises(SweepFileError, match="name"):
        load_sweep(tiny_sweep, [f"name={name!r}".replace("'", '"')])


def test_a_trials_folder_is_inside_the_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "r")
    path = store.folder(TrialSpec("a.b+c=d_-", 1, {}, "d")).path
    assert path.resolve().is_relative_to(store.root / "trials")


def test_yaml_builds_no_objects(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(f"question: !!python/object/apply:os.system ['touch {tmp_path}/evil']\n")
    with pytest.raises(SweepFileError):
        read_yaml(bad)
    base = tmp_path / "base.yaml"
    base.write_text(f"MODEL: !!python/object/apply:os.system ['touch {tmp_path}/evil']\n")
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text("base: base.yaml\nvariants: {baseline: {}}\n")
    with pytest.raises(SweepFileError):
        load_sweep(sweep)
    assert not (tmp_path / "evil").exists()


def calls(path: Path) -> set[str]:
    """Returns the dotted names that a module calls."""
    return {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}


def test_nothing_reads_yaml_or_pickles_unsafely() -> None:
    assert len(SOURCES) > 50
    unsafe = {"yaml.unsafe_load", "yaml.full_load", "pickle.load", "pickle.loads", "eval", "exec", "os.system"}
    found = {(path.name, name) for path in SOURCES for name in calls(path) & unsafe}
    # Detectron2's own defaults.py, which is installed code that an import would run as well; what a launch hands to
    # its own actors, which Ray pickles in any case; what a trial's process hands to its loader workers, and they to it.
    handed = {(name, "pickle.loads") for name in ("child.py", "packed_records.py", "handover.py")}
    assert found == {("detectron2_keys.py", "exec"), *handed}


def test_every_yaml_load_has_a_safe_loader() -> None:
    loaders = {
        (path, ast.unparse(node.args[1] if len(node.args) > 1 else node.keywords[0].value))
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "yaml.load"
    }
    assert loaders
    for path, name in loaders:
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        assert issubclass(getattr(module, name), (yaml.SafeLoader, yaml.CSafeLoader)), path


def test_every_torch_load_reads_weights_only() -> None:
    loads = [
        (path.name, any(word.arg == "weights_only" and ast.unparse(word.value) == "True" for word in node.keywords))
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"
    ]
    assert loads
    assert [name for name, safe in loads if not safe] == []


def test_no_shell_is_started() -> None:
    shells = [
        path.name
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and any(w.arg == "shell" and ast.unparse(w.value) != "False" for w in node.keywords)
    ]
    assert shells == []


def test_a_download_that_ends_early_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    from agropest.training.start.weights import _copy

    whole, target = b"weights" * 1000, io.BytesIO()
    _copy(io.BytesIO(whole), target, len(whole), "model.pkl")
    assert target.getvalue() == whole
    # sha256sum of the same 7,000 bytes
    assert "SHA-256 " in capsys.readouterr().out
    with pytest.raises(OSError, match="7000 of 7001"):
        _copy(io.BytesIO(whole), io.BytesIO(), len(whole) + 1, "model.pkl")
