"""What of a data set was not taken exactly as it stands, and what was done about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from agropest import files

KEPT, CLIPPED, DROPPED = "kept", "clipped", "dropped"


@dataclass(frozen=True, order=True)
class Finding:
    """One line, image or file that was not taken as it stands.

    Attributes:
        split: "train", "valid", "test", or empty for the data set itself.
        file: relative to the data set.
        line: counted from 1; 0 where the whole file is meant.
        rule: a short name, the same for all findings of a kind.
        action: one of kept, clipped, dropped.
        detail: values.
    """

    split: str
    file: str
    line: int
    rule: str
    action: str
    detail: str


def write_findings(path: Path, findings: Iterable[Finding]) -> None:
    """Writes ``health.json``: the findings by split, file and line."""
    files.write_json(path, [asdict(finding) for finding in sorted(findings)], indent=0)


def read_findings(path: Path) -> list[Finding]:
    """Returns what :func:`write_findings` wrote."""
    return [Finding(**item) for item in files.read_json(path)]


def count_rules(findings: Iterable[Finding]) -> list[tuple[str, str, str, int]]:
    """Returns ``(split, rule, action, number)`` of every kind of finding, most frequent first."""
    counts = Counter((finding.split, finding.rule, finding.action) for finding in findings)
    return [(*key, number) for key, number in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
