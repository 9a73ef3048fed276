"""Every command, link and YAML example of the README and docs/ is one that works, read as its program would read it."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from agropest.command_line import build_parser, command_parser
from agropest.errors import SweepFileError
from agropest.sweep.spec import load_sweep

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OURS = ("python", "make", "ray", "pip", "RAY_AUTH_MODE=token", "nohup")
# Programs of others: their options are theirs, but the files of this repository that they are given must be there.
THEIRS = ("git", "ssh", "scp", "tensorboard", "kubectl", "aws", "pre-commit", "prometheus", "cd", "tmux", "export")
# Commands of this project within a sentence or a table.
INLINE = re.compile(r"`(python (?:launch\.py|-m agropest)\s[^`]+)`")
# Commands shown with the error they give.
SHOWN_TO_FAIL = ("SOLVER.BASE_LP=0.1",)


def commands(page: Path) -> list[str]:
    """Returns a page's commands, split at ``&&``: indented lines, ```bash blocks, and our own in sentences."""
    lines, prose, fence = [], [], ""
    for line in page.read_text().splitlines():
        if line.startswith("```"):
            fence = "" if fence else line.removeprefix("```") or "text"
        elif fence == "bash" or (line.startswith("    ") and not fence):
            lines.append(re.sub(r"\s+# .*$", "", line.strip()))
        elif not fence:
            prose.append(line)
    lines += [" ".join(text.split()) for text in INLINE.findall("\n".join(prose))]
    parts = [part.strip() for text in lines for part in re.split(r"&&(?=(?:[^']*'[^']*')*[^']*$)", text)]  # unquoted
    return list(dict.fromkeys(text for text in parts if text.split(" ")[0] in (*OURS, *THEIRS)))


ALL = [(page, text) for page in PAGES for text in commands(page)]


def words_of(text: str) -> list[str]:
    """Returns a command's words without what is around it: environment, nohup, redirection, ``...`` and brackets."""
    words = shlex.split(text)
    while words and (words[0] in ("nohup", ".") or re.fullmatch(r"[A-Z_]+=\S*", words[0])):
        words = words[1:]
    for end in (">", "&", "|", ">>"):
        if end in words:
            words = words[: words.index(end)]
    return words


def test_there_are_commands_to_check() -> None:
    programs = {words_of(text)[0] for _, text in ALL}
    assert {"python", "make", "ray", "tensorboard"} <= programs
    assert len(ALL) > 60
    read = {text for _, text in ALL}
    assert "python -m agropest convert data/demo --out converted" in read  # in a block of its own
    assert "python -m agropest summarize A.json --gt GT.json" in read  # in a sentence


@pytest.mark.parametrize(("page", "text"), ALL, ids=[f"{page.name}: {text}" for page, text in ALL])
def test_the_command_is_one(page: Path, text: str) -> None:
    if "[--" in text:  # a synopsis
        known = command_parser("launch", "launch.py").format_help()
        if "-m agropest" in text:
            known = agropest_help(text.split()[3])
        for flag in re.findall(r"--[a-z-]+", text):
            assert flag in known
        return
    words = words_of(text)
    for word in words:
        if re.match(r"(sweeps|clusters|configs|docs|benchmarks|checks|tests)/", word):
            assert (ROOT / word).exists(), word
    if words[0] == "python":
        check_python(words[1:])
    elif words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M)
        assert {word for word in words[1:] if "=" not in word} <= set(targets)
    elif words[0] == "ray":
        check_ray(words[1:])
    elif words[:2] == ["pip", "install"] and "-r" in words:
        assert (ROOT / words[words.index("-r") + 1]).is_file()


