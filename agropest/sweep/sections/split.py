"""``split:``: a validation split for a data set that has none.

split: {valid: 0.15, seed: 0}
"""

from __future__ import annotations

from agropest.data.set_apart import SetApart
from agropest.sweep.sections.section import Section


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
