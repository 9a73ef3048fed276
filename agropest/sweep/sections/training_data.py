"""``data:``, ``split:`` and ``data_fraction:``: which pictures are trained on, and which of them are validated on.

split: {valid: 0.15, seed: 0}                      # for a data set without a validation split
data: {v1: ../data/v1, v2: ../data/v2}             # every variant on each; all are validated and tested by the first
variants:
  tenth: {data_fraction: 0.1}                      # of the training pictures; validation and test stay whole
  other_tenth: {data_fraction: {share: 0.1, seed: 1}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agropest import files
from agropest.data.set_apart import SetApart
from agropest.data.training_sets.selection import WHOLE, TrainingSelection
from agropest.sweep.factors import APPLIED, BASE_LEVEL
from agropest.sweep.sections.section import Section

if TYPE_CHECKING:
    from agropest.sweep.spec import Variant

DRAW_DEMO = "draw_demo"
DATA_FRACTION = "data_fraction"
LEAST_SHARE = 1e-4


def read_data(top: Section, sweep_file: Path) -> tuple[dict[str, Path], bool]:
    """Returns the folders of the data's versions by name, and whether the demo set is drawn where nothing is.

    One data set without a name has the name "".
    """
    given = top.raw("data")
    if not isinstance(given, Mapping):
        folder = read_path(top, "data", sweep_file)
        return ({"": folder} if folder else {}), False
    section = top.section("data")
    if len(given) < 2 or DRAW_DEMO in given:
        folder = read_path(section, DRAW_DEMO, sweep_file)
        if folder is None and DRAW_DEMO not in section.content:
            section.fault(DRAW_DEMO, "expected a folder to draw the demo set into", None, "or write `data: DIR`")
        section.refuse_unknown()
        return ({"": folder} if folder else {}), True
    versions = {str(name): read_path(section, name, sweep_file) for name in given}
    for name, folder in versions.items():
        if folder is None:
            section.fault(name, "expected the folder of a data set", given.get(name), "write `NAME: DIR`")
    return {name: folder for name, folder in versions.items() if folder}, False


def read_path(section: Section, key: str, sweep_file: Path) -> Path | None:
    """Returns the path under a key, relative to the sweep file; None where there is none."""
    value = section.text(key)
    if len(value) > 4000 or "\0" in value:
        section.fault(key, "expected a path", value, "no path is that long or holds a zero byte")
        return None
    return (sweep_file.parent / files.without_tilde(value)).resolve() if value else None


def read_fraction(section: Section) -> TrainingSelection:
    """Returns what of the training pictures a variant trains on."""
    given = section.raw(DATA_FRACTION)
    if given is None:
        return WHOLE
    if not isinstance(given, Mapping):
        return TrainingSelection(share=section.number(DATA_FRACTION, 1.0, LEAST_SHARE, 1.0))
    inner = section.section(DATA_FRACTION)
    if "share" not in inner.content:
        inner.fault("share", "expected a share of the training pictures", None, "write share: 0.1")
    selection = TrainingSelection(share=inner.number("share", 1.0, LEAST_SHARE, 1.0), seed=inner.integer("seed", 0))
    inner.refuse_unknown()
    return WHOLE if selection.is_whole else selection


def read_split(top: Section) -> SetApart | None:
    """Returns what of the training pictures is validated on; None where the data set has a split for that."""
    if top.raw("split") is None:
        return None
    section = top.section("split")
    if "valid" not in section.content:
        section.fault("valid", "expected the share of the training pictures", None, "write valid: 0.15")
    split = SetApart(section.number("valid", 0.15, 0.001, 0.9), section.integer("seed", 0))
    section.refuse_unknown()
    return split


def crossed(variants: Sequence[Variant], versions: Sequence[str], baseline: str, drawn: bool) -> tuple[Variant, ...]:
    """Returns every variant on every version of the data; on the first it keeps its name.

    The version is a factor like those of ``factors:``, and so is each written variant, so that the effect of a version
    is computed as theirs are.

    Args:
        drawn: whether a search draws variants: these are no factors.
    """
    if len(versions) < 2:
        return tuple(variants)
    others = [variant.name for variant in variants if variant.name != baseline]
    has_factors = drawn or any(variant.levels for variant in variants)
    found = []
    for number, version in enumerate(versions):
        for variant in variants:
            name = f"{variant.name}+{version}" if number else variant.name
            own = variant.levels if has_factors else {n: _level(n == variant.name) for n in others}
            of_data = {f"data={other}": _level(other == version) for other in versions[1:]}
            levels = {**own, **of_data} if own or not has_factors else {}
            training = replace(variant.training, version=version if number else "")
            found.append(replace(variant, name=name, levels=levels, training=training))
    return tuple(found)


def _level(is_applied: bool) -> str:
    return APPLIED if is_applied else BASE_LEVEL
