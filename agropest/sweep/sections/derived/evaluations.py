"""``evaluate:``: what trained variants come to under other settings of evaluation; nothing is trained for it.

evaluate:
  tta: {TEST.AUG.ENABLED: true}                                   # of every variant: baseline+tta, anchors+tta
  last: {checkpoint: last, of: [baseline]}                        # another checkpoint, of one variant
  nms: {MODEL.ROI_HEADS.NMS_THRESH_TEST: {each: [0.3, 0.4]}}      # +nms-0.3, +nms-0.4; of several keys each combination

Each is a variant with trials of its own (``TrialSpec.evaluates``): one evaluation of the checkpoint that validation
chose in the training of the variant before the plus sign, under the settings given here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agropest.errors import nearest
from agropest.sweep.detectron2_keys import FlatConfig, checked, default_config, flatten
from agropest.sweep.sections.search import MOST_VARIANTS
from agropest.sweep.sections.section import Section
from agropest.sweep.stages.training import is_evaluation_key
from agropest.sweep.unsupported import NOT_DONE, REPLACED

BEST, LAST = "best", "last"
EACH = ".each"
# It says when a training is evaluated, and here one checkpoint is, once.
WITHOUT_EFFECT = ("TEST.EVAL_PERIOD",)


@dataclass(frozen=True)
class EvaluationVariant:
    """One setting of evaluation, over one trained variant.

    Attributes:
        name: that of the trained variant, a plus sign, and its own.
        source: name of the trained variant.
        checkpoint: ``best``, ``last`` or an iteration.
        settings: dotted Detectron2 keys to values.
    """

    name: str
    source: str
    checkpoint: str = BEST
    settings: Mapping[str, Any] = field(default_factory=dict)


def read_evaluations(top: Section, names: Sequence[str]) -> list[EvaluationVariant]:
    """Returns what ``evaluate:`` comes to, in the order of the file; faults go to ``top``.

    Args:
        names: of the variants that the file writes down, each of which is evaluated where ``of`` does not say which.
    """
    section, found = top.section("evaluate"), list[EvaluationVariant]()
    for name in section.content:
        found += _crossed(str(name), section.section(name), names)
    if len(found) > MOST_VARIANTS:
        fix = "give fewer values, or name with `of:` the variants that are meant"
        top.fault("evaluate", f"expected at most {MOST_VARIANTS} evaluations", len(found), fix)
        return []
    taken = set(names)
    for one in found:
        if one.name in taken:
            section.fault(one.name, "expected a name that no other variant has", one.name, "rename it")
        taken.add(one.name)
    return found


def _crossed(name: str, section: Section, names: Sequence[str]) -> Iterator[EvaluationVariant]:
    """Yields one entry of the section over each variant that it is of."""
    checkpoint, sources = _checkpoint(section), _sources(section, names)
    rest = {key: value for key, value in section.content.items() if key not in section.known}
    plain: FlatConfig = {}
    lists: dict[str, list[Any]] = {}
    for key, value in flatten(rest).items():
        if not key.endswith(EACH):
            plain[key] = value
        elif isinstance(value, list) and value and all(isinstance(one, int | float) for one in value):
            lists[key.removesuffix(EACH)] = value
        else:
            section.fault(key, "expected a list of numbers", value, "write e.g. {each: [0.3, 0.4, 0.5]}")
    for source in sources:
        for chosen in itertools.product(*lists.values()):
            label = "-".join([f"{source}+{name}", *(f"{value:g}" for value in chosen)])
            settings = checked({**plain, **dict(zip(lists, chosen, strict=True))}, section.where, section.faults)
            yield EvaluationVariant(label, source, checkpoint, settings)
    _refuse_trained(section, [*plain, *lists])


def _refuse_trained(section: Section, keys: Sequence[str]) -> None:
    for key in keys:
        if key in WITHOUT_EFFECT:
            fix = "take it out: one checkpoint is evaluated"
            section.fault(key, "expected a key that one evaluation reads", key, fix)
        elif key in {**REPLACED, **NOT_DONE}:
            section.fault(key, "expected a key that decides something here", key, {**REPLACED, **NOT_DONE}[key])
        elif key in default_config() and not is_evaluation_key(key):
            rule, fix = "expected a key that only evaluation reads", "write it under `variants:`: it needs a training"
            section.fault(key, rule, key, fix)
    section.faults[:] = dict.fromkeys(section.faults)  # each source has had the same ones


def _checkpoint(section: Section) -> str:
    value = section.raw("checkpoint", BEST)
    is_iteration = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if value not in (BEST, LAST) and not is_iteration:
        rule, fix = "expected best, last or an iteration", "write e.g. checkpoint: last"
        section.fault("checkpoint", rule, value, fix)
        return BEST
    return str(value)


def _sources(section: Section, names: Sequence[str]) -> list[str]:
    value = section.raw("of", list(names))
    wanted = [value] if isinstance(value, str) else value
    if not isinstance(wanted, list) or not wanted:
        section.fault("of", "expected names of variants", value, "write e.g. of: [baseline]")
        return []
    for name in wanted:
        if name not in names:
            section.fault("of", "expected the name of a variant that is trained", name, nearest(str(name), names))
    return [name for name in wanted if name in names]
