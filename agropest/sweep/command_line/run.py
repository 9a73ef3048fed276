"""A launch that changes the question of its sweep file is a run of its own, with a folder of its own.

``results/<sweep>`` is the folder of the file as it is. What ``--set`` and ``--data`` change makes the name of a run:
``results/demo+SOLVER.MAX_ITER=40``. Equal changes have equal names, so giving a command again continues its run.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from agropest.files import from_here
from agropest.sweep.command_line.settings import apply_settings
from agropest.sweep.spec import LABEL, SweepSpec
from agropest.sweep.trial import NOT_IDENTITY
from agropest.sweep.yaml_file import parse_yaml, read_yaml

LONGEST = 80  # letters of a folder's name
# Keys of the sweep file that say how a launch runs, and nothing of what it asks.
HOW = ("resources", "retries", "budget", "track", "silence", "keep_checkpoints", "question", "name", "data")
# Files that a machine has under another path: the name says whether it is the same one.
FILES = ("MODEL.WEIGHTS", "MODEL.TIMM.WEIGHTS")


@dataclass(frozen=True)
class Run:
    """Which launch of a sweep file this is.

    Attributes:
        sweep: the name in the file.
        changes: ``KEY=VALUE`` that differ from the file; empty: it is launched as it is.
        added: variants that the command line adds.
        known: variants of the file, where it adds some.
        is_named: the name was given (``--name``, ``--set name=``), not made of the changes.
        taken: folder's name that this run would have, did it not hold the page of another data set; empty: it does not.
    """

    sweep: str
    changes: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    is_named: bool = False
    taken: str = ""

    @property
    def name(self) -> str:
        """The folder's name in the results folder."""
        exact = "+".join([self.sweep, *self.changes])
        if len(exact) <= LONGEST and LABEL.fullmatch(exact):
            return exact
        digest = hashlib.sha256("\n".join(self.changes).encode()).hexdigest()[:8]
        words = re.sub(r"[^A-Za-z0-9._+=-]+", "_", exact).strip("_")
        return f"{words[: LONGEST - len(digest) - 1].rstrip('_')}-{digest}"

    def on_data(self, words: str) -> Run:
        """Returns the run that has a folder of its own for its data, because another data set's page has this one's.

        Args:
            words: of the data, for the name.
        """
        changes = [one for one in self.changes if not one.startswith("data=")]
        return replace(self, changes=tuple(sorted([*changes, f"data={words}"])), taken=self.taken or self.name)

    def in_words(self, folder: Path) -> list[str]:
        """Returns which variants are new, and where the results go where that is not the sweep's own folder."""
        if folder.name == self.sweep or not self.sweep:
            return self.added_in_words()
        shown = from_here(folder)
        why, left = "named on the command line", shown.parent / (self.taken or self.sweep)
        if self.changes:
            why = f"{', '.join(self.changes)} on the command line"
        if self.taken:
            why = f"{left} is of another data set"
        stays = f"{left} stays as it is; " if (folder.parent / left.name).is_dir() else ""
        place = f"run: {shown} ({why}; {stays}the same command continues)"
        return [*self.added_in_words(), place]

    def added_in_words(self) -> list[str]:
        """Returns a sentence for each variant that is not in the file: it may be a slip."""
        lines = []
        for name in self.added:
            close = get_close_matches(name, self.known, n=1)
            meant = f"did you mean {close[0]!r}? the file has" if close else "the file has"
            lines.append(f"new variant on the command line: {name} ({meant} {', '.join(self.known) or 'none'})")
        return lines


AS_IT_IS = Run("")


def run_of(spec: SweepSpec, settings: Sequence[str], data: Path | None, name: str = "") -> tuple[SweepSpec, Run]:
    """Returns the sweep under the name of its run, and the run.

    Args:
        spec: read with ``settings``.
        settings: ``KEY=VALUE`` words of the command line.
        data: the folder given beside them.
        name: given for this launch, over any other.
    """
    content = read_yaml(spec.path)
    changes = _changes(spec, content, settings)
    given = data or (spec.data if any(word.startswith("data=") for word in settings) else None)
    if given is not None and (own := _data_name(content)) and given.name.casefold() != own.casefold():
        changes["data"] = given.name
    words = tuple(f"{key}={changes[key]}" for key in sorted(changes))
    is_named = bool(name) or any(word.startswith("name=") for word in settings)
    added, known = _added(spec, content, settings)
    run = Run(str(content.get("name", spec.path.stem)), words, added, known, is_named)
    return replace(spec, name=name or (spec.name if is_named else run.name)), run


def _added(
    spec: SweepSpec, content: Mapping[Any, Any], settings: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the variants that ``variants.<name>.KEY=VALUE`` adds, and those of the file."""
    own = content.get("variants")
    known = tuple(map(str, own)) if isinstance(own, Mapping) else ()
    named = any(word.startswith("variants.") for word in settings)
    added = tuple(one.name for one in spec.variants if one.name not in known and not one.levels) if named else ()
    return added, known if added else ()


def _changes(spec: SweepSpec, content: Mapping[Any, Any], settings: Sequence[str]) -> dict[str, str]:
    """Returns the settings that ask something else than the file, by key."""
    changes: dict[str, str] = {}
    for word in settings:
        key, _, text = word.partition("=")
        value = parse_yaml(text, key)
        if key[0].isupper():
            is_other = _is_other(spec, key, value)
        else:
            is_other = key.split(".")[0] not in HOW and apply_settings(dict(content), [word], [])[0] != content
        changes.pop(key, None)
        if is_other:
            changes[key] = _short(value)
    return changes


def _is_other(spec: SweepSpec, key: str, value: Any) -> bool:
    """Returns whether a Detectron2 key with this value changes what some variant is trained with."""
    if key in NOT_IDENTITY and key not in FILES and key != "MODEL.ANCHOR_GENERATOR.FITTED":
        return False
    general = spec.config.get(key, spec.base.get(key))
    own = [variant.overrides.get(key, general) for variant in spec.variants]
    if key in FILES:
        return any(Path(str(one)).name != Path(str(value)).name for one in own)
    return any(_short(one) != _short(value) for one in own)


def _short(value: Any) -> str:
    """Returns a value as one word: ``[1, 2]`` as ``1_2``, 0.020 as 0.02."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple) and all(isinstance(one, int | float) for one in value):
        return "_".join(map(_short, value))
    return str(value)


def _data_name(content: Mapping[Any, Any]) -> str:
    """Returns the name of the folder that the file says the data is in, or of several versions; empty: of none."""
    data = content.get("data")
    folders = list(data.values()) if isinstance(data, Mapping) else [data]
    return "+".join(Path(folder).name for folder in folders if isinstance(folder, str))
