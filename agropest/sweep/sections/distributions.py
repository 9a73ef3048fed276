"""What a key of a search space may be: distributions written as in Ray Tune, drawn without it.

    SOLVER.BASE_LR: {loguniform: [1e-4, 1e-2]}
    SOLVER.WEIGHT_DECAY: {choice: [0.0, 0.0001]}
    MODEL.ROI_BOX_HEAD.NUM_FC: {randint: [1, 4]}         # 1, 2 or 3: Tune's upper end is not drawn
    SOLVER.MOMENTUM: {normal: [0.9, 0.01]}               # mean and standard deviation; randn in Tune

A drawn float has four significant digits: what stands in a table is then exactly what was trained.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agropest.errors import nearest
from agropest.sweep.detectron2_keys import coerce
from agropest.sweep.sections.section import Section

CHOICE = "choice"
# name: (number of arguments, whether the logarithm is uniform, whether whole numbers are drawn)
NUMERIC = {
    "uniform": (2, False, False),
    "quniform": (3, False, False),
    "loguniform": (2, True, False),
    "qloguniform": (3, True, False),
    "randint": (2, False, True),
    "qrandint": (3, False, True),
    "lograndint": (2, True, True),
    "qlograndint": (3, True, True),
}
# Normal distributions: name to number of arguments. They have no ends, so what they give is checked when it is drawn.
NORMAL = {"randn": 2, "qrandn": 3}
# Other words for the same.
SYNONYMS = {"grid_search": CHOICE, "normal": "randn"}
SIGNIFICANT_DIGITS = 4


@dataclass(frozen=True)
class Distribution:
    """How one key is drawn.

    Attributes:
        kind: ``choice`` or a key of ``NUMERIC`` or ``NORMAL``.
        arguments: of a choice its values; of a normal distribution mean and standard deviation; else low and high;
            and, where the kind has one, the step. As in Tune, the upper
            end of ``randint`` and ``lograndint`` is not drawn, and that of the kinds with a step is.
    """

    kind: str
    arguments: tuple[Any, ...]

    @property
    def is_log(self) -> bool:
        """Whether the logarithm is uniform."""
        return self.kind in NUMERIC and NUMERIC[self.kind][1]

    @property
    def is_intact(self) -> bool:
        """Whether whole numbers are drawn."""
        return self.kind in NUMERIC and NUMERIC[self.kind][2]

    @property
    def is_normal(self) -> bool:
        """Whether any number may be drawn, those far from the mean seldom."""
        return self.kind in NORMAL

    @property
    def step(self) -> float | None:
        """What a drawn value is a multiple of, or None."""
        return self.arguments[2] if self.kind != CHOICE and len(self.arguments) == 3 else None

    @property
    def highest(self) -> float:
        """The largest number that may be drawn."""
        if self.is_normal:
            return math.inf
        return float(self.arguments[1] - (self.is_intact and self.step is None))

    def draw(self, rng: np.random.Generator) -> Any:
        """Returns one value."""
        if self.kind == CHOICE:
            return self.arguments[int(rng.integers(len(self.arguments)))]
        if self.is_normal:
            return self.rounded(rng.normal(self.arguments[0], self.arguments[1]))
        low, high = float(self.arguments[0]), float(self.highest)
        reach = 0.5 if self.is_intact and self.step is None else 0.0  # so that the ends are as likely as the rest
        if self.is_log:
            number = math.exp(rng.uniform(math.log(low), math.log(high + 2 * reach)))
            return self.rounded(math.floor(number) if reach else number)
        return self.rounded(rng.uniform(low - reach, high + reach))

    def rounded(self, number: float) -> Any:
        """Returns ``number`` as it would be trained: on the step or with four digits, and within the ends."""
        low, high = (-math.inf if self.is_normal else self.arguments[0]), self.highest
        if self.step is not None:
            number = round(number / self.step) * self.step
        elif self.is_intact:
            number = round(number)
        number = min(max(number, low), high)
        return round(number) if self.is_intact else float(f"{number:.{SIGNIFICANT_DIGITS}g}")

    def holds(self, value: Any) -> bool:
        """Returns whether ``value`` could have been drawn, digits and steps aside."""
        if self.kind == CHOICE:
            return value in self.arguments
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if self.is_normal:
            return number and math.isfinite(value)
        return number and bool(self.arguments[0] <= value <= self.highest)


def draw_point(space: Mapping[str, Distribution], seed: int, number: int) -> dict[str, Any]:
    """Returns a value for every key: a function of seed, number and key alone.

    So a longer search begins with the points of the shorter one, and a key more does not change the others.
    """
    return {key: law.draw(generator((seed, number), key)) for key, law in space.items()}


def read_distribution(section: Section, key: str, value: Any) -> Distribution | None:
    """Returns the distribution of a Detectron2 key, or None with a fault; its ends are checked against the key."""
    from agropest.sweep.detectron2_keys import default_config

    if key not in default_config():
        fix = nearest(key, default_config())
        section.fault(key, "expected a Detectron2 config key", key, fix)
        return None
    rule, fix = "expected one distribution", "write e.g. {loguniform: [1e-4, 1e-2]} or {choice: [1, 2]}"
    if not isinstance(value, Mapping) or len(value) != 1:
        section.fault(key, rule, value, fix)
        return None
    kind, arguments = next(iter(value.items()))
    kind = SYNONYMS.get(kind, kind) if isinstance(kind, str) else kind
    if kind != CHOICE and kind not in NUMERIC and kind not in NORMAL:
        known = (CHOICE, *NUMERIC, *NORMAL, *SYNONYMS)
        section.fault(key, "expected a known distribution", kind, nearest(str(kind), known))
        return None
    if not isinstance(arguments, list):
        section.fault(key, f"expected a list under {kind}", arguments, fix)
        return None
    numbers = arguments if kind == CHOICE else [_number(word) for word in arguments]
    problem = _problem(kind, numbers)
    if problem:
        section.fault(key, problem, arguments, fix)
        return None
    law = Distribution(kind, tuple(numbers))
    values = []
    for end in _ends(law):
        try:
            values.append(coerce(key, end))
        except ValueError as error:
            section.fault(f"{key}.{kind}", str(error), end, f"Detectron2's default is {default_config()[key]!r}")
            return None
    if not law.is_intact and kind != CHOICE and isinstance(default_config()[key], int):
        section.fault(key, f"expected whole numbers, which {kind} does not give", arguments, "use randint")
        return None
    return Distribution(kind, tuple(values)) if kind == CHOICE else law


def _ends(law: Distribution) -> Sequence[Any]:
    """Returns the values that stand for all that may be drawn; of a normal distribution only the mean can."""
    if law.kind == CHOICE:
        return law.arguments
    return law.arguments[:1] if law.is_normal else (law.arguments[0], law.highest)


def _number(word: Any) -> Any:
    """YAML 1.1 reads 1e-4 as a word."""
    try:
        return float(word) if isinstance(word, str) else word
    except ValueError:
        return word


def _problem(kind: str, numbers: Sequence[Any]) -> str:
    """Returns the rule that the arguments do not keep, or nothing."""
    if kind == CHOICE:
        return "" if numbers else "expected at least one value"
    count, log, whole = (NORMAL[kind], False, False) if kind in NORMAL else NUMERIC[kind]
    names = "mean, standard deviation" if kind in NORMAL else "low, high"
    wanted = f"[{names}]" if count == 2 else f"[{names}, step]"
    finite = all(isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in numbers)
    if len(numbers) != count or not finite:
        return f"expected {wanted}"
    if whole and any(n != int(n) for n in numbers):
        return f"expected whole numbers in {wanted}"
    if kind in NORMAL:
        good = numbers[1] > 0 and (count == 2 or numbers[2] > 0)
        return "" if good else f"expected a standard deviation{' and a step' if count == 3 else ''} above 0 in {wanted}"
    if numbers[0] >= numbers[1] or (log and numbers[0] <= 0) or (count == 3 and numbers[2] <= 0):
        return f"expected low < high{', low > 0' if log else ''}{' and step > 0' if count == 3 else ''} in {wanted}"
    return ""


def problem_of_drawn(key: str, value: Any) -> str:
    """Returns the rule that a drawn value does not keep, or nothing.

    Where Detectron2's own value is not negative (rates, weights, shares), a negative one is taken for a mistake.
    """
    from agropest.sweep.detectron2_keys import default_config

    try:
        coerce(key, value)
    except ValueError as error:
        return str(error)
    default = default_config()[key]
    is_number = isinstance(default, int | float) and not isinstance(default, bool)
    if is_number and default >= 0 > value:
        return f"expected no number below 0 (Detectron2's default is {default!r})"
    if key == "SOLVER.BASE_LR" and value == 0:
        return "expected a number above 0"
    return ""


def generator(numbers: Sequence[int], key: str) -> np.random.Generator:
    """Returns what is drawn from for one key: a function of the numbers (a seed first) and the key."""
    digest = hashlib.sha256(key.encode()).digest()
    return np.random.default_rng([*numbers, *np.frombuffer(digest[:16], dtype=np.uint32).tolist()])
