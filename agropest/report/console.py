"""The console that commands print their tables to."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import TextIO

from rich.console import Console

LOG_COLUMNS = 180


@contextlib.contextmanager
def said_throughout() -> Iterator[Callable[[str], None]]:
    """Yields what prints a line for a person, also while Ray runs and standard output goes to a log."""
    with contextlib.ExitStack() as opened:
        stream: TextIO = sys.stdout
        with contextlib.suppress(OSError, ValueError):  # there is no file behind it
            copy = os.dup(sys.stdout.fileno())
            stream = opened.enter_context(os.fdopen(copy, "w", encoding="utf-8", errors="replace", buffering=1))

        def say(text: str) -> None:
            with contextlib.suppress(OSError):  # a pipe whose reader has gone
                print(text, file=stream, flush=True)

        yield say


def new_console() -> Console:
    """Returns a console as wide as the terminal; ``LOG_COLUMNS`` wide for a log file or a pipe."""
    console = Console()
    if not console.is_terminal:  # rich would take 80 columns
        console.width = LOG_COLUMNS
    return console


def print_sentence(console: Console, text: str) -> None:
    """Prints a sentence: between its words a terminal breaks it, in a log file or a pipe it is one line.

    What is to be copied, such as a command, is printed as one line everywhere: with ``soft_wrap``.
    """
    console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=not console.is_terminal)
