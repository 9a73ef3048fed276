"""Which sweep of a results folder is meant by a path or a name."""

from __future__ import annotations

import difflib
from pathlib import Path

from agropest.errors import StoreError, fault
from agropest.store.sweep_record import RECORD


def find_sweep(path: Path, results: Path) -> Path | None:
    """Returns the folder of the sweep that a path, or a name in the results folder, means; None: it means none."""
    return next((place for place in (path, results / path) if (place / RECORD).is_file()), None)


def sweep_folder(path: Path, results: Path) -> Path:
    """Returns the folder of a sweep that was launched.

    Args:
        path: that folder, or its name in the results folder.
        results: the results folder.

    Raises:
        StoreError: there is none.
    """
    found = find_sweep(path, results)
    if found is not None:
        return found
    rule = f"expected the folder of a sweep that was launched, or its name in {results}"
    raise StoreError(fault("SWEEP", rule, path, nearest_sweep(path, results)))


def nearest_sweep(path: Path, results: Path) -> str:
    """Returns what to give in place of a path that is no sweep: the most like one, all there are, or how to get one.

    Args:
        path: a name in the results folder, or a folder; a variant and a seed may follow.
        results: the results folder.
    """
    known = {name: name for name in _names(results)}
    for folder in [path, *path.parents][:3]:
        for name in _names(folder.parent):
            known.setdefault(name, str(folder.parent / name))
    if not known:
        return f"nothing was launched into {results} yet: launch a sweep first, or give its folder with --results"
    for part in reversed(path.parts):
        if close := difflib.get_close_matches(part, known, n=1):
            return f"did you mean '{known[close[0]]}'?"
    return f"there are: {', '.join(list(known.values())[:12])}{', ...' if len(known) > 12 else ''}"


def _names(folder: Path) -> list[str]:
    return sorted(one.parent.name for one in folder.glob(f"*/{RECORD}"))
