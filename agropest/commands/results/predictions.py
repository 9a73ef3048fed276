"""``python -m agropest predictions SWEEP[/variant[/seed]] OUT``: every stored evaluation as COCO results."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write the stored boxes of a sweep as COCO results files, with ground truth and a script for FiftyOne"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", metavar="SWEEP[/variant[/seed]]", help="results/<sweep> or its name, or a part of it")
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to write to")
    parser.add_argument("--results", type=Path, metavar="DIR", default=Path("results"), help="default: results")
    parser.add_argument("--chosen", action="store_true", help="only the evaluations that the trials are ranked by")


def run(arguments: argparse.Namespace) -> int:
    import sys

    from agropest.analysis.models.model_choice import parse_address, trials_at
    from agropest.analysis.models.open_predictions import SCRIPT, write_predictions
    from agropest.store.store import Store
    from agropest.store.sweep_record import read_sweep_record
    from agropest.store.upkeep.results_root import results_root

    address = parse_address(arguments.sweep, arguments.results)
    root = results_root(address.sweep)
    record = read_sweep_record(address.sweep, root)
    store = Store(root)
    written = write_predictions(record, store, trials_at(record, address), arguments.out, arguments.chosen)
    for name in written.damaged:
        print(f"left out: {name}: its boxes are damaged; the next launch evaluates it again", file=sys.stderr)
    what = f"{written.num_evaluations} evaluations with {written.num_boxes} boxes"
    print(f"written to {arguments.out}: {what}, the ground truth, {SCRIPT}")
    return 1 if written.damaged else 0
