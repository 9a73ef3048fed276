"""The console that commands print their tables to."""

from __future__ import annotations

from rich.console import Console

LOG_COLUMNS = 180


def new_console() -> Console:
    """Returns a console as wide as the terminal; ``LOG_COLUMNS`` wide for a log file or a pipe."""
    console = Console()
    if not console.is_terminal:  # rich would take 80 columns
        console.width = LOG_COLUMNS
    return console
