"""``python -m agropest list``: the sweeps of a results folder."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "list the sweeps and runs of a results folder: when, how far, the best trial so far, the room they take"
WIDE = 140  # columns from which there is room for questions and changes


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", nargs="?", metavar="SWEEP", help="show the launches of one sweep or run instead")
    parser.add_argument("--results", type=Path, metavar="DIR", default=Path("results"), help="default: results")


def run(arguments: argparse.Namespace) -> int:
    import sys

    from rich.table import Table
    from rich.text import Text

    from agropest.errors import StoreError, fault
    from agropest.report.console import new_console
    from agropest.store.store import Store
    from agropest.store.upkeep.overview import overview, read_records

    if not arguments.results.is_dir():
        fix = "launch a sweep first, or give the folder with --results"
        raise StoreError(fault("--results", "expected a results folder", str(arguments.results), fix))
    store = Store(arguments.results)
    records, faults = read_records(store)
    for message in faults:
        print(f"left out: {message}", file=sys.stderr)
    if arguments.sweep is not None:
        return _list_launches(store.root, arguments.sweep, [record.name for record in records])
    console = new_console()
    table = Table()
    has_room = console.width >= WIDE  # else a run's name, which has what was changed, would be cut for the rest
    headings = ["sweep", "launched", "trials", "best so far", "MB", *(["question"] if has_room else [])]
    has_runs = has_room and any(record.changes for record in records)
    for heading in [*headings, *(["changed on the command line"] if has_runs else [])]:
        table.add_column(heading, justify="right" if heading == "MB" else "left", overflow="fold")
    for record in records:
        one = overview(record, store)
        best = f"{one.best[0]}/{one.best[1]}: {record.metric} {one.best[2]:.2f}" if one.best else "-"
        statuses = ", ".join(f"{count} {word}" for word, count in one.statuses.items())
        cells = [record.name, record.launched[:16].replace("T", " "), statuses, best, f"{one.bytes / 1e6:.0f}"]
        cells += [*([record.question] if has_room else []), *([", ".join(record.changes)] if has_runs else [])]
        table.add_row(*map(Text, cells))
    console.print(table if records else f"no sweep has been launched into {arguments.results}")
    return 0


def _list_launches(results: Path, name: str, names: list[str]) -> int:
    """Prints when a sweep was launched, and how each launch ended."""
    from agropest.errors import StoreError, fault
    from agropest.store.upkeep.launch_history import read_launches
    from agropest.store.upkeep.sweep_names import nearest_sweep

    name = Path(name).name  # results/demo means demo
    if name not in names:
        raise StoreError(fault("SWEEP", f"expected a sweep of {results}", name, nearest_sweep(Path(name), results)))
    for one in read_launches(results / name):
        ended = one.ended or "not ended: it runs, or was killed"
        print(f"{one.launched[:19].replace('T', ' ')}  version {one.version}  {one.trials} trials: {ended}")
    return 0
