"""The results folder that a sweep's folder belongs to, also after either was moved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agropest import files
from agropest.errors import StoreError, fault


def results_root(folder: Path, given: Path | None = None) -> Path:
    """Returns where the trials of a sweep are.

    Looked at in this order: ``given``, the folder's parent, and where the results were when the sweep was launched.

    Args:
        folder: results/<sweep>, or wherever that was moved to.
        given: the results folder, where somebody says so.

    Raises:
        StoreError: none of them has any of the sweep's trials.
    """
    folder = Path(folder).resolve()
    signatures, recorded = _recorded(folder)
    if given is None and not signatures:
        return folder.parent  # nothing readable: reading the record says what is wrong
    places = [Path(given).resolve()] if given is not None else [folder.parent, *([Path(recorded)] if recorded else [])]
    for place in places:
        if signatures & {path.name[-16:] for path in _folders(place / "trials")}:
            return place
    if given is None and (folder.parent / "trials").is_dir():
        return folder.parent  # launched, and nothing of it has begun yet
    looked = " or ".join(str(place / "trials") for place in places)
    fix = "give the results folder with --results, or move results as a whole: the evaluations are in its trials/"
    rule = f"expected its {len(signatures)} trials in {looked}"
    raise StoreError(fault(str(folder), rule, "none of them", fix))


def _recorded(folder: Path) -> tuple[set[str], str]:
    """Returns the signatures of the sweep's trials, and where the results folder was."""
    try:
        content = files.read_json(folder / "sweep.json")
        return {str(one["signature"]) for one in content["trials"]}, str(content.get("results", ""))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set(), ""


def _folders(place: Path) -> Sequence[Path]:
    return list(place.iterdir()) if place.is_dir() else []
