"""Opening a data set from the command line: progress, and where conversions are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from agropest.data.dataset import Dataset, load_dataset

CACHE_ROOT = Path("results/data")

OnImage = Callable[[int], Callable[[], object]]


@contextmanager
def image_progress(what: str) -> Iterator[OnImage]:
    """Yields an ``on_image`` that shows a bar on a terminal, and nothing in a pipe."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:

        def start(total: int) -> Callable[[], object]:
            task = progress.add_task(what, total=total)
            return lambda: progress.advance(task)

        yield start


def open_dataset(folder: Path, processes: int | None = None, cache_root: Path = CACHE_ROOT) -> Dataset:
    """Returns the data set, converted into ``cache_root`` unless it is there already."""
    with image_progress("reading images") as on_image:
        return load_dataset(folder, cache_root, processes, on_image)
