"""Opening a data set from the command line: progress, and where conversions are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from agropest.data.dataset import Dataset, load_dataset
from agropest.data.formats.data_yaml import find_data_yaml
from agropest.data.formats.yaml_places import KEYS
from agropest.data.health import read_findings
from agropest.data.set_apart import SetApart
from agropest.errors import DataError, fault

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


def require_splits(dataset: Dataset, names: Sequence[str]) -> None:
    """Raises DataError, which names file and key, unless a data set has these splits and can be trained on."""
    findings = read_findings(dataset.health)
    data_yaml = dataset.data_yaml or find_data_yaml(dataset.root)
    faults = []
    for name in names:
        if name not in dataset.splits:
            rules = ("split-missing", "split-not-in-yaml")
            details = [finding.detail for finding in findings if finding.split == name and finding.rule in rules]
            where = f"{data_yaml}: {KEYS[name][0]}" if data_yaml else str(dataset.root)
            fix = "a sweep needs images to train on and images to compare on"
            if name == "valid":
                fix += "; `split: {valid: 0.15, seed: 0}` in the sweep file takes them from train"
            faults.append(
                fault(where, f"expected a {name} split", details[0] if details else sorted(dataset.splits), fix)
            )
    if faults or dataset.faults:
        raise DataError(*(faults or dataset.faults))


def open_dataset(
    folder: Path, processes: int | None = None, cache_root: Path = CACHE_ROOT, split: SetApart | None = None
) -> Dataset:
    """Returns the data set, converted into ``cache_root`` unless it is there already.

    Args:
        folder: or a data.yaml in it.
        processes: that decode images; None: one a core.
        cache_root: where conversions are kept.
        split: what of the training pictures is validated on, where the set has no validation split.
    """
    with image_progress("reading images") as on_image:
        return load_dataset(folder, cache_root, processes, on_image, split)
