"""``extend:``: variants that continue from where another variant's training ends.

extend: 40000                                    # every variant of the file: baseline-to-40000, anchors-to-40000
extend: {anchors: 40000}                         # one of them
extend: {anchors: {to: 40000, SOLVER.STEPS: [15000, 20000, 30000]}}    # with a step in the new part

Each is a variant with a larger ``SOLVER.MAX_ITER``. Its iterations up to the old end are the other variant's, bit for
bit, so they are not trained again (``sweep.stages``); where the schedule makes them others, it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agropest.errors import fault, nearest
from agropest.sweep.detectron2_keys import FlatConfig, checked, flatten
from agropest.sweep.sections.section import Section
from agropest.sweep.stages.rates import MULTI_STEP, num_equal, rate_schedule
from agropest.sweep.stages.training import SCHEDULE_KEYS

MAX_ITER, PATIENCE = "SOLVER.MAX_ITER", "TEST.PATIENCE"


@dataclass(frozen=True)
class Extension:
    """A longer training of one variant.

    Attributes:
        name: of the longer variant.
        source: name of the variant that it continues from.
        settings: Detectron2 keys of the schedule, ``SOLVER.MAX_ITER`` among them.
    """

    name: str
    source: str
    settings: Mapping[str, Any] = field(default_factory=dict)


def read_extensions(top: Section, names: Sequence[str]) -> list[Extension]:
    """Returns what ``extend:`` comes to; faults go to ``top``.

    Args:
        names: of the variants that the file writes down.
    """
    value = top.raw("extend")
    if value is None:
        return []
    content = value if isinstance(value, Mapping) else dict.fromkeys(names, value)
    section, found = Section(content, f"{top.where} extend", top.faults), list[Extension]()
    for name, longer in content.items():
        if name not in names:
            section.fault(str(name), "expected the name of a variant", name, nearest(str(name), names))
            continue
        its = Section(longer if isinstance(longer, Mapping) else {"to": longer}, f"{section.where}.{name}", top.faults)
        end = its.integer("to", 0)
        if end:
            rest = {key: its.content[key] for key in its.content if key != "to"}
            settings = checked(flatten(rest), its.where, top.faults)
            _refuse_others(its, settings)
            found.append(Extension(f"{name}-to-{end}", str(name), {**settings, MAX_ITER: end}))
        elif "to" not in its.content:
            its.fault("to", "expected the iteration at which it ends", None, "write e.g. {to: 40000}")
    top.faults[:] = dict.fromkeys(top.faults)  # one value for every variant has the same fault each time
    for one in found:
        if one.name in names:
            section.fault(one.source, f"expected no variant called {one.name}", one.name, "rename that one")
    return found


def _refuse_others(section: Section, settings: FlatConfig) -> None:
    for key in settings:
        if key == MAX_ITER:
            section.fault(key, "expected `to` instead", settings[key], "take it out")
        elif key not in SCHEDULE_KEYS:
            fix = "write it under `variants:`: with another value the training is another one from the start"
            section.fault(key, "expected a key of the schedule", key, fix)


def not_prolonged(source: Mapping[str, Any], longer: Mapping[str, Any], where: str) -> list[str]:
    """Returns the fault of a longer schedule whose beginning is another one; none where it continues the source.

    Args:
        source: effective config of the variant that ends earlier.
        longer: of the one that is to continue it.
        where: names the place in the file.
    """
    start, end = int(source[MAX_ITER]), int(longer[MAX_ITER])
    if source[PATIENCE]:
        rule = f"expected a training that ends at its schedule's end, and {PATIENCE} may end it before"
        return [fault(where, rule, source[PATIENCE], f"set {PATIENCE}: 0, or write the longer one under `variants:`")]
    if end <= start:
        rule = f"expected more iterations than the {start} that are trained"
        fix = "give a larger number, or take it out"
        if source["SOLVER.LR_SCHEDULER_NAME"] != MULTI_STEP:
            fix = f"take it out: {source['SOLVER.LR_SCHEDULER_NAME']} depends on its length, and cannot be prolonged"
        return [fault(where, rule, end, fix)]
    schedules = rate_schedule(source), rate_schedule(longer)
    common = 0 if schedules[0] is None or schedules[1] is None else num_equal(schedules[0], schedules[1])
    if common >= start:
        return []
    fix = "write it under `variants:`, where it is trained from the start"
    if source["SOLVER.LR_SCHEDULER_NAME"] == MULTI_STEP:
        rule = f"expected the learning rates of all {start} iterations to stay, and iteration {common + 1} has another"
        return [fault(where, rule, longer["SOLVER.STEPS"], f"leave the steps before {start} as they are, or {fix}")]
    rule = "expected a schedule that can be prolonged: this one depends on its length"
    return [fault(where, rule, source["SOLVER.LR_SCHEDULER_NAME"], fix)]
