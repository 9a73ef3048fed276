"""The rooms, the direction of imports, and what must not be imported for a quick answer."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "agropest"
# A module imports only from rooms to the left of its own.
ROOMS = (
    "data",
    "modeling",
    "sweep",
    "statistics",
    "store",
    "planning",
    "analysis",
    "training",
    "deployment",
    "report",
    "tuning",
    "commands",
)
FREE = (
    "errors",
    "exit_codes",
    "files",
    "csv_text",
    "detectron2_ready",
    "plain_yaml",
    "detectron2_yaml",
    "machine",
    "durations",
    "readable",
)
HEAVY = ("torch", "torchvision", "detectron2", "ray")
MAY_IMPORT = {
    "modeling": {"torch", "torchvision", "detectron2"},
    "training": {"torch", "torchvision", "detectron2"},
    "deployment": {"torch", "torchvision", "detectron2"},
    "tuning": {"ray"},
}
MOST_FILES = 14  # of a folder, so that its list can be read at a glance
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)


def imports(path: Path, top_level_only: bool = False) -> Iterator[str]:
    """Yields the dotted names a module imports."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_all_rooms_exist() -> None:
    assert [room for room in ROOMS if not (PACKAGE / room / "__init__.py").is_file()] == []
    assert {path.parts[len(PACKAGE.parts)] for path in MODULES} == set(ROOMS)


def test_no_folder_holds_more_files_than_a_reader_takes_in() -> None:
    number_of_files = Counter(str(path.parent.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))
    assert {"store", "tuning/stopping", "modeling/lean/heads"} <= set(number_of_files)
    assert {folder: number for folder, number in number_of_files.items() if number > MOST_FILES} == {}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0]
    allowed = set(ROOMS[: ROOMS.index(room) + 1]) | set(FREE)
    used = {name.split(".")[1] for name in imports(path) if name.startswith("agropest.")}
    assert used - allowed - {"__version__"} == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_libraries_stay_in_their_rooms(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0]
    used = {name.split(".")[0] for name in imports(path)} & set(HEAVY)
    assert used <= MAY_IMPORT.get(room, set())


def modules_after(*command: str) -> tuple[set[str], str]:
    """Returns which heavy libraries a command has imported when it ends, and what it printed."""
    code = (
        "import runpy, sys\n"
        f"sys.argv = {list(command)!r}\n"
        "try:\n"
        "    runpy.run_module(sys.argv[0][:-3] if sys.argv[0].endswith('.py') else sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    print('exit', end.code)\n"
        f"print('heavy', *[name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.splitlines()[-1].split()[1:]), result.stdout


@pytest.mark.parametrize("command", [("launch.py", "--help"), ("agropest", "--help")])
def test_help_imports_nothing_heavy(command: tuple[str, ...]) -> None:
    heavy, printed = modules_after(*command)
    assert "usage:" in printed
    assert "exit 0" in printed
    assert heavy == set()


def test_no_path_of_a_machine_in_the_project() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    names = tracked or [str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*.py")]
    assert names
    words = ("/" + "root/", "/" + "work/")
    texts = {name: (ROOT / name).read_text(errors="replace") for name in names if (ROOT / name).is_file()}
    assert [name for name, text in texts.items() if any(word in text for word in words)] == []
