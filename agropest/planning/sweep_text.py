"""A first sweep as the YAML a person continues with: every value with its reason in a comment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agropest.data.set_apart import SetApart
from agropest.planning.first_sweep import FirstSweep, Value
from agropest.sweep.sections.seed_rule import DECIDED


def sweep_text(
    sweep: FirstSweep, name: str, data: Path, configs: str, num_images: dict[str, int], split: SetApart | None = None
) -> str:
    """Returns the sweep file.

    Args:
        name: of the data set, for the question.
        data: its folder, as it is written into the file.
        configs: the folder of the base configs, as it is written into the file.
        num_images: by split.
        split: what of the training pictures is validated on, where the data set has no split for that.
    """
    number, seeds = len(sweep.variants), sweep.seeds
    until_decided = f"{{start: {seeds.start}, most: {seeds.most}, until: {DECIDED}}}"
    counts = ", ".join(f"{count} {split}" for split, count in num_images.items())
    lines = [
        f"# Question: which of a few usual changes help on {_one_line(name)}?",
        f"# Data:     {counts} images. Proposed by `python -m agropest start`; every value is yours to change.",
        f"# Cost:     {number * seeds.start} trainings of {sweep.max_iter} iterations to begin with "
        f"({number} variants, {seeds.start} seeds); --plan --probe measures how long that takes here.",
        f"#           At most {number * seeds.most} trainings, if no verdict were clear before {seeds.most} seeds.",
        *(f"# {line}" for line in sweep.plain),
        f"question: {_yaml(f'Which of a few usual changes help on {_one_line(name)}?')}",
        f"data: {_yaml(str(data))}",
        *([f"split: {{{split.in_words()}}}  # the data set has no validation split"] if split else []),
        f"base: {_yaml(f'{configs}/{sweep.base}')}",
        "baseline: baseline",
        f"seeds: {until_decided}  # one seed cannot tell a change from luck",
        "metric: AP",
        "",
        "config:",
        *_commented(sweep.values),
        "",
        "variants:",
    ]
    for variant in sweep.variants:
        lines.append(f"  {variant.label}:{'' if variant.overrides else ' {}'}  # {_one_line(variant.why)}")
        lines += [f"    {key}: {_yaml(value)}" for key, value in variant.overrides.items()]
    lines += ["", "resources: auto  # short probes measure how many trials fit beside each other", ""]
    return "\n".join(lines)


def _commented(values: Sequence[Value]) -> list[str]:
    entries = [f"  {one.key}: {_yaml(one.value)}" for one in values]
    width = max(map(len, entries))
    return [f"{line:<{width}}  # {_one_line(one.why)}" for line, one in zip(entries, values, strict=True)]


def _yaml(value: Any) -> str:
    """Returns a value in YAML's flow style, which JSON is."""
    return json.dumps(value, ensure_ascii=False)


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
