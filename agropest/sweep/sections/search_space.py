"""What ``space:`` of a search holds beside distributions of single keys: choices of several keys, and conditions.

space:
  optimizer:                          # a name of one's own: each choice sets several keys
    choice:
      sgd: {SOLVER.OPTIMIZER: SGD}
      adamw: {SOLVER.OPTIMIZER: AdamW, SOLVER.WEIGHT_DECAY: 0.05}
  SOLVER.MOMENTUM: {uniform: [0.8, 0.95], when: {optimizer: sgd}}
  MODEL.ROI_BOX_HEAD.CLS_LOSS: {choice: [cross_entropy, softmax_focal]}
  MODEL.ROI_BOX_HEAD.FOCAL_GAMMA: {uniform: [1.0, 3.0], when: {MODEL.ROI_BOX_HEAD.CLS_LOSS: softmax_focal}}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agropest.errors import fault, nearest
from agropest.sweep.detectron2_keys import FlatConfig, checked, coerce, flatten
from agropest.sweep.sections.distributions import CHOICE, Distribution, read_distribution
from agropest.sweep.sections.section import Section

WHEN = "when"
Point = Mapping[str, Any]


@dataclass(frozen=True)
class SearchSpace:
    """What a search draws.

    Attributes:
        laws: name to its distribution, in the file's order. A name is a Detectron2 key, or one of ``choices``.
        choices: name of the file's own to what each of its choices sets.
        conditions: name to what others must have come to for it to count: their names to the values that let it.
    """

    laws: Mapping[str, Distribution] = field(default_factory=dict)
    choices: Mapping[str, Mapping[str, FlatConfig]] = field(default_factory=dict)
    conditions: Mapping[str, Mapping[str, tuple[Any, ...]]] = field(default_factory=dict)

    @property
    def is_plain(self) -> bool:
        """Whether every name is a Detectron2 key that always counts."""
        return not self.choices and not self.conditions

    @property
    def keys(self) -> frozenset[str]:
        """The Detectron2 keys that a point may set."""
        of_choices = {key for its in self.choices.values() for config in its.values() for key in config}
        return frozenset(of_choices | (set(self.laws) - set(self.choices)))

    def overrides(self, point: Point) -> FlatConfig:
        """Returns the Detectron2 keys that a drawn point sets: without those whose condition does not hold."""
        found: FlatConfig = {}
        for name in self.laws:
            if self._counts(name, point):
                found.update(self.choices[name][point[name]] if name in self.choices else {name: point[name]})
        return found

    def _counts(self, name: str, point: Point) -> bool:
        return all(
            point[other] in values and self._counts(other, point)
            for other, values in self.conditions.get(name, {}).items()
        )


def read_search_space(section: Section) -> SearchSpace:
    """Returns the space of a search; each value that it could give is checked against its Detectron2 key."""
    laws: dict[str, Distribution] = {}
    choices: dict[str, Mapping[str, FlatConfig]] = {}
    conditional = []
    for name in map(str, section.content):
        value = section.raw(name)
        if isinstance(value, Mapping) and WHEN in value:
            conditional.append(name)
            value = {kind: arguments for kind, arguments in value.items() if kind != WHEN}
        if _is_own_name(name, value):
            if its := _read_choices(section.section(name).section(CHOICE)):
                choices[name], laws[name] = its, Distribution(CHOICE, tuple(its))
        elif (law := read_distribution(section, name, value)) is not None:
            laws[name] = law
    conditions = {name: _read_conditions(section.section(name).section(WHEN), name, laws) for name in conditional}
    _refuse_circles(conditions, section)
    space = SearchSpace(laws, choices, conditions)
    _refuse_twice(space, section)
    return space


def _is_own_name(name: str, value: Any) -> bool:
    return not name[:1].isupper() and isinstance(value, Mapping) and isinstance(value.get(CHOICE), Mapping)


def _read_choices(section: Section) -> dict[str, FlatConfig]:
    found = {}
    for label in section.content:
        its = section.section(label)
        found[str(label)] = checked(flatten(its.content), its.where, section.faults)
    if not found:
        section.faults.append(
            fault(section.where, "expected at least one choice", None, "name one and the keys it sets")
        )
    return found


def _read_conditions(section: Section, of: str, laws: Mapping[str, Distribution]) -> dict[str, tuple[Any, ...]]:
    found = {}
    for name in map(str, section.content):
        law, value = laws.get(name), section.raw(name)
        if law is None or law.kind != CHOICE or name == of:
            rule = "expected another name of the space that has choices"
            choosing = [other for other, its in laws.items() if its.kind == CHOICE and other != of]
            section.fault(name, rule, name, nearest(name, choosing))
            continue
        wanted = value if isinstance(value, list) else [value]
        values = tuple(_as_chosen(name, one, law) for one in wanted)
        for one in values:
            if one not in law.arguments:
                section.fault(name, "expected values that it may come to", one, f"it has {list(law.arguments)}")
        found[name] = values
    return found


def _as_chosen(name: str, value: Any, law: Distribution) -> Any:
    """Returns a value of a condition as the choice has it: 0.0 for 0, a label as text."""
    if not name[:1].isupper():
        return str(value)
    try:
        return coerce(name, value)
    except ValueError:
        return value


def _refuse_circles(conditions: dict[str, dict[str, tuple[Any, ...]]], section: Section) -> None:
    """Refuses conditions that wait for each other, and takes them out: none of them could be decided."""
    decided: set[str] = set()
    while now := [
        name for name, its in conditions.items() if name not in decided and not its.keys() & conditions.keys() - decided
    ]:
        decided.update(now)
    for name in [name for name in conditions if name not in decided]:
        fix = "let one of the names always count"
        section.section(name).fault(WHEN, "expected conditions that go in no circle", list(conditions[name]), fix)
        del conditions[name]


def _refuse_twice(space: SearchSpace, section: Section) -> None:
    """Refuses a Detectron2 key that two names of a space set: which of them counted would be anybody's guess."""
    setters = Counter(name for name in space.laws if name not in space.choices)
    for its in space.choices.values():
        setters.update({key for config in its.values() for key in config})
    for key in sorted(key for key, number in setters.items() if number > 1):
        section.fault(key, "expected one place of the space that sets it", key, "take it out of the others")
