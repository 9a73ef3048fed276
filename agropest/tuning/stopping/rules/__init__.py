"""What each rule of early stopping decides, one file each; its options are in ``agropest.sweep.stopping``.

A module has either ``tune_scheduler``, for a rule that asks one trial after another, or ``decide``, for a rule that
looks at all variants at once, as a function of the stored evaluations.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType


def decision_of(method: str) -> ModuleType | None:
    """Returns the module of a rule's decision; None for a rule that stops nothing."""
    if method not in {info.name for info in pkgutil.iter_modules(__path__)}:
        return None
    return importlib.import_module(f"{__name__}.{method}")


def looks_at_all(method: str) -> bool:
    """Returns whether a rule looks at all variants at once."""
    return hasattr(decision_of(method), "decide")
