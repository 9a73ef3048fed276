"""``command:`` of a variant: another framework's training, as the words of a command and the files it is made of.

    variants:
      fcos:
        command: [python, train_torchvision.py, --model, fcos_resnet50_fpn]
        files: [more_of_it.py]             # what decides its numbers beside the files among the words

A command's trial is a trial like any other. Its config holds the command under two keys that Detectron2 does not have,
so that signature, tables and forecasts tell it from every other trial. Of Detectron2's keys it obeys ``OBEYED``; the
others have Detectron2's defaults, whatever the sweep's base is.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agropest.errors import fault
from agropest.sweep.detectron2_keys import FlatConfig, default_config
from agropest.sweep.sections.resources import Resources
from agropest.sweep.sections.section import Section

# Keys of a trial's config.
RUN, FILES = "COMMAND.RUN", "COMMAND.FILES"
OBEYED = ("SOLVER.MAX_ITER", "TEST.EVAL_PERIOD", "TEST.DETECTIONS_PER_IMAGE", "TEST.DEPLOYED_SCORE_THRESH")
# What tells a command's trial from another trial.
COMPARED = (RUN, FILES, "DATASETS.TRAIN", *OBEYED)
# Nothing is known of its learning rates, and it has no weights that are fetched here.
UNKNOWN = {"SOLVER.LR_SCHEDULER_NAME": "", "SOLVER.WARMUP_ITERS": 0, "MODEL.WEIGHTS": "", "MODEL.TIMM.WEIGHTS": ""}
PYTHON = "python"


@dataclass(frozen=True)
class Command:
    """What is run, as the sweep file has it.

    Attributes:
        words: the program and its arguments; ``python`` is the Python that runs the sweep.
        files: named beside them, relative to the sweep file.
    """

    words: tuple[str, ...]
    files: tuple[str, ...] = ()


def is_command(config: Mapping[str, Any]) -> bool:
    """Returns whether a trial's config is that of a command."""
    return RUN in config


def read_command(section: Section) -> Command | None:
    """Returns the command of a variant, None where it has none."""
    words, named = (_words(section, key) for key in ("command", "files"))
    if "command" not in section.content:
        if named:
            section.fault("files", "expected `command:` beside it", list(named), "take it out, or give the command")
        return None
    if not words:
        section.fault("command", "expected at least a program", [], "write e.g. [python, train.py, --model, fcos]")
        return None
    return Command(words, named)


def _words(section: Section, key: str) -> tuple[str, ...]:
    value = section.raw(key, [])
    if isinstance(value, list) and all(isinstance(word, str | int | float) for word in value):
        return tuple(str(word) for word in value)
    section.fault(key, "expected a list of words", value, "write e.g. [python, train.py, --model, fcos]")
    return ()


def command_config(command: Command, folder: Path, obeyed: Mapping[str, Any], num_classes: int) -> FlatConfig:
    """Returns the effective config of a command's trial; the seed is still the default.

    Args:
        folder: the sweep file's.
        obeyed: the sweep's values of the keys that a command obeys; others are not looked at.
    """
    return {
        **default_config(),
        **UNKNOWN,
        **{key: obeyed[key] for key in OBEYED},
        "MODEL.ROI_HEADS.NUM_CLASSES": num_classes,
        "MODEL.RETINANET.NUM_CLASSES": num_classes,
        RUN: list(command.words),
        FILES: [f"{name} sha256:{digest(folder / name)}" for name in _named_files(command, folder)],
    }


def _named_files(command: Command, folder: Path) -> Iterator[str]:
    """Yields the files that a command is made of: those that are named, and those among its words."""
    among_words = [word for word in command.words if _is_file(folder / word)]
    yield from dict.fromkeys([*among_words, *(name for name in command.files if _is_file(folder / name))])


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a word that no file can be called
        return False


def digest(path: Path) -> str:
    """Returns the first 32 hex digits of a file's SHA-256."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def changed_files(config: Mapping[str, Any], folder: Path) -> list[str]:
    """Returns the files of a command that are gone, or not those that its trial's signature was computed from."""
    found = []
    for line in config[FILES]:
        name, _, kept = line.rpartition(" sha256:")
        if not _is_file(folder / name) or digest(folder / name) != kept:
            found.append(name)
    return found


def program(words: Sequence[str], folder: Path) -> str | None:
    """Returns the path of the program that a command names, None where there is none."""
    if words[0] == PYTHON:
        return sys.executable
    beside = folder / words[0]
    return shutil.which(str(beside) if "/" in words[0] else words[0])


def refuse_impossible(
    command: Command, overrides: Mapping[str, Any], resources: Resources, folder: Path, where: str, faults: list[str]
) -> None:
    """Adds a fault for everything that a variant says beside its command, and that no command can have.

    Args:
        overrides: the variant's own Detectron2 keys.
        resources: of its trials.
        folder: the sweep file's.
        where: names the variant.
        faults: is extended.
    """
    for key, value in overrides.items():
        if key not in OBEYED:
            fix = f"give it to the program as a word of `command:`; the command gets {', '.join(OBEYED)}"
            faults.append(fault(f"{where}: {key}", "expected no Detectron2 key beside a command", value, fix))
    if program(command.words, folder) is None:
        rule = f"expected a program, in {folder} or on the PATH"
        faults.append(fault(f"{where}: command", rule, command.words[0], "install it, or correct the word"))
    for name in command.files:
        if not _is_file(folder / name):
            faults.append(fault(f"{where}: files", f"expected files in {folder}", name, "paths are the sweep file's"))
    if resources.auto or resources.processes > 1:
        rule, fix = "expected numbers, and one process, beside a command", "write e.g. {cpus: 2, gpus: 0.5}"
        faults.append(fault(f"{where}: resources", rule, resources.in_words(), fix))
