"""A validation split for a data set that has none: some of the training pictures, set apart in the conversion alone.

Pictures of one source (augmented copies) stay together, and every class is divided as all are: Sechidis, Tsoumakas and
Vlahavas, "On the Stratification of Multi-Label Data" (2011), with the rarest class first. Nothing on disk is moved.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, replace

from agropest.data.convert import Conversion
from agropest.data.health import KEPT, Finding
from agropest.data.source_groups import SourceGroup, part_of, source_groups
from agropest.errors import DataError, fault


@dataclass(frozen=True)
class SetApart:
    """What of the training pictures is validated on.

    Attributes:
        valid: the share of the pictures, between 0 and 1.
        seed: of the choice.
    """

    valid: float
    seed: int = 0

    def in_words(self) -> str:
        """Returns the share and the seed as a sweep file has them."""
        return f"valid: {self.valid:g}, seed: {self.seed}"


def split_of_command(valid: float | None, seed: int) -> SetApart | None:
    """Returns what ``--split-valid`` and ``--split-seed`` ask for.

    Raises:
        DataError: the share is none.
    """
    if valid is not None and not 0 < valid < 1:
        raise DataError(fault("--split-valid", "expected a share between 0 and 1", valid, "give one such as 0.15"))
    return None if valid is None else SetApart(valid, seed)


def set_apart(conversion: Conversion, rule: SetApart) -> Conversion:
    """Returns the data set with a validation split that is taken out of its training split.

    Raises:
        DataError: it has a validation split, or too few sources to make one.
    """
    where = f"data set {conversion.root}"
    if "valid" in conversion.contents:
        fix = "leave `split` (--split-valid) out"
        raise DataError(fault(where, "expected a set without a validation split for `split`", "a valid split", fix))
    if "train" not in conversion.contents:
        needed, fix = "expected a train split to take valid from", "name the folder of the training pictures"
        raise DataError(fault(where, needed, sorted(conversion.contents), fix))
    train = conversion.contents["train"]
    groups = source_groups(train)
    chosen = {image for group in _choose(groups, rule) for image in group.images}
    if not chosen or len(chosen) == len(train["images"]):
        value = f"{len(groups)} sources in {len(train['images'])} pictures"
        fix = f"give a {'smaller' if chosen else 'larger'} share"
        raise DataError(fault(where, f"expected enough sources for {rule.in_words()}", value, fix))
    parts = {"train": part_of(train, lambda i: i not in chosen), "valid": part_of(train, lambda i: i in chosen)}
    others = {name: content for name, content in conversion.contents.items() if name != "train"}
    value = f"{len(chosen)} of {len(train['images'])} pictures of train, by source and class ({rule.in_words()})"
    files = {image["file_name"] for image in parts["valid"]["images"]}
    findings = [replace(f, split="valid") if f.file in files else f for f in conversion.findings]
    findings.append(Finding("valid", ".", 0, "set-apart", KEPT, value))
    digest = hashlib.sha256(f"{conversion.fingerprint} {rule.in_words()}".encode()).hexdigest()
    contents = {"train": parts["train"], "valid": parts["valid"], **others}
    return replace(conversion, contents=contents, findings=tuple(sorted(findings)), fingerprint=digest)


def _choose(groups: list[SourceGroup], rule: SetApart) -> list[SourceGroup]:
    """Returns the groups for validation: class by class, the rarest first, until it has its share of each."""
    order = list(groups)
    random.Random(rule.seed).shuffle(order)
    total: Counter[int] = Counter()
    holders: dict[int, list[int]] = defaultdict(list)
    for number, group in enumerate(order):
        total.update(group.classes)
        for index in group.classes:
            holders[index].append(number)
    rarest_first = sorted(total, key=lambda index: (total[index], index))
    decided: dict[int, bool] = {}
    held: Counter[int] = Counter()
    for index in rarest_first:
        for number in holders[index]:
            if number not in decided:
                more = order[number].classes[index]
                decided[number] = held[index] + more / 2 <= rule.valid * total[index]
                held.update(order[number].classes if decided[number] else {})
    empty = [number for number in range(len(order)) if number not in decided]
    decided |= dict.fromkeys(empty[: round(rule.valid * len(empty))], True)
    return [order[number] for number, is_chosen in sorted(decided.items()) if is_chosen]
