"""What of a sweep's data its reader must know before any number: pictures in two splits, a split that was taken out."""

from __future__ import annotations

from collections import Counter

from agropest.data.health import read_findings
from agropest.store.sweep_record import SweepRecord

WHY = {
    "valid": "the ranking is in part by pictures that were trained on",
    "test": "the test is in part of pictures that were trained on or selected by",
}


def data_notes(record: SweepRecord) -> list[str]:
    """Returns a sentence each; none where the data set's findings are not there any more."""
    if "valid" not in record.splits:
        return []
    path = record.splits["valid"].annotations.parent.parent / "health.json"
    try:
        findings = read_findings(path)
    except (OSError, ValueError, TypeError):
        return []
    shared = Counter(finding.split for finding in findings if finding.rule == "picture-in-two-splits")
    notes = [
        f"{number} of {record.splits[split].num_images} pictures of {split} are in an earlier split, too, "
        f"byte for byte: {WHY[split]}."
        for split, number in shared.items()
        if split in WHY and split in record.splits
    ]
    return notes + [f"Validation is {f.detail}; nothing was moved." for f in findings if f.rule == "set-apart"]
