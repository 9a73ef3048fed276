"""``python -m agropest prune``: checkpoints that no sweep has chosen and no launch continues from."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "remove checkpoints that no sweep has chosen and no launch continues from; without --yes only says which"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweeps", nargs="*", metavar="SWEEP", help="names of sweeps; default: all")
    parser.add_argument("--results", type=Path, metavar="DIR", default=Path("results"), help="default: results")
    parser.add_argument("--yes", action="store_true", help="remove them")


def run(arguments: argparse.Namespace) -> int:
    from agropest.errors import StoreError, fault
    from agropest.store.lock import only_launch
    from agropest.store.store import Store
    from agropest.store.upkeep.overview import read_records
    from agropest.store.upkeep.pruning import prunable, prune
    from agropest.store.upkeep.sweep_names import nearest_sweep

    if not arguments.results.is_dir():
        fix = "launch a sweep first, or give the folder that launches write to"
        raise StoreError(fault("--results", "expected a results folder", arguments.results, fix))
    store = Store(arguments.results)
    records, faults = read_records(store)
    if faults:  # what an unreadable sweep has chosen is not known
        raise StoreError(*faults)
    names = [record.name for record in records]
    wanted = [Path(name).name for name in arguments.sweeps]  # results/demo means demo
    if unknown := [name for name in wanted if name not in names]:
        rule = f"expected a sweep of {arguments.results}"
        raise StoreError(
            *(fault("SWEEP", rule, name, nearest_sweep(Path(name), arguments.results)) for name in unknown)
        )
    with only_launch(store.root, "prune"):
        found = prunable(store, records, wanted)
        for one in found:
            removed, kept = ", ".join(map(str, one.removed)), ", ".join(map(str, one.kept))
            print(f"{one.folder.path.name}: {one.bytes / 1e6:.0f} MB: iterations {removed} go, {kept} stays")
        total = sum(one.bytes for one in found) / 1e6
        if not found:
            print("nothing to remove: every checkpoint is chosen by a sweep, or a launch continues from it")
        elif not arguments.yes:
            print(f"{total:.0f} MB would be freed; evaluations, tables and logs stay. --yes does it")
        else:
            print(f"{prune(found) / 1e6:.0f} MB freed; evaluations, tables and logs stay")
    return 0