def agropest_help(command: str) -> str:
    """Returns the help of a command of ``python -m agropest``."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), pytest.raises(SystemExit):
        build_parser().parse_args([command, "--help"])
    return printed.getvalue()


def is_mention(words: list[str]) -> bool:
    """Returns whether ``-m agropest COMMAND`` is only named, without the data it takes."""
    return words[:2] == ["-m", "agropest"] and len(words) == 3 and words[2] != "install-detectron2"


def check_python(words: list[str]) -> None:
    if words[0] == "launch.py":
        arguments = command_parser("launch", "launch.py").parse_args(words[1:])
        if arguments.sweep.parts[0] != "sweeps":
            return  # a placeholder
        try:
            load_sweep(ROOT / arguments.sweep, arguments.settings)
        except SweepFileError:
            assert any(word in words for word in SHOWN_TO_FAIL)
        else:
            assert not any(word in words for word in SHOWN_TO_FAIL)
    elif words[:2] == ["-m", "agropest"]:
        if is_mention(words):
            assert agropest_help(words[2])
        else:
            build_parser().parse_args(words[2:])
    elif words[0] == "-m":
        assert shutil.which(words[1], path=str(Path(sys.executable).parent)) or __import__(words[1])
    else:
        assert (ROOT / words[0]).is_file(), words[0]


def benchmarks_named() -> list[tuple[Path, str, list[str]]]:
    """Returns page, module and options of every `python -m benchmarks.x --option` within a line."""
    found = []
    for page in PAGES:
        for module, rest in re.findall(r"`python -m benchmarks\.(\w+(?:\.\w+)*)([^`]*)`", page.read_text()):
            found.append((page, module, re.findall(r"--[a-z-]+", rest)))
    return found


def test_every_benchmark_named_is_there_with_its_options() -> None:
    named = benchmarks_named()
    assert len(named) > 5
    for page, module, options in named:
        place = (ROOT / "benchmarks").joinpath(*module.split("."))
        source = (place / "__main__.py" if place.is_dir() else place.with_suffix(".py")).read_text()
        for option in options:
            assert f'"{option}"' in source, (page.name, module, option)


def check_ray(words: list[str]) -> None:
    """Parses a command of Ray's command line, with Ray's own parser, without running it."""
    import click
    from ray.scripts.scripts import cli

    command, name = cli, ""
    context = click.Context(cli)
    while isinstance(command, click.Group):
        name, words = words[0], words[1:]
        found = command.get_command(context, name)
        assert found is not None, f"ray has no command {name}"
        command = found
    if "--" in words:
        entry = words.index("--")
        check_python(words[entry + 2 :])
    command.make_context(name, list(words))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


BLOCKS = [
    (page, block) for page in PAGES for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), flags=re.M | re.S)
]


@pytest.mark.parametrize(("page", "block"), BLOCKS, ids=[f"{page.name}: {block[:30]!r}" for page, block in BLOCKS])
def test_yaml_examples_load(page: Path, block: str, tmp_path: Path) -> None:
    """A block of the sweep file's keys becomes a sweep, with a baseline where it names no variants."""
    content = yaml.safe_load(block)
    assert isinstance(content, dict), block
    reference = content.pop("reference", None)  # its runs are held against variants that an excerpt does not show
    if isinstance(reference, str):
        assert (ROOT / "docs" / reference).is_file()
    if any(str(key)[0].isupper() for key in content):
        content = {"config": content}
    if not {"variants", "factors", "search"} & set(content):
        content["variants"] = {"baseline": {}}
    if "factors" in content or "search" in content:
        content.setdefault("variants", {"baseline": {}})
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    (tmp_path / "sweeps").mkdir()
    sweep = tmp_path / "sweeps" / "example.yaml"
    sweep.write_text(yaml.safe_dump(content))
    load_sweep(sweep)


def test_cluster_files_are_what_they_say() -> None:
    """The cluster launcher's own schema; for Kubernetes the form; the Grafana dashboard shows metrics that exist."""
    import json

    import jsonschema
    import ray

    from agropest.tuning.watch.metrics import GAUGES

    folder = ROOT / "clusters"
    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    jsonschema.validate(yaml.safe_load((folder / "ray-up.yaml").read_text()), json.loads(schema.read_text()))
    kuberay = yaml.safe_load((folder / "kuberay.yaml").read_text())
    assert (kuberay["kind"], kuberay["spec"]["authOptions"]) == ("RayCluster", {"mode": "token"})
    assert kuberay["spec"]["headGroupSpec"]["rayStartParams"]["dashboard-host"] == "127.0.0.1"
    assert kuberay["spec"]["workerGroupSpecs"][0]["minReplicas"] >= 1  # no node that fits: the launch is refused
    assert yaml.safe_load((folder / "ray-up.yaml").read_text())["available_node_types"]["gpu"]["min_workers"] >= 1
    dashboard = json.loads((folder / "monitoring" / "grafana-dashboard.json").read_text())
    shown = {name for panel in dashboard["panels"] for name in re.findall(r"ray_(\w+)\{", panel["targets"][0]["expr"])}
    assert shown == set(GAUGES)
    prometheus = yaml.safe_load((folder / "monitoring" / "prometheus.yml").read_text())
    assert prometheus["scrape_configs"][0]["http_sd_configs"][0]["url"] == "http://127.0.0.1:8265/api/prometheus/sd"
