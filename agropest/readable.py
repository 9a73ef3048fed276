"""Names of others, shown: what would steer a terminal or turn the direction of a line becomes visible text."""

from __future__ import annotations

import re

# Unicode's bidirectional controls reorder what stands around them (CVE-2021-42574).
_BIDI = "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069"
_STEERS = re.compile(f"[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f{_BIDI}]")
_STEERS_OR_BREAKS = re.compile(f"[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029{_BIDI}]")


def readable(text: str) -> str:
    """Returns a text with its control characters and bidirectional controls escaped; line ends and tabs stay."""
    return _STEERS.sub(_escaped, text)


def one_line(text: str) -> str:
    """Returns :func:`readable` text with line ends and tabs escaped, too: a name."""
    return _STEERS_OR_BREAKS.sub(_escaped, text)


def escaped_json(text: str) -> str:
    """Returns JSON text of the same value, with what :func:`readable` escapes written as ``\\uNNNN``.

    Only strings hold such characters; ``json.dumps`` itself escapes those below 32.
    """
    return _STEERS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
