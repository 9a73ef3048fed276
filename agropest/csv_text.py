"""CSV after RFC 4180 that pandas and a spreadsheet open unharmed.

A word that a spreadsheet would take for a formula (it begins with ``= + - @``, a tab or a carriage return; OWASP, "CSV
injection") gets an apostrophe before it; numbers are left as they are. A file with other letters than ASCII begins with
a byte order mark, without which Excel shows them wrong, and which pandas skips.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

FORMULA = ("=", "+", "-", "@", "\t", "\r")
BYTE_ORDER_MARK = "\ufeff"


def to_csv(rows: Sequence[Mapping[str, str | int | float | None]], columns: Sequence[str] = ()) -> str:
    """Returns the rows below a header of ``columns``, or of the first row's keys, lines ending in CR LF.

    Without rows and columns there is no text.
    """
    names = list(columns or (rows[0] if rows else ()))
    if not names:
        return ""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow([safe_cell(name) for name in names])
    writer.writerows([safe_cell(row[name]) for name in names] for row in rows)
    text = buffer.getvalue()
    return text if text.isascii() else BYTE_ORDER_MARK + text


def safe_cell(value: str | int | float | None) -> str | int | float | None:
    """Returns the value, with an apostrophe before a word that looks like a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
