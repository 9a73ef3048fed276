"""``python -m agropest start DATA``: a first sweep file for a data set, with values proposed from it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agropest.data.dataset import Dataset
    from agropest.data.set_apart import SetApart

HELP = "write a first sweep for a data set: model, sizes, iterations and variants proposed from it, with the reasons"
VALID_SHARE = 0.15


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, metavar="DATA", help="a YOLO export or a COCO folder; never written to")
    parser.add_argument("--out", type=Path, metavar="FILE", default=Path("mine.yaml"), help="mine.yaml")
    parser.add_argument("--results", type=Path, metavar="DIR", default=Path("results"), help="default: results")
    parser.add_argument("--force", action="store_true", help="write over a file that is there")


def run(arguments: argparse.Namespace) -> int:
    import functools
    import os

    from agropest import files
    from agropest.data.opening import require_splits
    from agropest.errors import EnvironmentFault, SweepFileError, fault
    from agropest.machine import this_machine
    from agropest.planning.first_sweep import propose
    from agropest.planning.sweep_text import sweep_text
    from agropest.report.console import new_console, print_sentence

    out: Path = arguments.out
    if out.exists() and not arguments.force:
        fix = "give another file with --out, or write over it with --force"
        raise SweepFileError(fault(str(out), "expected a file that is not there yet", "one that is", fix))
    bases = Path(__file__).resolve().parents[3] / "configs"
    if not bases.is_dir():
        fix = "run it in a clone of this project: the configs that a sweep begins with are there"
        raise EnvironmentFault(fault(str(bases), "expected the base configs", "no such folder", fix))
    dataset, split = _opened(arguments.data, arguments.results / "data")
    if split:
        print(f"the data set has no validation split: {VALID_SHARE:.0%} of the training pictures become one")
    require_splits(dataset, ("train", "valid"))
    sweep = propose(dataset, this_machine())
    here = out.resolve().parent
    configs = os.path.relpath(bases, here)
    data = Path(os.path.relpath(arguments.data.resolve(), here))
    files.write_text(out, sweep_text(sweep, dataset.root.name, data, configs, dataset.num_images, split))
    say = functools.partial(print_sentence, new_console())
    for line in sweep.plain:
        say(line)
    trainings = len(sweep.variants) * sweep.seeds.start
    names = ", ".join(one.label for one in sweep.variants)
    print(f"written to {out}: {names}")
    most = f"more where a verdict is open, {sweep.seeds.most} at most"
    say(f"{sweep.seeds.start} seeds of each: {trainings} trainings of {sweep.max_iter} iterations; {most}")
    print(f"to see what it takes: python launch.py {out} --plan --probe")
    print(f"to run it: python launch.py {out}")
    return 0


def _opened(data: Path, cache: Path) -> tuple[Dataset, SetApart | None]:
    """Returns the data set, and what of its training pictures is validated on where it has no validation split."""
    from agropest.data.opening import open_dataset
    from agropest.data.set_apart import SetApart
    from agropest.errors import DataError

    split = SetApart(VALID_SHARE)
    try:
        dataset = open_dataset(data, cache_root=cache)
    except DataError as error:
        try:  # annotations that tell no split are all train
            return open_dataset(data, cache_root=cache, split=split), split
        except DataError:
            raise error from None
    if "valid" in dataset.splits or "train" not in dataset.splits:
        return dataset, None
    return open_dataset(data, cache_root=cache, split=split), split
